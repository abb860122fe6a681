/* Runs that change which points a repository has: prune and sweep, which the director asks for and which go
 * by what operators have signed before, and orders to hold, release, delete or undelete a point. No key. */
#include "common/base/text.h"
#include "common/wire/stored.h"
#include "transporter/repository/care.h"
#include "transporter/repository/sweep.h"
#include "transporter/session/run_inside.h"

#include <inttypes.h>
#include <string.h>

/* --- what is signed --- */

static struct retention_floor floor_of(const struct run *run)
{
    const Sealift__RepositoryBody *body = run->repository->body.repository;
    const struct policy *policy = run->environment.policy;
    struct retention_floor signed_one = {.keep_least = body->keep_least, .keep_age_s = body->keep_age_s};
    struct retention_floor own = {.keep_least = policy->keep_least, .keep_age_s = policy->keep_age_s};
    return retention_stricter(&signed_one, &own);
}

/* The longest time for which any job that ever wrote such points here promised to keep them. */
struct promise {
    const struct id *repository;
    const char *label;
    uint64_t immutable_s;
};

static bool same_id(const ProtobufCBinaryData *bytes, const struct id *id)
{
    return bytes->len == ID_LEN && memcmp(bytes->data, id->bytes, ID_LEN) == 0;
}

/* The label of the points that a job writes; "" for a copy of all jobs. */
static const char *label_of(const Sealift__JobBody *job)
{
    return job->kind == SEALIFT__JOB_KIND__JOB_COPY ? job->from_job : job->name;
}

static void add_promise(void *arg, const struct statement *statement)
{
    struct promise *promise = arg;
    const Sealift__JobBody *job = statement->body.job;
    const char *label = label_of(job);
    if (!job->retention || !same_id(&job->repository, promise->repository)) return;
    if (*label && strcmp(label, promise->label) != 0) return;
    if (job->retention->immutable_s > promise->immutable_s)
        promise->immutable_s = job->retention->immutable_s;
}

static struct care_rule rule_of(struct run *run, const struct id *repository, const char *label,
                                const Sealift__Retention *retention, struct span statement)
{
    struct promise promise = {.repository = repository, .label = label};
    struct care_rule rule = {.job = label, .floor = floor_of(run), .statement = statement};
    authority_each(run->environment.authority, SEALIFT__STATEMENT_TYPE__STATEMENT_JOB, add_promise, &promise);
    if (retention)
        rule.retention = (struct retention){.last = retention->last,
                                            .daily = retention->daily,
                                            .weekly = retention->weekly,
                                            .monthly = retention->monthly,
                                            .yearly = retention->yearly};
    rule.retention.immutable_s = promise.immutable_s;
    return rule;
}

static void tell_changed(struct run *run)
{
    run->environment.hooks.changed(run->environment.hooks.arg);
}

/* --- prune --- */

static bool prunable(const struct run *run, const Sealift__JobBody *job, struct err *err)
{
    if (job->deleted) return err_set(err, ERR_POLICY, "the job '%s' has been deleted", job->name);
    if (!same_id(&job->repository, &run->subject))
        return err_set(err, ERR_POLICY, "the job '%s' does not write to this repository", job->name);
    if (*label_of(job)) return true;
    return err_set(err, ERR_POLICY,
                   "the job '%s' copies the points of all jobs: which of them it may remove is not said",
                   job->name);
}

/* For a dry run: what would become of each point, to the operators alone. */
static void tell_point(void *arg, const struct repository_point *point, enum retention_reason reason)
{
    char id[2 * ID_LEN + 1];
    struct err line = {0};
    hex_encode(point->point.bytes, ID_LEN, id);
    bool goes = reason == RETENTION_REMOVE;
    (void)err_set(&line, ERR_NONE, "point %.12s, log entry %" PRIu64 ": %s%s", id, point->number,
                  goes ? "would be removed" : "stays: ", goes ? "" : retention_reason_text(reason));
    run_explain(arg, &line);
}

bool run_prune(struct run *run, struct err *err)
{
    struct repository *repository = NULL;
    AUTO(statement) struct statement *job = NULL;
    if (!authority_statement(run->environment.authority, SEALIFT__STATEMENT_TYPE__STATEMENT_JOB,
                             &run->work.job, &job, err) ||
        !prunable(run, job->body.job, err) || !run_repository(run, run->repository, &repository, err))
        return false;
    bool dry = run->work.dry_run;
    struct prune_result result;
    struct care_rule rule =
        rule_of(run, &run->subject, label_of(job->body.job), job->body.job->retention, buf_span(&job->bytes));
    bool done = repository_prune(repository, &rule, dry ? PRUNE_TELL : PRUNE_REMOVE, dry ? tell_point : NULL,
                                 run, &result, err);
    if (!dry) tell_changed(run);
    if (!done) return false;
    (void)snprintf(run->summary, sizeof(run->summary), "%" PRIu64 " points %s, %" PRIu64 " stay",
                   result.removed, dry ? "would be removed" : "removed", result.kept);
    return true;
}

/* --- sweep --- */

bool run_sweep(struct run *run, struct err *err)
{
    struct repository *repository = NULL;
    struct sweep_result result;
    if (!run_repository(run, run->repository, &repository, err)) return false;
    bool done = repository_sweep(repository, &result, err);
    tell_changed(run);
    if (!done) return false;
    atomic_fetch_add(&run->counters.stored_bytes, result.moved_bytes);
    char *text = run->summary;
    size_t size = sizeof(run->summary);
    if (result.outcome == SWEEP_CLEAN)
        (void)snprintf(text, size, "nothing to take away");
    else if (result.outcome == SWEEP_WAITS)
        (void)snprintf(text, size,
                       "%" PRIu64 " packs are condemned; %" PRIu64
                       " running backups may still use them: sweep again when they have ended",
                       result.condemned_packs, result.sessions);
    else
        (void)snprintf(text, size,
                       "%" PRIu64 " packs taken away with %" PRIu64 " bytes, of which %" PRIu64
                       " were written anew; %" PRIu64 " packs spared",
                       result.swept_packs, result.freed_bytes, result.moved_bytes, result.spared_packs);
    if (result.faulty_packs == 0) return true;
    struct err what = {0};
    (void)err_set(&what, ERR_DAMAGED,
                  "%" PRIu64 " packs cannot be read whole and were left: check the repository",
                  result.faulty_packs);
    run_warn(run, span_of(NULL, 0), &what);
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
    struct id id = stored_id(&run_order(run)->repository);
    struct care_rule rule = rule_of(run, &id, buf_cstr(&label), NULL, buf_span(&run->statement->bytes));
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
