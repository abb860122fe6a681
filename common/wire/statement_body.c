#include "common/wire/statement_body.h"

#include "common/crypto/frame.h"
#include "common/crypto/identity.h"
#include "common/wire/bandwidth_rule.h"
#include "common/wire/fields.h"
#include "common/wire/message.h"
#include "common/wire/stored.h"

#include <string.h>

/* Names of members, repositories, jobs and keys, by the rule of identity_name_check. */
static bool name_check(const char *name, const char *what, struct err *err)
{
    struct err why = {0};
    if (identity_name_check(name, &why)) return true;
    return err_set(err, ERR_PROTOCOL, "the name of a %s: %s", what, why.text);
}

static bool rule(bool holds, const char *sentence, struct err *err)
{
    return holds || err_set(err, ERR_PROTOCOL, "%s", sentence);
}

static bool member_check(const Sealift__Member *member, const char *what, struct err *err)
{
    return rule(member != NULL, "a roster has an entry without a member", err) &&
           name_check(member->name, what, err);
}

static bool roster_check(const struct statement *statement, struct err *err)
{
    const Sealift__RosterBody *body = statement->body.roster;
    for (size_t i = 0; i < body->n_operators; i++)
        if (!member_check(body->operators[i], "operator", err) ||
            !rule(body->operators[i]->role != SEALIFT__ROLE__ROLE_NONE,
                  "a roster has an operator without a role", err))
            return false;
    for (size_t i = 0; i < body->n_transporters; i++)
        if (!member_check(body->transporters[i], "transporter", err) ||
            !rule(body->transporters[i]->zone != SEALIFT__ZONE__ZONE_NONE,
                  "a roster has a transporter without a trust zone", err))
            return false;
    for (size_t i = 0; i < body->n_revoked; i++)
        if (!member_check(body->revoked[i]->member, "revoked member", err)) return false;
    return rule(statement->for_everybody && id_is_zero(&statement->id), "a roster is for everybody", err) &&
           rule((statement->version == 1) == (body->previous.len == 0),
                "every roster but the first names the one before it", err);
}

/* Which of the key's protectors a writer's points carry. */
static bool subset_check(const Sealift__GrantBody *body, struct err *err)
{
    bool write = body->half == SEALIFT__HALF__HALF_WRITE;
    for (size_t i = 0; i < body->n_kms; i++)
        if (!name_check(body->kms[i], "KMS entry", err)) return false;
    return rule(body->subset <= 1, "a grant has a subset of the key's protectors, or has not", err) &&
           rule(write || !body->subset, "a read grant has all protectors of its key", err) &&
           rule(body->subset || body->n_kms == 0, "a grant without a subset lists no KMS entries", err) &&
           rule(body->n_kms <= STORED_MAX_WRAPS, "a grant lists too many KMS entries", err);
}

static bool grant_check(const struct statement *statement, struct err *err)
{
    const Sealift__GrantBody *body = statement->body.grant;
    bool write = body->half == SEALIFT__HALF__HALF_WRITE;
    return rule(body->key_id.len == HASH_LEN, "a grant without a key id", err) &&
           name_check(body->key_label, "key", err) &&
           rule(!statement->for_everybody &&
                    memcmp(statement->audience, body->recipient.data, SIGN_PK_LEN) == 0,
                "a grant is for its recipient", err) &&
           rule(body->half != SEALIFT__HALF__HALF_NONE, "a grant names the half that it grants", err) &&
           rule(write == (body->domain_id.len == HASH_LEN) && write == (body->domain[0] != '\0'),
                "a write grant names its domain, a read grant names none", err) &&
           rule(body->withdrawn == (body->sealed.len == 0), "a grant carries the half unless it is withdrawn",
                err) &&
           rule(body->withdrawn || body->unlock_hash.len == HASH_LEN,
                "a grant names the key's unlock section", err) &&
           subset_check(body, err);
}

static bool repository_check(const struct statement *statement, struct err *err)
{
    const Sealift__RepositoryBody *body = statement->body.repository;
    return name_check(body->name, "repository", err) &&
           rule(statement->for_everybody, "a repository statement is for everybody", err) &&
           rule(!id_is_zero(&statement->id), "a repository without an id", err) &&
           rule(body->kind != SEALIFT__STORE_KIND__STORE_NONE, "a repository is encrypted-only or plaintext",
                err);
}

