/* Statements: one codec, one verifier (proto/statement.proto). A statement is believed only through
 * statement_check: signature, site, audience, role of the signer in the current roster, version memory. */
#ifndef SEALIFT_WIRE_STATEMENT_H
#define SEALIFT_WIRE_STATEMENT_H

#include "common/crypto/hash.h"
#include "common/crypto/sign.h"

#include "proto/statement.pb-c.h"

#define STATEMENT_MAX (1024u * 1024)

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

/* Plans inside sealed copies; the same care as for bodies. */
#define STATEMENT_PLAN(name, type)                                                                           \
    bool plan_##name##_decode(struct span bytes, type **out, struct err *err) MUST_CHECK;                    \
    void plan_##name##_free(type *plan);                                                                     \
    DEFINE_AUTO(plan_##name, type *, plan_##name##_free)

STATEMENT_PLAN(backup, Sealift__BackupPlan)
STATEMENT_PLAN(restore, Sealift__RestorePlan)
STATEMENT_PLAN(browse, Sealift__BrowsePlan)

/* ---- the roster */

/* The current roster, indexed. Immutable. */
struct roster;
/* The first roster: version 1, signed by the pinned admin, who must be an admin in it. */
bool roster_first(const struct statement *statement, const struct id *site, const uint8_t admin[SIGN_PK_LEN],
                  struct roster **out, struct err *err) MUST_CHECK;
/* The next one: version + 1, names the hash of `current`, signed by an admin of `current`, keeps at
 * least one admin, no key used twice. Statements of the same version and bytes: ERR_EXISTS. Lower
 * version, or other bytes under the same one: ERR_NOT_AUTHENTIC. */
bool roster_next(const struct roster *current, const struct statement *statement, struct roster **out,
                 struct err *err) MUST_CHECK;
void roster_free(struct roster *roster);
DEFINE_AUTO(roster, struct roster *, roster_free)

uint64_t roster_version(const struct roster *roster);
struct span roster_bytes(const struct roster *roster); /* the SignedStatement */
const struct id *roster_site(const struct roster *roster);
const Sealift__RosterBody *roster_body(const struct roster *roster);
/* NULL when there is none (revoked ones are not found) */
const Sealift__Member *roster_transporter(const struct roster *roster, const uint8_t sign_pk[SIGN_PK_LEN]);
const Sealift__Member *roster_transporter_named(const struct roster *roster, const char *name);
const Sealift__Member *roster_operator(const struct roster *roster, const uint8_t sign_pk[SIGN_PK_LEN]);
const Sealift__Member *roster_operator_named(const struct roster *roster, const char *name);
/* by CURVE key, of a transporter or an operator */
const Sealift__Member *roster_by_curve(const struct roster *roster, const uint8_t curve_pk[32]);
/* Was this signing key ever admitted as a transporter (also if revoked since)? *since_ns = when it
 * stopped being trusted, or UINT64_MAX. */
bool roster_ever_admitted(const struct roster *roster, const uint8_t sign_pk[SIGN_PK_LEN],
                          uint64_t *since_ns);

/* ---- authority */

/* Highest version and hash per (type, id), and executed order ids. The owner persists it. */
struct version_memory;
struct version_memory *version_memory_new(void);
void version_memory_free(struct version_memory *memory);
DEFINE_AUTO(version_memory, struct version_memory *, version_memory_free)
/* For loading and storing: each remembered (type, id, version, hash). */
void version_memory_put(struct version_memory *memory, Sealift__StatementType type, const struct id *id,
                        uint64_t version, const struct hash *hash);
typedef void version_memory_fn(void *arg, Sealift__StatementType type, const struct id *id, uint64_t version,
                               const struct hash *hash);
void version_memory_each(const struct version_memory *memory, version_memory_fn *each, void *arg);

/* Everything but rosters (which go through roster_next). `self` is the verifier's own signing key, or
 * NULL for the director and for operators, who may hold statements for others. Checks site, audience,
 * signer's role in the roster, expiry of grants and orders against now_s, and the memory: a lower
 * version, or other bytes under the same version, ERR_NOT_AUTHENTIC; the same again, ERR_EXISTS (fine
 * to ignore, but an order is not executed again). On success the memory is updated. */
bool statement_check(const struct statement *statement, const struct roster *roster, const uint8_t *self,
                     uint64_t now_s, struct version_memory *memory, struct err *err) MUST_CHECK;

/* Context strings of boxes inside statements: "sealift PURPOSE v1" 00 site id [extra…]; appended. */
void statement_box_context(const char *purpose, const struct id *site, const struct id *id, struct span extra,
                           struct buf *out);

#endif
