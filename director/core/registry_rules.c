#include "director/core/registry_rules.h"

#include "director/core/schedule.h"

#include <string.h>

static struct id id_of(const ProtobufCBinaryData *bytes)
{
    struct id id = {0};
    if (bytes->len == ID_LEN) memcpy(id.bytes, bytes->data, ID_LEN);
    return id;
}

static bool same_key(const ProtobufCBinaryData *key, const uint8_t *other)
{
    return key->len == SIGN_PK_LEN && memcmp(key->data, other, SIGN_PK_LEN) == 0;
}

/* NULL: unknown */
static const Sealift__RepositoryBody *repository_of(const struct registry *registry,
                                                    const ProtobufCBinaryData *id)
{
    struct id wanted = id_of(id);
    const struct statement *found =
        registry_find(registry, SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY, &wanted);
    return found ? found->body.repository : NULL;
}

/* NULL: *err says why */
static const Sealift__RepositoryBody *live_repository(const struct registry *registry,
                                                      const ProtobufCBinaryData *id, const char *what,
                                                      struct err *err)
{
    const Sealift__RepositoryBody *body = repository_of(registry, id);
    if (!body) (void)err_set(err, ERR_NOT_FOUND, "the repository %s is unknown", what);
    if (!body || !body->deleted) return body;
    (void)err_set(err, ERR_NOT_FOUND,
                  "repository '%s' was detached: 'sealift repository attach' brings it back", body->name);
    return NULL;
}

/* ---- repositories */

static bool repository_name_free(const struct registry *registry, const struct statement *statement,
                                 struct err *err)
{
    const char *name = statement->body.repository->name;
    for (size_t i = 0; i < registry_count(registry, statement->type); i++) {
        const struct statement *other = registry_at(registry, statement->type, i);
        if (!id_eq(&other->id, &statement->id) && !other->body.repository->deleted &&
            strcmp(other->body.repository->name, name) == 0)
            return err_set(err, ERR_EXISTS, "there is a repository '%s' already", name);
    }
    return true;
}

/* Empty: the usual one. */
static bool schedule_check(const char *spec, struct err *err)
{
    static const struct id any = {{0}};
    struct schedule schedule;
    return !spec[0] || schedule_parse(spec, &any, &schedule, err);
}

static bool check_repository(const struct registry *registry, const struct statement *statement,
                             const struct statement *old, struct err *err)
{
    const Sealift__RepositoryBody *body = statement->body.repository;
    if (body->deleted) return true;
    if (!roster_transporter(registry->roster, body->owner.data))
        return err_set(err, ERR_NOT_FOUND,
                       "the owner of repository '%s' is no transporter of the current roster", body->name);
    if (old && old->body.repository->kind != body->kind)
        return err_set(err, ERR_POLICY, "repository '%s' stays what it was made as, encrypted or plaintext",
                       body->name);
    if (!schedule_check(body->sweep, err) || !schedule_check(body->check, err))
        return err_wrap(err, "repository '%s'", body->name);
    if (body->check_ppm > RUN_SAMPLE_ALL)
        return err_set(err, ERR_USAGE, "repository '%s': a check of more than all packs", body->name);
    return repository_name_free(registry, statement, err);
}

/* ---- jobs */

static bool job_name_free(const struct registry *registry, const struct statement *statement, struct err *err)
{
    const char *name = statement->body.job->name;
    for (size_t i = 0; i < registry_count(registry, statement->type); i++) {
        const struct statement *other = registry_at(registry, statement->type, i);
        if (!id_eq(&other->id, &statement->id) && !other->body.job->deleted &&
            strcmp(other->body.job->name, name) == 0)
            return err_set(err, ERR_EXISTS, "there is a job '%s' already", name);
    }
    return true;
}

static const char *member_name(const struct registry *registry, const uint8_t *key)
{
    const Sealift__Member *member = roster_transporter(registry->roster, key);
    return member ? member->name : "?";
}

/* A rendezvous may take the proxy of the link: whether there is one is known when it runs. */
static bool job_way(const Sealift__JobBody *job, struct way_wish *out, struct err *err)
{
    bool by_link = job->connection == SEALIFT__CONNECTION__CONNECTION_RENDEZVOUS && !job->proxy[0];
    if (!by_link) return way_wish_make(job->connection, job->proxy, out, err);
    *out = (struct way_wish){.connection = job->connection};
    return true;
}

