/* Runs that change which points a repository has: prune and sweep, which the director asks for and which go
 * by what operators have signed before, and orders to hold, release, delete or undelete a point. No key. */
#include "common/base/text.h"
#include "common/wire/stored.h"
#include "transporter/repository/sweep.h"
#include "transporter/session/care_rules.h"
#include "transporter/session/run_inside.h"

#include <inttypes.h>
#include <string.h>

static struct care_rule rule_of(struct run *run, const char *label, const Sealift__Retention *retention,
                                struct span statement)
{
    return care_rule_of(run->environment.authority, run->repository, run->environment.policy, label,
                        retention, statement);
}

static void tell_changed(struct run *run)
{
    run->environment.hooks.changed(run->environment.hooks.arg);
}

/* --- prune --- */

static bool prunable(const struct run *run, const Sealift__JobBody *job, struct err *err)
{
    if (job->deleted) return err_set(err, ERR_POLICY, "the job '%s' has been deleted", job->name);
    struct id repository = stored_id(&job->repository);
    return id_eq(&repository, &run->subject) ||
           err_set(err, ERR_POLICY, "the job '%s' does not write to this repository", job->name);
}

/* For a dry run: what would become of each point, to the operators alone. */
static void tell_point(void *arg, const struct repository_point *point, enum retention_reason reason)
{
    char id[2 * ID_LEN + 1], time[21];
    hex_encode(point->point.bytes, ID_LEN, id);
    time_format(point->time_ns, time);
    bool goes = reason == RETENTION_REMOVE;
    AUTO(buf) struct buf line = {0};
    buf_printf(&line, "point %.12s of %s, log entry %" PRIu64 ": %s%s", id, time, point->number,
               goes ? "would be removed" : "stays: ", goes ? "" : retention_reason_text(reason));
    run_note(arg, buf_cstr(&line));
}

/* One prune of the points of one label after another. */
struct pruning {
    struct run *run;
    struct repository *repository;
    const struct statement *job;
    struct prune_result result;
};

static bool prune_label(struct pruning *pruning, const char *label, struct err *err)
{
    struct run *run = pruning->run;
    bool dry = run->work.dry_run;
    struct prune_result result;
    struct care_writers writers;
    struct care_rule rule =
        rule_of(run, label, pruning->job->body.job->retention, buf_span(&pruning->job->bytes));
    care_writers_of(run->environment.authority, run->roster, run->repository, label, &writers);
    rule.line = care_line_of;
    rule.line_arg = &writers;
    if (!repository_prune(pruning->repository, &rule, dry ? PRUNE_TELL : PRUNE_REMOVE,
                          dry ? tell_point : NULL, run, &result, err))
        return false;
    pruning->result.kept += result.kept;
    pruning->result.removed += result.removed;
    return true;
}

/* Labels, each with its NUL, once each. */
struct labels {
    struct repository *repository;
    struct buf text;
};

static void labels_deinit(struct labels *labels)
{
    buf_deinit(&labels->text);
}
DEFINE_AUTO_IN_PLACE(labels, struct labels, labels_deinit)

static bool note_label(void *arg, const struct repository_point *point)
{
    struct labels *labels = arg;
    struct err ignored; /* of a damaged point it is not known whose it is: it stays */
    AUTO(buf) struct buf label = {0};
    if (!repository_point_job(labels->repository, &point->point, &label, &ignored)) return true;
    buf_put_u8(&label, 0);
    for (size_t at = 0; at < labels->text.len; at += strlen((char *)labels->text.data + at) + 1)
        if (strcmp((char *)labels->text.data + at, (char *)label.data) == 0) return true;
    buf_put_span(&labels->text, buf_span(&label));
    return true;
}

/* A copy of all jobs rules what it brought: the points of each label that no other job writes here. */
static bool prune_copies(struct pruning *pruning, struct err *err)
{
    AUTO(labels) struct labels labels = {.repository = pruning->repository};
    if (!repository_points(pruning->repository, note_label, &labels, err)) return false;
    for (size_t at = 0; at < labels.text.len; at += strlen((char *)labels.text.data + at) + 1) {
        const char *label = (char *)labels.text.data + at;
        if (!care_label_is_taken(pruning->run->environment.authority, &pruning->run->subject, label) &&
            !prune_label(pruning, label, err))
            return false;
    }
    return true;
}

bool run_prune(struct run *run, struct err *err)
{
    struct repository *repository = NULL;
    AUTO(statement) struct statement *job = NULL;
    if (!authority_statement(run->environment.authority, SEALIFT__STATEMENT_TYPE__STATEMENT_JOB,
                             &run->work.about, &job, err) ||
        !prunable(run, job->body.job, err) || !run_repository(run, run->repository, &repository, err))
        return false;
    struct pruning pruning = {.run = run, .repository = repository, .job = job};
    const char *label = statement_job_label(job->body.job);
    bool done = *label ? prune_label(&pruning, label, err) : prune_copies(&pruning, err);
    if (!run->work.dry_run) tell_changed(run);
    if (!done) return false;
    (void)snprintf(run->summary, sizeof(run->summary), "%" PRIu64 " %s %s, %" PRIu64 " %s",
                   pruning.result.removed, plural(pruning.result.removed, "point", "points"),
                   run->work.dry_run ? "would be removed" : "removed", pruning.result.kept,
                   plural(pruning.result.kept, "stays", "stay"));
    return true;
}