static bool job_keys_check(const Sealift__JobBody *body, struct err *err)
{
    bool sealed = body->placement == SEALIFT__PLACEMENT__PLACE_SOURCE ||
                  body->placement == SEALIFT__PLACEMENT__PLACE_TARGET;
    return rule(sealed == (body->key_id.len == HASH_LEN), "a job names a key exactly when it encrypts",
                err) &&
           rule(sealed == (body->domain_id.len == HASH_LEN) && sealed == (body->domain[0] != '\0'),
                "a job names a dedup domain exactly when it encrypts", err) &&
           rule(sealed ? body->cipher == CIPHER_AES_256_GCM || body->cipher == CIPHER_CHACHA20_POLY1305
                       : body->cipher == CIPHER_NONE,
                "a job that encrypts names aes-256-gcm or chacha20-poly1305, any other names none", err) &&
           (!sealed || name_check(body->key_label, "key", err));
}

static bool job_check(const struct statement *statement, struct err *err)
{
    const Sealift__JobBody *body = statement->body.job;
    bool copy = body->kind == SEALIFT__JOB_KIND__JOB_COPY;
    struct bandwidth_rule bandwidth;
    return name_check(body->name, "job", err) &&
           rule(!id_is_zero(&statement->id), "a job without an id", err) &&
           rule(body->kind != SEALIFT__JOB_KIND__JOB_NONE, "a job without a kind", err) &&
           rule(body->repository.len == ID_LEN, "a job without a repository", err) &&
           rule(body->placement != SEALIFT__PLACEMENT__PLACE_NONE, "a job without a placement", err) &&
           rule(body->proxy[0] == '\0' || body->connection == SEALIFT__CONNECTION__CONNECTION_DIRECT ||
                    body->connection == SEALIFT__CONNECTION__CONNECTION_RENDEZVOUS,
                "a job names a proxy only with the connection that goes through it: direct or rendezvous",
                err) &&
           rule(body->priority <= 5, "a job's priority is 1 to 5", err) &&
           (body->bandwidth[0] == '\0' || bandwidth_rule_parse(body->bandwidth, &bandwidth, err)) &&
           rule(copy == (body->from_repository.len == ID_LEN),
                "exactly copies name a repository to copy from", err) &&
           rule(copy || body->deleted || body->n_plan > 0, "a backup job without a plan", err) &&
           rule(body->reencrypt <= (copy && body->key_id.len > 0), "only a copy that encrypts opens points",
                err) &&
           job_keys_check(body, err);
}

/* The one section that a protect order carries is of the key that the order names. */
static bool protect_check(const Sealift__OrderBody *body, struct err *err)
{
    AUTO(stored_unlock) Sealift__UnlockSection *section = NULL;
    return rule(body->repository.len == ID_LEN && body->point.len == 0,
                "an order to protect names its repository and no point", err) &&
           rule(body->key_id.len == HASH_LEN && body->section.len > 0,
                "an order to protect names its key and carries an unlock section", err) &&
           stored_unlock_decode(stored_span(&body->section), &section, err) &&
           rule(memcmp(section->key_id.data, body->key_id.data, HASH_LEN) == 0,
                "an order to protect carries the unlock section of another key", err);
}

static bool wrap_check(const Sealift__OrderBody *body, struct err *err)
{
    return rule(body->repository.len == 0 && body->point.len == 0,
                "an order to wrap names neither a repository nor a point", err) &&
           rule(body->key_id.len == HASH_LEN && body->secret.len > 0 && body->answer_to.len == SIGN_PK_LEN,
                "an order to wrap carries a key and names the operator that is answered", err);
}

static bool witness_check(const Sealift__OrderBody *body, struct err *err)
{
    return rule(body->repository.len == 0 && body->point.len == 0 && body->key_id.len == 0 &&
                    body->secret.len == 0,
                "an order to witness names no repository, no point and no key", err) &&
           rule(body->answer_to.len == SIGN_PK_LEN, "an order to witness names the operator that is answered",
                err);
}