static bool plan_job(const struct registry *registry, const Sealift__JobBody *job, struct run_plan *out,
                     struct err *err)
{
    bool copy = job->kind == SEALIFT__JOB_KIND__JOB_COPY;
    const Sealift__RepositoryBody *to =
        live_repository(registry, &job->repository, "that the job writes to", err);
    const Sealift__RepositoryBody *from =
        to && copy ? live_repository(registry, &job->from_repository, "that the job copies from", err) : NULL;
    if (!to || (copy && !from)) return false;
    if (!job_way(job, &out->own_way, err)) return false;
    struct placement_facts facts;
    if (!placement_of_job(job, registry->roster, to, from, &facts, err) || !placement_check(&facts, err))
        return false;
    out->kind = copy ? RUN_COPY : RUN_BACKUP;
    out->priority = job->priority ? job->priority : RUN_PRIORITY_USUAL;
    out->repository = id_of(&job->repository);
    memcpy(out->source, job->source.data, SIGN_PK_LEN);
    memcpy(out->target, to->owner.data, SIGN_PK_LEN);
    return true;
}

static bool is_detached(const struct registry *registry, const ProtobufCBinaryData *id)
{
    const Sealift__RepositoryBody *body = repository_of(registry, id);
    return body && body->deleted;
}

/* Jobs outlive the detachment of a repository, also at a director that is given them back: what they may do
 * is judged when it is attached again, and they run. */
static bool rests(const struct registry *registry, const Sealift__JobBody *job)
{
    bool copy = job->kind == SEALIFT__JOB_KIND__JOB_COPY;
    return is_detached(registry, &job->repository) || (copy && is_detached(registry, &job->from_repository));
}

static bool check_job(const struct registry *registry, const struct statement *statement, struct err *err)
{
    const Sealift__JobBody *body = statement->body.job;
    if (body->deleted) return true;
    struct run_plan plan = {0};
    bool fits = rests(registry, body) || plan_job(registry, body, &plan, err);
    if (!fits || !schedule_check(body->schedule, err)) return err_wrap(err, "job '%s'", body->name);
    return job_name_free(registry, statement, err);
}

static void name_sides(const struct registry *registry, struct run_plan *plan)
{
    plan->source_name = member_name(registry, plan->source);
    plan->target_name = member_name(registry, plan->target);
}

bool registry_plan_job(const struct registry *registry, const struct id *job, struct run_plan *out,
                       struct err *err)
{
    const struct statement *statement = registry_find(registry, SEALIFT__STATEMENT_TYPE__STATEMENT_JOB, job);
    if (!statement) return err_set(err, ERR_NOT_FOUND, "there is no such job");
    const Sealift__JobBody *body = statement->body.job;
    if (body->deleted) return err_set(err, ERR_NOT_FOUND, "job '%s' was deleted", body->name);
    struct run_plan plan = {.subject = SEALIFT__STATEMENT_TYPE__STATEMENT_JOB,
                            .subject_id = *job,
                            .subject_version = statement->version};
    if (!plan_job(registry, body, &plan, err)) return err_wrap(err, "job '%s'", body->name);
    name_sides(registry, &plan);
    *out = plan;
    return true;
}

/* ---- maintenance */

static bool job_writes_to(const struct registry *registry, const struct id *job, const struct id *repository,
                          struct err *err)
{
    const struct statement *known = registry_find(registry, SEALIFT__STATEMENT_TYPE__STATEMENT_JOB, job);
    if (!known) return err_set(err, ERR_NOT_FOUND, "there is no such job");
    struct id written = id_of(&known->body.job->repository);
    if (id_eq(&written, repository)) return true;
    return err_set(err, ERR_NOT_FOUND, "job '%s' does not write to this repository", known->body.job->name);
}

