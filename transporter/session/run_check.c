#include "common/wire/connection_name.h"
#include "common/wire/placement.h"
#include "transporter/session/run_inside.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#define TYPE(name) SEALIFT__STATEMENT_TYPE__STATEMENT_##name

static bool same_key(const uint8_t *a, const uint8_t *b)
{
    return memcmp(a, b, SIGN_PK_LEN) == 0;
}

static bool take_roster(struct run *run, struct err *err)
{
    run->roster = authority_roster_take(run->environment.authority);
    if (run->roster && authority_member(run->environment.authority)) return true;
    return err_set(err, ERR_POLICY, "this transporter is not in the current roster");
}

static bool take_statement(struct run *run, struct err *err)
{
    if (run->subject_type != TYPE(JOB) && run->subject_type != TYPE(ORDER) &&
        run->subject_type != TYPE(REPOSITORY))
        return err_set(err, ERR_PROTOCOL, "a run of neither a job nor an order nor a repository");
    if (!authority_statement(run->environment.authority, run->subject_type, &run->subject, &run->statement,
                             err))
        return false;
    if (run->statement->version == run->subject_version) return true;
    return err_set(err, ERR_POLICY,
                   "the run is of version %" PRIu64 " of the %s, and this transporter holds version %" PRIu64,
                   run->subject_version, statement_type_name(run->subject_type), run->statement->version);
}

static bool take_repository(struct run *run, const ProtobufCBinaryData *id, struct statement **out,
                            struct err *err)
{
    struct id repository;
    memcpy(repository.bytes, id->data, ID_LEN);
    if (!authority_statement(run->environment.authority, TYPE(REPOSITORY), &repository, out, err))
        return false;
    if (!(*out)->body.repository->deleted) return true;
    return err_set(err, ERR_POLICY, "the repository '%s' has been deleted", (*out)->body.repository->name);
}

/* This transporter is the side that it is told to be, and the peer is the other one. */
static bool check_sides(struct run *run, const uint8_t *source, const uint8_t *target, struct err *err)
{
    const uint8_t *self = run->environment.self->known.sign_pk;
    bool local = same_key(source, target);
    const uint8_t *expected_self = run->side == SEALIFT__RUN_SIDE__SIDE_TARGET ? target : source;
    const uint8_t *expected_peer = run->side == SEALIFT__RUN_SIDE__SIDE_TARGET ? source : target;
    if (run->side == SEALIFT__RUN_SIDE__SIDE_NONE || local != run_is_local(run) ||
        !same_key(self, expected_self))
        return err_set(err, ERR_POLICY, "this transporter is not that side of the run");
    if (!local && (!run->has_peer || !same_key(run->peer, expected_peer)))
        return err_set(err, ERR_POLICY, "the peer is not whom the %s means",
                       statement_type_name(run->subject_type));
    run->source = roster_transporter(run->roster, source);
    run->target = roster_transporter(run->roster, target);
    if (run->source && run->target) return true;
    return err_set(err, ERR_NOT_FOUND, "the %s of this run is no transporter of the current roster",
                   run->source ? "target" : "source");
}

/* Plaintext leaves this host only towards those whom its own configuration names. */
static bool check_plaintext(const struct run *run, const struct placement_facts *facts, struct err *err)
{
    /* of a copy the repository says what leaves, unless it is sealed before it does */
    bool copy = facts->kind == SEALIFT__JOB_KIND__JOB_COPY;
    bool plain = (!copy && (facts->placement == SEALIFT__PLACEMENT__PLACE_TARGET ||
                            facts->placement == SEALIFT__PLACEMENT__PLACE_PLAIN ||
                            facts->open_at == SEALIFT__OPEN_AT__OPEN_AT_SOURCE)) ||
                 (facts->from_store == SEALIFT__STORE_KIND__STORE_PLAINTEXT &&
                  facts->placement != SEALIFT__PLACEMENT__PLACE_SOURCE);
    if (!plain || run->side != SEALIFT__RUN_SIDE__SIDE_SOURCE) return true;
    return policy_may_send_plaintext(run->environment.policy, run->target->name, err);
}

/* What a job says itself of how its hosts meet holds whatever the director assigns. */
static bool check_connection(const struct run *run, const Sealift__JobBody *job, struct err *err)
{
    if (run_is_local(run) || job->connection == SEALIFT__CONNECTION__CONNECTION_NONE) return true;
    if (job->connection == run->way.connection)
        return job->proxy[0] == '\0' || run->way.proxy[0] == '\0' ||
               strcmp(job->proxy, run->way.proxy) == 0 ||
               err_set(err, ERR_POLICY, "the job names the proxy '%.200s', and the assignment '%.200s'",
                       job->proxy, run->way.proxy);
    return err_set(err, ERR_POLICY, "the job says '%s' for its connection, and the assignment '%s'",
                   connection_name(job->connection),
                   run->way.connection == SEALIFT__CONNECTION__CONNECTION_NONE
                       ? "none"
                       : connection_name(run->way.connection));
}

