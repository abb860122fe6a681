/* Statements: one codec, one verifier (proto/statement.proto). A statement is believed only through
 * statement_check: signature, site, audience, role of the signer in the current roster, version memory. */
#ifndef SEALIFT_WIRE_STATEMENT_H
#define SEALIFT_WIRE_STATEMENT_H

#include "common/crypto/hash.h"
#include "common/crypto/sign.h"
#include "common/wire/roster.h"
#include "common/wire/version_memory.h"

#include "proto/statement.pb-c.h"

#define STATEMENT_MAX (1024u * 1024)
#define ORDER_WRAPS_MAX 64 /* OrderBody.kms */

/* A decoded statement with a valid signature; nothing about authority yet. Owns everything. */
struct statement {
    Sealift__StatementType type;
    struct id site;
    struct id id;
    uint64_t version;
    uint64_t expiry_s;
    bool for_everybody;
    uint8_t audience[SIGN_PK_LEN];
    uint8_t signer[SIGN_PK_LEN];
    struct buf bytes; /* the exact SignedStatement */
    struct hash hash; /* HASH(bytes) */
    union {
        Sealift__RosterBody *roster;
        Sealift__GrantBody *grant;
        Sealift__RepositoryBody *repository;
        Sealift__JobBody *job;
        Sealift__OrderBody *order;
    } body; /* by type; fully validated: lengths, enums, names, cross-field rules of the type */
};

/* ERR_TRUNCATED, ERR_PROTOCOL, ERR_LIMIT, ERR_VERSION, ERR_NOT_AUTHENTIC. */
bool statement_decode(struct span bytes, struct statement **out, struct err *err) MUST_CHECK;
void statement_free(struct statement *statement);
DEFINE_AUTO(statement, struct statement *, statement_free)

/* What the maker fills in; `body` is the encoded body (statement_body_encode). */
struct statement_draft {
    Sealift__StatementType type;
    struct id site;
    const uint8_t *audience; /* 32 bytes, or NULL for everybody */
    struct id id;
    uint64_t version;
    uint64_t expiry_s;
    struct span body;
};
/* Appends the SignedStatement to `out`. The draft is decoded again before it is signed: a statement
 * that a verifier would refuse is not made (ERR_USAGE with the verifier's sentence). */
bool statement_sign(const struct sign_pair *signer, const struct statement_draft *draft, struct buf *out,
                    struct err *err) MUST_CHECK;
/* `body` is one of the generated body or plan structs (RosterBody, …, BackupPlan, RestorePlan). */
void statement_body_encode(const void *body, struct buf *out);
/* "roster", "grant", "repository", "job", "order" */
const char *statement_type_name(Sealift__StatementType type);
/* The label of the points that a job writes; "" for a copy of all jobs. Borrowed. */
const char *statement_job_label(const Sealift__JobBody *job);

/* Plans inside sealed copies; the same care as for bodies. */
/* `type **out` cannot stand in parentheses. NOLINTBEGIN(bugprone-macro-parentheses) */
#define STATEMENT_PLAN(name, type)                                                                           \
    bool plan_##name##_decode(struct span bytes, type **out, struct err *err) MUST_CHECK;                    \
    void plan_##name##_free(type *plan);                                                                     \
    DEFINE_AUTO(plan_##name, type *, plan_##name##_free)
/* NOLINTEND(bugprone-macro-parentheses) */

STATEMENT_PLAN(backup, Sealift__BackupPlan)
STATEMENT_PLAN(restore, Sealift__RestorePlan)
STATEMENT_PLAN(browse, Sealift__BrowsePlan)
STATEMENT_PLAN(wrap, Sealift__WrapPlan)

/* ---- authority */

/* Everything but rosters (which go through roster_next). `self` is the verifier's own signing key, or
 * NULL for the director and for operators, who may hold statements for others. Checks site, audience,
 * signer's role in the roster, expiry of grants and orders against now_s, and the memory: a lower
 * version, or other bytes under the same version, ERR_NOT_AUTHENTIC; the same again, ERR_EXISTS (fine
 * to ignore, but an order is not executed again). On success the memory is updated. */
bool statement_check(const struct statement *statement, const struct roster *roster, const uint8_t *self,
                     uint64_t now_s, struct version_memory *memory, struct err *err) MUST_CHECK;

/* What the points of a job were promised outlives its later versions: no time of immutability is shortened,
 * and while there is one, the job keeps its label and its repository. Whoever holds the version before looks.
 * ERR_POLICY. */
bool statement_keeps_promises(const struct statement *statement, const struct statement *before,
                              struct err *err) MUST_CHECK;

/* Context strings of boxes inside statements: "sealift PURPOSE v1" 00 site id [extra…]; appended. */
void statement_box_context(const char *purpose, const struct id *site, const struct id *id, struct span extra,
                           struct buf *out);

#endif
