#include "common/base/alloc.h"
#include "common/wire/stored.h"
#include "transporter/session/run_command.h"
#include "transporter/session/run_recovery.h"

#include <stdlib.h>
#include <string.h>

/* Slashes at the end say that a directory is meant, and nothing to the policy. */
static struct span without_slashes(struct span path)
{
    while (path.len > 1 && path.data[path.len - 1] == '/')
        path.len--;
    return path;
}

static bool check_destination(const struct run *run, const Sealift__RestorePlan *plan, const char **root,
                              struct err *err)
{
    if (plan->overwrite > OVERWRITE_ALWAYS)
        return err_set(err, ERR_VERSION, "the order's plan has an unknown rule for existing files");
    struct span destination = without_slashes(stored_span(&plan->destination));
    return policy_may_restore(run->environment.policy, destination, root, err);
}

/* Where local policy lets the restore go: files below a root, or a command that takes the content. */
struct allowed {
    const char *root;
    const struct policy_command *into;
};

static bool check_plan(const struct run *run, const Sealift__RestorePlan *plan, struct allowed *out,
                       struct err *err)
{
    if (plan->stream[0] == '\0') return check_destination(run, plan, &out->root, err);
    if (plan->destination.len > 0 || plan->n_paths > 0)
        return err_set(err, ERR_USAGE, "the order's plan names a command, and files too");
    return policy_command(run->environment.policy, POLICY_STREAM_RESTORE, plan->stream, &out->into, err);
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

/* --- into files --- */

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
    bool tree = recovery->point->object == OBJECT_TREE;
    bool done = tree ? restore_tree(&options, &result, err) : restore_object(&options, &result, err);
    atomic_store(&run->counters.skipped, result.skipped);
    atomic_store(&run->counters.failed, result.failed);
    return done;
}

/* --- into a command --- */

struct feeding {
    struct run *run;
    struct run_command command;
};

static bool feed(void *arg, struct span bytes, struct err *err)
{
    struct feeding *feeding = arg;
    struct run *run = feeding->run;
    if (!command_write(feeding->command.command, &run->cancelled, bytes, err)) return false;
    atomic_fetch_add(&run->restore.content_bytes, bytes.len);
    return true;
}

/* Whatever goes wrong ends the command before its input: it must not take a part for the whole. */
static bool pour(struct run *run, const struct recovery *recovery, const struct policy_command *into,
                 struct err *err)
{
    struct feeding feeding = {.run = run};
    const struct point *point = recovery->point;
    if (point->object == OBJECT_TREE)
        return err_set(err, ERR_USAGE, "the point holds files: a command takes the content of a stream");
    atomic_store(&run->restore.total_bytes, point->counts.content_bytes);
    if (!run_command_start(run, into, RUN_COMMAND_RESTORE, NULL, &feeding.command, err)) return false;
    bool done = restore_cat(recovery->opener, &recovery->inlet, &recovery->root, span_of(NULL, 0), feed,
                            &feeding, err) &&
                command_finish(feeding.command.command, &run->cancelled, err);
    run_command_deinit(&feeding.command);
    if (done) atomic_store(&run->restore.files, 1);
    return done;
}

bool run_restore(struct run *run, struct err *err)
{
    AUTO(secret) struct secret *bytes = NULL;
    AUTO(plan_restore) Sealift__RestorePlan *plan = NULL;
    struct allowed destination = {0};
    struct recovery recovery = {0};
    if (!recovery_plan(run, &bytes, err) ||
        !plan_restore_decode(span_of(bytes->data, bytes->len), &plan, err) ||
        !check_plan(run, plan, &destination, err) || !recovery_open(run, &recovery, err))
        return false;
    run->point = recovery.point->point;
    run->has_point = true;
    bool done = destination.into ? pour(run, &recovery, destination.into, err)
                                 : restore(run, &recovery, plan, destination.root, err);
    recovery_close(&recovery, done ? NULL : err);
    return done;
}