/* --- sweep --- */

static void warn_of(struct run *run, const struct sweep_result *result)
{
    struct err what = {0};
    if (result->faulty_packs > 0) {
        (void)err_set(&what, ERR_DAMAGED,
                      "%" PRIu64 " %s left that cannot be read whole: check the repository",
                      result->faulty_packs, plural(result->faulty_packs, "pack was", "packs were"));
        run_warn(run, span_of(NULL, 0), &what);
    }
    if (result->postponed_packs > 0) {
        (void)err_set(&what, ERR_NO_SPACE,
                      "%" PRIu64 " %s left for lack of space: %" PRIu64 " more bytes must be free",
                      result->postponed_packs, plural(result->postponed_packs, "pack was", "packs were"),
                      result->short_bytes);
        run_warn(run, span_of(NULL, 0), &what);
    }
}

static void tell_swept(const struct sweep_result *result, char *text, size_t size)
{
    char freed[16], moved[16];
    size_format(result->freed_bytes, freed);
    size_format(result->moved_bytes, moved);
    (void)snprintf(text, size,
                   "%" PRIu64 " %s taken away with %s, of which %s were written anew; %" PRIu64 " %s spared",
                   result->swept_packs, plural(result->swept_packs, "pack", "packs"), freed, moved,
                   result->spared_packs, plural(result->spared_packs, "pack", "packs"));
}

bool run_sweep(struct run *run, struct err *err)
{
    struct repository *repository = NULL;
    struct sweep_result result;
    if (!run_repository(run, run->repository, &repository, err)) return false;
    bool done = repository_sweep(repository, &result, err);
    tell_changed(run);
    if (!done) return false;
    atomic_fetch_add(&run->counters.stored_bytes, result.moved_bytes);
    atomic_fetch_add(&run->counters.skipped,
                     result.sessions); /* which tells the director that it is not over */
    char *text = run->summary;
    size_t size = sizeof(run->summary);
    if (result.outcome == SWEEP_CLEAN)
        (void)snprintf(text, size, "nothing to take away");
    else if (result.outcome == SWEEP_WAITS)
        (void)snprintf(text, size,
                       "%" PRIu64 " %s condemned; %" PRIu64
                       " running %s may still use what lies there: sweep again after the end",
                       result.condemned_packs, plural(result.condemned_packs, "pack is", "packs are"),
                       result.sessions, plural(result.sessions, "backup", "backups"));
    else
        tell_swept(&result, text, size);
    warn_of(run, &result);
    return true;
}

/* --- orders --- */

/* The order means the point file that its signer has seen. */
static bool is_meant(struct run *run, struct repository *repository, const struct id *point, struct err *err)
{
    const Sealift__OrderBody *order = run_order(run);
    AUTO(buf) struct buf file = {0};
    if (!repository_point_read(repository, point, &file, err)) return false;
    struct hash hash = hash_of(buf_span(&file));
    if (order->point_hash.len == HASH_LEN && memcmp(order->point_hash.data, hash.bytes, HASH_LEN) == 0)
        return true;
    return err_set(err, ERR_NOT_AUTHENTIC, "the point file is not the one that the order means");
}

static bool delete_point(struct run *run, struct repository *repository, const struct id *point,
                         struct err *err)
{
    AUTO(buf) struct buf label = {0};
    if (!repository_point_job(repository, point, &label, err)) return false;
    struct care_rule rule = rule_of(run, buf_cstr(&label), NULL, buf_span(&run->statement->bytes));
    return repository_delete(repository, point, &rule, err);
}

static bool carry_out(struct run *run, struct repository *repository, const struct id *point, struct err *err)
{
    struct span order = buf_span(&run->statement->bytes);
    switch (run_order(run)->kind) {
    case SEALIFT__ORDER_KIND__ORDER_HOLD:
        return repository_hold(repository, point, REPOSITORY_HELD, order, err);
    case SEALIFT__ORDER_KIND__ORDER_RELEASE:
        return repository_hold(repository, point, REPOSITORY_RELEASED, order, err);
    case SEALIFT__ORDER_KIND__ORDER_DELETE:
        return delete_point(run, repository, point, err);
    default:
        return repository_undelete(repository, point, order, err);
    }
}

bool run_care_order(struct run *run, struct err *err)
{
    struct repository *repository = NULL;
    struct id point = stored_id(&run_order(run)->point);
    bool undelete = run_order(run)->kind == SEALIFT__ORDER_KIND__ORDER_UNDELETE;
    if (!run_repository(run, run->repository, &repository, err) ||
        (!undelete && !is_meant(run, repository, &point, err)) ||
        !authority_execute_once(run->environment.authority, &run->subject, err) ||
        !carry_out(run, repository, &point, err))
        return false;
    tell_changed(run);
    run->point = point;
    run->has_point = true;
    return true;
}