static bool check_job(struct run *run, struct placement_facts *facts, struct err *err)
{
    const Sealift__JobBody *job = run_job(run);
    bool copy = job->kind == SEALIFT__JOB_KIND__JOB_COPY;
    if (job->deleted) return err_set(err, ERR_POLICY, "the job '%s' has been deleted", job->name);
    if (!take_repository(run, &job->repository, &run->repository, err)) return false;
    if (copy && !take_repository(run, &job->from_repository, &run->from, err)) return false;
    const Sealift__RepositoryBody *to = run->repository->body.repository;
    if (!check_sides(run, job->source.data, to->owner.data, err)) return false;
    if (!check_connection(run, job, err)) return false;
    return placement_of_job(job, run->roster, to, copy ? run->from->body.repository : NULL, facts, err);
}

static bool check_order_kind(const Sealift__OrderBody *order, struct err *err)
{
    static const char *const names[] = {
        [SEALIFT__ORDER_KIND__ORDER_SHORTEN] = "shorten",
        [SEALIFT__ORDER_KIND__ORDER_REENCRYPT] = "reencrypt",
    };
    size_t known = sizeof(names) / sizeof(names[0]);
    if (order->kind != SEALIFT__ORDER_KIND__ORDER_RESTORE &&
        order->kind != SEALIFT__ORDER_KIND__ORDER_BROWSE && order->kind != SEALIFT__ORDER_KIND__ORDER_REWRAP)
        return err_set(err, ERR_POLICY, "orders to %s are not carried out in this version",
                       (size_t)order->kind < known && names[order->kind] ? names[order->kind] : "do that");
    if (order->kind != SEALIFT__ORDER_KIND__ORDER_RESTORE &&
        order->open_at == SEALIFT__OPEN_AT__OPEN_AT_SOURCE)
        return err_set(err, ERR_POLICY,
                       order->kind == SEALIFT__ORDER_KIND__ORDER_BROWSE
                           ? "the answers to a browse are sealed where it is opened: at the target"
                           : "the target of an order to rewrap does it");
    return true;
}

static bool order_stands(const struct run *run, struct err *err)
{
    if (run->statement->expiry_s && (uint64_t)time(NULL) > run->statement->expiry_s)
        return err_set(err, ERR_POLICY, "the order has expired");
    /* jobs outlive the operator who made them; an order does not */
    if (roster_operator(run->roster, run->statement->signer)) return true;
    return err_set(err, ERR_POLICY, "the signer of the order is no operator of the current roster");
}

/* What is done to a point where it lies; no zone matters, nothing is opened. */
static bool check_care_order(struct run *run, struct err *err)
{
    const Sealift__OrderBody *order = run_order(run);
    if (!order_stands(run, err) || !take_repository(run, &order->repository, &run->repository, err))
        return false;
    const uint8_t *owner = run->repository->body.repository->owner.data;
    return check_sides(run, owner, owner, err);
}

/* S for a protector of this host's configuration, or what it knows of keys: the host alone, and no
 * repository. */
static bool check_lone_order(struct run *run, struct err *err)
{
    const uint8_t *host = run_order(run)->target.data;
    return order_stands(run, err) && check_sides(run, host, host, err) &&
           placement_check_alone(run_order(run), run->roster, err);
}

static bool check_order(struct run *run, struct placement_facts *facts, struct err *err)
{
    const Sealift__OrderBody *order = run_order(run);
    if (!order_stands(run, err)) return false;
    if (!check_order_kind(order, err)) return false;
    if (!take_repository(run, &order->repository, &run->repository, err)) return false;
    const Sealift__RepositoryBody *from = run->repository->body.repository;
    return check_sides(run, from->owner.data, order->target.data, err) &&
           placement_of_order(order, run->roster, from, facts, err);
}

/* The owner alone, on both sides. That it is asked for is no reason to remove anything: prune and sweep go by
 * what operators have signed. */
static bool check_maintenance(struct run *run, struct err *err)
{
    struct id repository = run->subject;
    ProtobufCBinaryData id = {.data = repository.bytes, .len = ID_LEN};
    if (!take_repository(run, &id, &run->repository, err)) return false;
    const uint8_t *owner = run->repository->body.repository->owner.data;
    return check_sides(run, owner, owner, err);
}

bool run_check(struct run *run, struct err *err)
{
    struct placement_facts facts;
    if (!take_roster(run, err) || !take_statement(run, err)) return false;
    if (run->subject_type == TYPE(REPOSITORY)) return check_maintenance(run, err);
    bool job = run->subject_type == TYPE(JOB);
    if (!job && run_is_care(run_order(run)->kind)) return check_care_order(run, err);
    if (!job && placement_is_alone(run_order(run)->kind)) return check_lone_order(run, err);
    return (job ? check_job(run, &facts, err) : check_order(run, &facts, err)) &&
           placement_check(&facts, err) && check_plaintext(run, &facts, err);
}
