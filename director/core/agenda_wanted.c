#include "director/core/agenda_wanted.h"

#include "common/base/alloc.h"

#include <stdio.h>
#include <string.h>

struct wanted {
    const struct registry *registry;
    struct agenda_item *items;
    size_t count, cap;
};

static void wanted_deinit(struct wanted *wanted)
{
    free(wanted->items);
}
DEFINE_AUTO_IN_PLACE(wanted, struct wanted, wanted_deinit)

/* An empty spec: never. */
static void want(struct wanted *wanted, const struct agenda_item *item, const char *spec)
{
    if (!spec[0] || strcmp(spec, "none") == 0 || strlen(spec) > SCHEDULE_TEXT_MAX) return;
    if (wanted->count == wanted->cap) {
        wanted->cap = wanted->cap ? 2 * wanted->cap : 16;
        wanted->items = xreallocarray(wanted->items, wanted->cap, sizeof(*wanted->items));
    }
    struct agenda_item *added = &wanted->items[wanted->count++];
    *added = *item;
    (void)snprintf(added->spec, sizeof(added->spec), "%s", spec);
}

static const char *spec_or(const char *spec, const char *usual)
{
    return spec[0] ? spec : usual;
}

static void want_repository(struct wanted *wanted, const struct statement *statement)
{
    const Sealift__RepositoryBody *body = statement->body.repository;
    struct agenda_item item = {.repository = statement->id};
    if (body->deleted) return;
    memcpy(item.source, body->owner.data, SIGN_PK_LEN);
    memcpy(item.target, body->owner.data, SIGN_PK_LEN);
    item.kind = AGENDA_SWEEP;
    want(wanted, &item, spec_or(body->sweep, AGENDA_SWEEP_DEFAULT));
    item.kind = AGENDA_CHECK;
    item.sample_ppm = body->check_ppm ? body->check_ppm : AGENDA_SAMPLE_DEFAULT;
    want(wanted, &item, spec_or(body->check, AGENDA_CHECK_DEFAULT));
}

static bool has_rule(const Sealift__Retention *retention)
{
    return retention && (retention->last || retention->daily || retention->weekly || retention->monthly ||
                         retention->yearly);
}

static void want_prune(struct wanted *wanted, const struct statement *job)
{
    Sealift__StatementType type = SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY;
    struct agenda_item item = {.kind = AGENDA_PRUNE, .job = job->id};
    memcpy(item.repository.bytes, job->body.job->repository.data, ID_LEN);
    const struct statement *repository = registry_find(wanted->registry, type, &item.repository);
    if (!has_rule(job->body.job->retention) || !repository || repository->body.repository->deleted) return;
    memcpy(item.source, repository->body.repository->owner.data, SIGN_PK_LEN);
    memcpy(item.target, repository->body.repository->owner.data, SIGN_PK_LEN);
    want(wanted, &item, spec_or(repository->body.repository->sweep, AGENDA_SWEEP_DEFAULT));
}

static void want_job(struct wanted *wanted, const struct statement *job)
{
    struct run_plan plan;
    struct err ignored; /* it cannot run as things are: no owner, another zone */
    struct agenda_item item = {.kind = AGENDA_JOB, .job = job->id};
    if (job->body.job->deleted) return;
    want_prune(wanted, job);
    if (!job->body.job->schedule[0] || !registry_plan_job(wanted->registry, &job->id, &plan, &ignored))
        return;
    memcpy(item.source, plan.source, SIGN_PK_LEN);
    memcpy(item.target, plan.target, SIGN_PK_LEN);
    want(wanted, &item, job->body.job->schedule);
}

void agenda_plan_registry(struct agenda *agenda, const struct moment *now, const struct registry *registry)
{
    Sealift__StatementType repositories = SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY;
    Sealift__StatementType jobs = SEALIFT__STATEMENT_TYPE__STATEMENT_JOB;
    AUTO(wanted) struct wanted wanted = {.registry = registry};
    for (size_t i = 0; i < registry_count(registry, repositories); i++)
        want_repository(&wanted, registry_at(registry, repositories, i));
    for (size_t i = 0; i < registry_count(registry, jobs); i++)
        want_job(&wanted, registry_at(registry, jobs, i));
    agenda_plan(agenda, now, wanted.items, wanted.count);
}
