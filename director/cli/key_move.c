#include "director/cli/key_move.h"

#include "common/base/clock.h"
#include "common/wire/lent.h"
#include "director/cli/generations.h"
#include "director/cli/key_subset.h"
#include "director/cli/put.h"

#include <string.h>

enum doing { COUNTING, DOING };

struct moving {
    struct cli *cli;
    const struct keys *keys;
    const struct key_entry *newest;
    const struct read_half *half; /* NULL: counting */
    enum doing doing;
    struct key_move done;
};

/* Of an earlier generation: neither withdrawn nor over. */
static bool is_old(const struct moving *moving, const struct statement *grant)
{
    const Sealift__GrantBody *body = grant->body.grant;
    struct hash key_id = stored_hash(&body->key_id);
    return !body->withdrawn && !hash_eq(&key_id, &moving->newest->key_id) &&
           generations_has(moving->newest, &key_id) &&
           (!grant->expiry_s || grant->expiry_s >= clock_real_ns() / 1000000000);
}

static const Sealift__Member *member_of(const struct cli *cli, const ProtobufCBinaryData *sign_pk)
{
    const Sealift__Member *host = roster_transporter(access_roster(cli), sign_pk->data);
    return host ? host : roster_operator(access_roster(cli), sign_pk->data);
}

/* A recipient may have left the roster, or the trusted zone. */
static bool may_have(const struct moving *moving, const Sealift__GrantBody *body)
{
    const Sealift__Member *host = roster_transporter(access_roster(moving->cli), body->recipient.data);
    if (host && host->zone != SEALIFT__ZONE__ZONE_TRUSTED) return false;
    return host || roster_operator(access_roster(moving->cli), body->recipient.data);
}

static bool has_same(const struct moving *moving, const Sealift__GrantBody *old)
{
    for (size_t i = 0; i < moving->keys->grants.count; i++) {
        const struct statement *grant = moving->keys->grants.items[i];
        const Sealift__GrantBody *body = grant->body.grant;
        if (!body->withdrawn && body->half == old->half && strcmp(body->domain, old->domain) == 0 &&
            memcmp(body->recipient.data, old->recipient.data, SIGN_PK_LEN) == 0 &&
            memcmp(body->key_id.data, moving->newest->key_id.bytes, HASH_LEN) == 0)
            return true;
    }
    return false;
}

static bool is_self(const struct cli *cli, const Sealift__GrantBody *body)
{
    struct identity_public self;
    return state_identity(cli->state, &self) != STATE_NO_IDENTITY &&
           memcmp(body->recipient.data, self.sign_pk, SIGN_PK_LEN) == 0;
}

/* A writer stays kept to the subset of protectors that it had. */
static bool grant_one(struct moving *moving, const Sealift__GrantBody *old, struct err *err)
{
    AUTO(key_subset) struct key_subset subset = {0};
    key_subset_of(old, &subset);
    moving->done.granted++;
    if (moving->doing == COUNTING) return true;
    const char *domain = old->half == SEALIFT__HALF__HALF_WRITE ? old->domain : NULL;
    return keys_grant_writer(moving->cli, moving->newest, moving->half,
                             member_of(moving->cli, &old->recipient), domain, &subset, err);
}

/* Several earlier generations may have granted the same. */
static bool came_before(const struct moving *moving, size_t at)
{
    const Sealift__GrantBody *body = moving->keys->grants.items[at]->body.grant;
    for (size_t i = 0; i < at; i++) {
        const Sealift__GrantBody *other = moving->keys->grants.items[i]->body.grant;
        if (is_old(moving, moving->keys->grants.items[i]) && other->half == body->half &&
            strcmp(other->domain, body->domain) == 0 &&
            memcmp(other->recipient.data, body->recipient.data, SIGN_PK_LEN) == 0)
            return true;
    }
    return false;
}

static void warn_of_none(const struct moving *moving, const Sealift__GrantBody *body)
{
    char name[IDENTITY_NAME_MAX + 1];
    access_name_of(moving->cli, body->recipient.data, name);
    output_warning(&moving->cli->output,
                   "'%s' gets no half of the new generation: it is not in the roster any more, or not in the "
                   "trusted zone",
                   name);
}