bool registry_plan_maintenance(const struct registry *registry, const struct id *repository,
                               const struct run_work *work, struct run_plan *out, struct err *err)
{
    Sealift__StatementType type = SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY;
    const struct statement *statement = registry_find(registry, type, repository);
    if (!statement) return err_set(err, ERR_NOT_FOUND, "there is no such repository");
    const Sealift__RepositoryBody *body = statement->body.repository;
    if (body->deleted)
        return err_set(err, ERR_NOT_FOUND,
                       "repository '%s' was detached: 'sealift repository attach' brings it back",
                       body->name);
    bool prune = work->kind == SEALIFT__MAINTENANCE_KIND__MAINTENANCE_PRUNE;
    if (prune && !id_is_zero(&work->about) && !job_writes_to(registry, &work->about, repository, err))
        return false;
    if (!roster_transporter(registry->roster, body->owner.data))
        return err_set(err, ERR_NOT_FOUND, "the owner of repository '%s' is no transporter of the roster",
                       body->name);
    struct run_plan plan = {.subject = type,
                            .subject_id = *repository,
                            .subject_version = statement->version,
                            .kind = RUN_MAINTENANCE,
                            .priority = RUN_PRIORITY_LAST,
                            .repository = *repository,
                            .work = *work};
    memcpy(plan.source, body->owner.data, SIGN_PK_LEN);
    memcpy(plan.target, body->owner.data, SIGN_PK_LEN);
    name_sides(registry, &plan);
    *out = plan;
    return true;
}

/* ---- grants */

static bool check_grant(const struct registry *registry, const struct statement *statement, struct err *err)
{
    const Sealift__GrantBody *body = statement->body.grant;
    if (body->withdrawn) return true;
    if (!roster_transporter(registry->roster, statement->audience) &&
        !roster_operator(registry->roster, statement->audience))
        return err_set(err, ERR_NOT_FOUND,
                       "the recipient of a grant of key '%s' is not in the current roster", body->key_label);
    const struct unlock_fact *unlock = registry_unlock(registry, body->unlock_hash.data);
    if (!unlock)
        return err_set(err, ERR_NOT_FOUND, "the unlock section of key '%s' must be put before its grants",
                       body->key_label);
    if (memcmp(unlock->key_id.bytes, body->key_id.data, HASH_LEN) != 0)
        return err_set(err, ERR_PROTOCOL, "a grant of key '%s' names the unlock section of another key",
                       body->key_label);
    return true;
}

/* ---- orders */

/* An order about what a repository keeps, of which nobody opens anything: for its owner alone. */
static bool is_care(Sealift__OrderKind kind)
{
    return kind == SEALIFT__ORDER_KIND__ORDER_PROTECT || kind == SEALIFT__ORDER_KIND__ORDER_HOLD ||
           kind == SEALIFT__ORDER_KIND__ORDER_RELEASE || kind == SEALIFT__ORDER_KIND__ORDER_DELETE ||
           kind == SEALIFT__ORDER_KIND__ORDER_UNDELETE;
}

static bool order_known_kind(const Sealift__OrderBody *order, struct err *err)
{
    if (order->kind == SEALIFT__ORDER_KIND__ORDER_RESTORE ||
        order->kind == SEALIFT__ORDER_KIND__ORDER_BROWSE ||
        order->kind == SEALIFT__ORDER_KIND__ORDER_REWRAP || is_care(order->kind))
        return true;
    return err_set(err, ERR_USAGE, "orders of this kind are not there in this version");
}

static bool order_sides(const struct registry *registry, const Sealift__OrderBody *order,
                        const Sealift__RepositoryBody *repository, struct err *err)
{
    struct placement_facts facts;
    if (!placement_of_order(order, registry->roster, repository, &facts, err)) return false;
    if (!is_care(order->kind)) return placement_check(&facts, err);
    if (same_key(&order->target, repository->owner.data)) return true;
    return err_set(err, ERR_PROTOCOL, "an order about a point is for the owner of its repository");
}

static bool answers_an_operator(const struct registry *registry, const Sealift__OrderBody *order,
                                struct err *err)
{
    if (roster_operator(registry->roster, order->answer_to.data)) return true;
    return err_set(err, ERR_NOT_FOUND, "the operator whom the order answers is not in the current roster");
}

