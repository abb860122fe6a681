/* The current roster: who is an operator, who is a transporter, and in which zone. A chain of signed
 * statements, each of which only an admin of the one before can make. Immutable: any thread. */
#ifndef SEALIFT_WIRE_ROSTER_H
#define SEALIFT_WIRE_ROSTER_H

#include "common/base/auto.h"
#include "common/crypto/hash.h"
#include "common/crypto/sign.h"

#include "proto/statement.pb-c.h"

struct statement;
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
/* Was this signing key ever admitted as one that seals, lists and makes points: a transporter in the
 * trusted zone (also if revoked since)? No rule lets one outside it write anything, so what such a key
 * signed is planted. *since_ns = when it stopped being trusted, or UINT64_MAX. */
bool roster_ever_admitted(const struct roster *roster, const uint8_t sign_pk[SIGN_PK_LEN],
                          uint64_t *since_ns);
/* The transporter that has this key, or had it before it was revoked; NULL. */
const Sealift__Member *roster_ever_transporter(const struct roster *roster,
                                               const uint8_t sign_pk[SIGN_PK_LEN]);
/* The transporter that has been let in under the name of this revoked one; NULL: there is none, or this one
 * is not revoked. */
const Sealift__Member *roster_successor(const struct roster *roster, const uint8_t sign_pk[SIGN_PK_LEN]);
/* Is, or was before it was revoked, an operator of this roster. */
bool roster_ever_operator(const struct roster *roster, const uint8_t sign_pk[SIGN_PK_LEN]);

#endif