static bool move_grant(struct moving *moving, const Sealift__GrantBody *body, struct err *err)
{
    if (may_have(moving, body)) return grant_one(moving, body, err);
    if (moving->doing == DOING) warn_of_none(moving, body);
    return true;
}

static bool move_grants(struct moving *moving, Sealift__Half half, struct err *err)
{
    for (int others = 0; others < 2; others++)
        for (size_t i = 0; i < moving->keys->grants.count; i++) {
            const struct statement *grant = moving->keys->grants.items[i];
            const Sealift__GrantBody *body = grant->body.grant;
            if (body->half != half || is_self(moving->cli, body) == (others == 1) || !is_old(moving, grant) ||
                has_same(moving, body) || came_before(moving, i))
                continue;
            if (!move_grant(moving, body, err)) return false;
        }
    return true;
}

/* --- jobs --- */

static bool sign_job(struct moving *moving, const struct statement *job, struct err *err)
{
    moving->done.jobs++;
    if (moving->doing == COUNTING) return true;
    Sealift__JobBody body = *job->body.job;
    AUTO(secret) struct secret *dedup_key = read_half_dedup_key(moving->half, body.domain);
    struct hash domain = domain_id(dedup_key->data);
    body.key_id = lent_bytes(moving->newest->key_id.bytes, HASH_LEN);
    body.domain_id = lent_bytes(domain.bytes, HASH_LEN);
    const struct put_request request = {
        .type = SEALIFT__STATEMENT_TYPE__STATEMENT_JOB, .id = job->id, .body = &body};
    return put_statement(moving->cli, &request, NULL, NULL, err) || err_wrap(err, "job '%s'", body.name);
}

static bool move_jobs(struct moving *moving, struct err *err)
{
    AUTO(statements) struct statements jobs = {0};
    if (!statements_get(moving->cli, SEALIFT__STATEMENT_TYPE__STATEMENT_JOB, &jobs, err)) return false;
    for (size_t i = 0; i < jobs.count; i++) {
        const Sealift__JobBody *body = jobs.items[i]->body.job;
        struct hash key_id = stored_hash(&body->key_id);
        if (body->deleted || body->key_id.len != HASH_LEN || hash_eq(&key_id, &moving->newest->key_id) ||
            !generations_has(moving->newest, &key_id))
            continue;
        if (!sign_job(moving, jobs.items[i], err)) return false;
    }
    return statements_believed(&jobs, err);
}

/* --- what is over --- */

static bool withdraw_old(struct moving *moving, struct err *err)
{
    for (size_t i = 0; i < moving->keys->grants.count; i++) {
        const struct statement *grant = moving->keys->grants.items[i];
        if (grant->body.grant->half != SEALIFT__HALF__HALF_WRITE || !is_old(moving, grant)) continue;
        moving->done.withdrawn++;
        if (moving->doing == DOING && !keys_withdraw(moving->cli, grant, err)) return false;
    }
    return true;
}

static bool move(struct moving *moving, struct err *err)
{
    return move_grants(moving, SEALIFT__HALF__HALF_READ, err) &&
           move_grants(moving, SEALIFT__HALF__HALF_WRITE, err) && move_jobs(moving, err) &&
           withdraw_old(moving, err);
}

bool key_move_left(struct cli *cli, const struct keys *keys, const struct key_entry *newest,
                   struct key_move *out, struct err *err)
{
    struct moving moving = {.cli = cli, .keys = keys, .newest = newest, .doing = COUNTING};
    if (!move(&moving, err)) return false;
    *out = moving.done;
    return true;
}

bool key_move_do(struct cli *cli, const struct keys *keys, const struct key_entry *newest,
                 const struct read_half *half, struct key_move *out, struct err *err)
{
    struct moving moving = {.cli = cli, .keys = keys, .newest = newest, .half = half, .doing = DOING};
    bool done = move(&moving, err);
    *out = moving.done;
    return done;
}