/* S of the newest generation, with the section that goes with it. */
static bool rewrap_check(const Sealift__OrderBody *body, struct err *err)
{
    AUTO(stored_unlock) Sealift__UnlockSection *section = NULL;
    return rule(body->repository.len == ID_LEN && body->point.len == 0,
                "an order to rewrap names its repository and no point", err) &&
           rule(body->key_id.len == HASH_LEN && body->secret.len > 0 && body->generation.len > 0,
                "an order to rewrap carries a key and its unlock section", err) &&
           stored_unlock_decode(stored_span(&body->generation), &section, err) &&
           rule(memcmp(section->key_id.data, body->key_id.data, HASH_LEN) == 0,
                "an order to rewrap carries the unlock section of another key", err);
}

static bool order_kind_check(const Sealift__OrderBody *body, struct err *err)
{
    if (!rule(body->section.len == 0 || body->kind == SEALIFT__ORDER_KIND__ORDER_PROTECT,
              "only an order to protect carries an unlock section", err))
        return false;
    switch (body->kind) {
    case SEALIFT__ORDER_KIND__ORDER_PROTECT:
        return protect_check(body, err);
    case SEALIFT__ORDER_KIND__ORDER_WRAP:
        return wrap_check(body, err);
    case SEALIFT__ORDER_KIND__ORDER_WITNESS:
        return witness_check(body, err);
    case SEALIFT__ORDER_KIND__ORDER_REWRAP:
        return rewrap_check(body, err);
    default:
        return rule(body->repository.len == ID_LEN && body->point.len == ID_LEN,
                    "an order names its repository and its point", err);
    }
}

static bool order_check(const struct statement *statement, struct err *err)
{
    const Sealift__OrderBody *body = statement->body.order;
    return rule(!id_is_zero(&statement->id), "an order without an id", err) &&
           rule(body->kind != SEALIFT__ORDER_KIND__ORDER_NONE, "an order without a kind", err) &&
           order_kind_check(body, err) &&
           rule(body->kind != SEALIFT__ORDER_KIND__ORDER_BROWSE || body->answer_to.len == SIGN_PK_LEN,
                "a browse order names the operator that is answered", err) &&
           rule(body->secret.len == 0 || body->key_id.len == HASH_LEN, "an order carries a secret of no key",
                err) &&
           rule(body->n_kms == 0 || body->key_id.len == HASH_LEN, "an order carries wraps of no key", err) &&
           rule(body->n_kms <= ORDER_WRAPS_MAX, "an order carries too many wraps", err);
}

bool statement_body_check(const struct statement *statement, struct err *err)
{
    switch (statement->type) {
    case SEALIFT__STATEMENT_TYPE__STATEMENT_ROSTER:
        return roster_check(statement, err);
    case SEALIFT__STATEMENT_TYPE__STATEMENT_GRANT:
        return grant_check(statement, err);
    case SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY:
        return repository_check(statement, err);
    case SEALIFT__STATEMENT_TYPE__STATEMENT_JOB:
        return job_check(statement, err);
    case SEALIFT__STATEMENT_TYPE__STATEMENT_ORDER:
        return order_check(statement, err);
    default:
        return err_set(err, ERR_PROTOCOL, "a statement of no known type");
    }
}

/* `type **out` cannot stand in parentheses. NOLINTBEGIN(bugprone-macro-parentheses) */
#define PLAN(name, type, descriptor, text)                                                                   \
    bool plan_##name##_decode(struct span bytes, type **out, struct err *err)                                \
    {                                                                                                        \
        AUTO(plan_##name)                                                                                    \
        type *decoded = (type *)message_decode(&(descriptor), bytes, STATEMENT_MAX, 4096, text, err);        \
        if (!decoded || !fields_check(decoded, text, err)) return false;                                     \
        *out = decoded;                                                                                      \
        decoded = NULL;                                                                                      \
        return true;                                                                                         \
    }                                                                                                        \
    void plan_##name##_free(type *plan)                                                                      \
    {                                                                                                        \
        message_free(plan);                                                                                  \
    }
/* NOLINTEND(bugprone-macro-parentheses) */

PLAN(backup, Sealift__BackupPlan, sealift__backup_plan__descriptor, "backup plan")
PLAN(restore, Sealift__RestorePlan, sealift__restore_plan__descriptor, "restore plan")
PLAN(browse, Sealift__BrowsePlan, sealift__browse_plan__descriptor, "browse plan")
PLAN(wrap, Sealift__WrapPlan, sealift__wrap_plan__descriptor, "wrap plan")
