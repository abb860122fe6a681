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

/* --- writers --- */

struct naming {
    struct care_writers *writers;
    const struct statement *repository;
    const char *label;
    bool taken; /* the label: copies of all jobs do not write it */
};

/* NULL: the job's points are signed by whoever made them first. */
static const ProtobufCBinaryData *signer_of(const Sealift__JobBody *job, const struct statement *repository)
{
    switch (job->placement) {
    case SEALIFT__PLACEMENT__PLACE_SOURCE:
    case SEALIFT__PLACEMENT__PLACE_PLAIN:
        return &job->source;
    case SEALIFT__PLACEMENT__PLACE_TARGET:
        return &repository->body.repository->owner;
    default:
        return NULL;
    }
}

static void name_writer(void *arg, const struct statement *statement)
{
    struct naming *naming = arg;
    const Sealift__JobBody *job = statement->body.job;
    const char *label = statement_job_label(job);
    const ProtobufCBinaryData *signer = signer_of(job, naming->repository);
    if (job->deleted || !signer || !writes_to(job, &naming->repository->id)) return;
    if (*label ? strcmp(label, naming->label) != 0 : naming->taken) return;
    bool copies = job->kind == SEALIFT__JOB_KIND__JOB_COPY;
    struct care_named *named = copies ? &naming->writers->of_copies : &naming->writers->of_backups;
    bool same = named->count == CARE_ONE && memcmp(named->writer, signer->data, SIGN_PK_LEN) == 0;
    if (!same) named->count = named->count == CARE_NOBODY ? CARE_ONE : CARE_SEVERAL;
    memcpy(named->writer, signer->data, SIGN_PK_LEN);
}

void care_writers_of(struct authority *authority, const struct roster *roster,
                     const struct statement *repository, const char *label, struct care_writers *out)
{
    *out = (struct care_writers){.roster = roster};
    struct naming naming = {.writers = out,
                            .repository = repository,
                            .label = label,
                            .taken = care_label_is_taken(authority, &repository->id, label)};
    authority_each(authority, SEALIFT__STATEMENT_TYPE__STATEMENT_JOB, name_writer, &naming);
}

/* Who was let in under the name of a writer that was revoked takes its place. */
static void succeed_by_name(const struct roster *roster, uint8_t writer[SIGN_PK_LEN])
{
    const Sealift__Member *successor = roster_successor(roster, writer);
    if (successor) memcpy(writer, successor->sign_pk.data, SIGN_PK_LEN);
}

static void find_heir(const struct care_writers *writers, struct care_line *heir)
{
    static const uint8_t none[SIGN_PK_LEN];
    bool anew = memcmp(heir->origin, none, SIGN_PK_LEN) != 0;
    const struct care_named *named = anew ? &writers->of_copies : &writers->of_backups;
    if (named->count == CARE_ONE && roster_transporter(writers->roster, named->writer))
        memcpy(heir->signer, named->writer, SIGN_PK_LEN);
    else
        succeed_by_name(writers->roster, heir->signer);
    succeed_by_name(writers->roster, heir->origin);
}

void care_line_of(const void *arg, uint64_t time_ns, struct care_line *line, struct care_line *heir)
{
    static const uint8_t none[SIGN_PK_LEN];
    const struct care_writers *writers = arg;
    uint64_t signer_since = UINT64_MAX, origin_since = UINT64_MAX;
    (void)roster_ever_admitted(writers->roster, line->signer, &signer_since);
    if (memcmp(line->origin, none, SIGN_PK_LEN) != 0 &&
        !roster_ever_admitted(writers->roster, line->origin, &origin_since))
        memset(line->origin, 0xff, SIGN_PK_LEN);
    *heir = *line;
    find_heir(writers, heir);
    line->late = time_ns >= signer_since || time_ns >= origin_since;
}
