#include "transporter/session/care_rules.h"

#include "common/wire/stored.h"

#include <string.h>

static bool writes_to(const Sealift__JobBody *job, const struct id *repository)
{
    return job->repository.len == ID_LEN && memcmp(job->repository.data, repository->bytes, ID_LEN) == 0;
}

/* --- the rule --- */

static struct retention rule_in(const Sealift__Retention *retention)
{
    return (struct retention){.last = retention->last,
                              .daily = retention->daily,
                              .weekly = retention->weekly,
                              .monthly = retention->monthly,
                              .yearly = retention->yearly};
}

static uint32_t more(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* Each count keeps more the higher it is: the greatest of each keep what either rule does. */
static void widen(struct retention *rule, const Sealift__Retention *by)
{
    rule->last = more(rule->last, by->last);
    rule->daily = more(rule->daily, by->daily);
    rule->weekly = more(rule->weekly, by->weekly);
    rule->monthly = more(rule->monthly, by->monthly);
    rule->yearly = more(rule->yearly, by->yearly);
}

static bool is_empty(const struct retention *rule)
{
    return !rule->last && !rule->daily && !rule->weekly && !rule->monthly && !rule->yearly;
}

struct gathering {
    const struct id *repository;
    const char *label;
    bool taken; /* the label: copies of all jobs have no say */
    struct retention rule;
    bool keep_all; /* a job has no rule */
};

static void add_rule(struct gathering *gathering, const Sealift__Retention *by)
{
    struct retention rule = by ? rule_in(by) : (struct retention){0};
    if (is_empty(&rule))
        gathering->keep_all = true;
    else
        widen(&gathering->rule, by);
}

static void add_job(void *arg, const struct statement *statement)
{
    struct gathering *gathering = arg;
    const Sealift__JobBody *job = statement->body.job;
    const char *label = statement_job_label(job);
    if (!writes_to(job, gathering->repository)) return;
    if (*label && strcmp(label, gathering->label) != 0) return;
    if (job->retention && job->retention->immutable_s > gathering->rule.immutable_s)
        gathering->rule.immutable_s = job->retention->immutable_s;
    if (!job->deleted && (*label || !gathering->taken)) add_rule(gathering, job->retention);
}

static struct retention_floor floor_of(const struct statement *repository, const struct policy *policy)
{
    const Sealift__RepositoryBody *body = repository->body.repository;
    struct retention_floor signed_one = {.keep_least = body->keep_least, .keep_age_s = body->keep_age_s};
    struct retention_floor own = {.keep_least = policy->keep_least, .keep_age_s = policy->keep_age_s};
    return retention_stricter(&signed_one, &own);
}

struct care_rule care_rule_of(struct authority *authority, const struct statement *repository,
                              const struct policy *policy, const char *label, const Sealift__Retention *asked,
                              struct span statement)
{
    struct retention own = asked ? rule_in(asked) : (struct retention){0};
    struct gathering gathering = {.repository = &repository->id,
                                  .label = label,
                                  .taken = care_label_is_taken(authority, &repository->id, label),
                                  .rule = own};
    authority_each(authority, SEALIFT__STATEMENT_TYPE__STATEMENT_JOB, add_job, &gathering);
    if (is_empty(&own) || gathering.keep_all)
        gathering.rule = (struct retention){.immutable_s = gathering.rule.immutable_s};
    return (struct care_rule){.job = label,
                              .retention = gathering.rule,
                              .floor = floor_of(repository, policy),
                              .statement = statement};
}

/* --- labels --- */

struct claim {
    const struct id *repository;
    const char *label;
    bool found;
};

static void look_for(void *arg, const struct statement *statement)
{
    struct claim *claim = arg;
    const Sealift__JobBody *job = statement->body.job;
    const char *label = statement_job_label(job);
    claim->found =
        claim->found || (*label && writes_to(job, claim->repository) && strcmp(label, claim->label) == 0);
}

bool care_label_is_taken(struct authority *authority, const struct id *repository, const char *label)
{
    struct claim claim = {.repository = repository, .label = label};
    authority_each(authority, SEALIFT__STATEMENT_TYPE__STATEMENT_JOB, look_for, &claim);
    return claim.found;
}
