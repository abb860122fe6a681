#include "common/base/alloc.h"
#include "common/wire/stored.h"
#include "transporter/session/run_recovery.h"

#include <stdlib.h>
#include <string.h>

static bool check_destination(const struct run *run, const Sealift__RestorePlan *plan, const char **root,
                              struct err *err)
{
    if (plan->overwrite > OVERWRITE_ALWAYS)
        return err_set(err, ERR_VERSION, "the order's plan has an unknown rule for existing files");
    return policy_may_restore(run->environment.policy, stored_span(&plan->destination), root, err);
}

/* Paths as the engine wants them; none when '/' is among them. */
static size_t chosen_paths(const Sealift__RestorePlan *plan, struct span *out)
{
    for (size_t i = 0; i < plan->n_paths; i++) {
        struct span path = stored_span(&plan->paths[i]);
        while (path.len && path.data[0] == '/')
            path = span_of(path.data + 1, path.len - 1);
        if (path.len == 0) return 0;
        out[i] = path;
    }
    return plan->n_paths;
}

static bool restore(struct run *run, const struct recovery *recovery, const Sealift__RestorePlan *plan,
                    const char *root, struct err *err)
{
    AUTO(free) char *destination = xcalloc(1, plan->destination.len + 1);
    AUTO(free) struct span *paths = xcalloc(plan->n_paths + 1, sizeof(*paths));
    memcpy(destination, plan->destination.data, plan->destination.len);
    struct restore_options options = {
        .opener = recovery->opener,
        .inlet = recovery->inlet,
        .root = recovery->root,
        .destination = destination,
        .destination_root = root,
        .paths = paths,
        .path_count = chosen_paths(plan, paths),
        .overwrite = (enum overwrite)plan->overwrite,
        .progress = &run->restore,
        .warning = run_engine_warning,
        .arg = run,
        .cancelled = &run->cancelled,
    };
    struct restore_result result = {0};
    bool done = restore_tree(&options, &result, err);
    atomic_store(&run->counters.skipped, result.skipped);
    atomic_store(&run->counters.failed, result.failed);
    return done;
}

bool run_restore(struct run *run, struct err *err)
{
    AUTO(secret) struct secret *bytes = NULL;
    AUTO(plan_restore) Sealift__RestorePlan *plan = NULL;
    struct recovery recovery = {0};
    const char *root = NULL;
    if (!recovery_plan(run, &bytes, err) ||
        !plan_restore_decode(span_of(bytes->data, bytes->len), &plan, err) ||
        !check_destination(run, plan, &root, err) || !recovery_open(run, &recovery, err))
        return false;
    run->point = recovery.point->point;
    run->has_point = true;
    bool done = restore(run, &recovery, plan, root, err);
    recovery_close(&recovery, done ? NULL : err);
    return done;
}