/* One host on both sides, and no repository. */
static bool plan_alone(const struct registry *registry, const struct statement *statement,
                       struct run_plan *out, struct err *err)
{
    const Sealift__OrderBody *order = statement->body.order;
    if (!placement_check_alone(order, registry->roster, err) || !answers_an_operator(registry, order, err))
        return false;
    struct run_plan plan = {.subject = SEALIFT__STATEMENT_TYPE__STATEMENT_ORDER,
                            .subject_id = statement->id,
                            .subject_version = statement->version,
                            .kind = RUN_WRAP};
    memcpy(plan.source, order->target.data, SIGN_PK_LEN);
    memcpy(plan.target, order->target.data, SIGN_PK_LEN);
    name_sides(registry, &plan);
    *out = plan;
    return true;
}

/* Somebody waits for it, but for what a rewrap does. */
static uint32_t priority_of_order(Sealift__OrderKind kind)
{
    return kind == SEALIFT__ORDER_KIND__ORDER_REWRAP ? RUN_PRIORITY_USUAL : RUN_PRIORITY_RECOVERY;
}

bool registry_plan_order(const struct registry *registry, const struct statement *statement,
                         struct run_plan *out, struct err *err)
{
    const Sealift__OrderBody *order = statement->body.order;
    if (placement_is_alone(order->kind)) return plan_alone(registry, statement, out, err);
    if (!order_known_kind(order, err)) return false;
    const Sealift__RepositoryBody *repository =
        live_repository(registry, &order->repository, "that the order reads", err);
    if (!repository || !order_sides(registry, order, repository, err)) return false;
    if (order->kind == SEALIFT__ORDER_KIND__ORDER_BROWSE && !answers_an_operator(registry, order, err))
        return false;
    struct run_plan plan = {.subject = SEALIFT__STATEMENT_TYPE__STATEMENT_ORDER,
                            .subject_id = statement->id,
                            .subject_version = statement->version,
                            .kind = RUN_RECOVERY,
                            .priority = priority_of_order(order->kind),
                            .repository = id_of(&order->repository)};
    memcpy(plan.source, repository->owner.data, SIGN_PK_LEN);
    memcpy(plan.target, order->target.data, SIGN_PK_LEN);
    name_sides(registry, &plan);
    *out = plan;
    return true;
}

/* ---- all */

bool registry_rules_check(const struct registry *registry, const struct statement *statement,
                          const struct statement *old, struct err *err)
{
    struct run_plan plan;
    switch (statement->type) {
    case SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY:
        return check_repository(registry, statement, old, err);
    case SEALIFT__STATEMENT_TYPE__STATEMENT_JOB:
        return check_job(registry, statement, err);
    case SEALIFT__STATEMENT_TYPE__STATEMENT_GRANT:
        return check_grant(registry, statement, err);
    case SEALIFT__STATEMENT_TYPE__STATEMENT_ORDER:
        return registry_plan_order(registry, statement, &plan, err);
    default:
        return err_set(err, ERR_PROTOCOL, "a statement of no known type");
    }
}

static bool owns(const struct registry *registry, const ProtobufCBinaryData *repository, const uint8_t *host)
{
    const Sealift__RepositoryBody *body = repository_of(registry, repository);
    return body && same_key(&body->owner, host);
}

bool registry_concerns(const struct registry *registry, const struct statement *statement,
                       const uint8_t host[SIGN_PK_LEN])
{
    switch (statement->type) {
    case SEALIFT__STATEMENT_TYPE__STATEMENT_ROSTER:
    case SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY:
        return true;
    case SEALIFT__STATEMENT_TYPE__STATEMENT_JOB: {
        const Sealift__JobBody *job = statement->body.job;
        return same_key(&job->source, host) || owns(registry, &job->repository, host) ||
               owns(registry, &job->from_repository, host);
    }
    case SEALIFT__STATEMENT_TYPE__STATEMENT_GRANT:
        return memcmp(statement->audience, host, SIGN_PK_LEN) == 0;
    case SEALIFT__STATEMENT_TYPE__STATEMENT_ORDER: {
        const Sealift__OrderBody *order = statement->body.order;
        return same_key(&order->target, host) || owns(registry, &order->repository, host);
    }
    default:
        return false;
    }
}
