/* The chain of rosters in local state (`rosters/<version>`), verified from the pinned admin, and the
 * current roster as a shared, counted object: runs keep the one that they began with. Private to the
 * authority, which serialises all calls. */
#ifndef SEALIFT_SESSION_ROSTER_CHAIN_H
#define SEALIFT_SESSION_ROSTER_CHAIN_H

#include "common/wire/site_line.h"
#include "common/wire/statement.h"

struct roster_chain;

/* `dir` is the directory of the roster files; it is made if absent. */
bool roster_chain_open(const char *dir, const struct site_line *line, struct roster_chain **out,
                       struct err *err) MUST_CHECK;
void roster_chain_close(struct roster_chain *chain);
DEFINE_AUTO(roster_chain, struct roster_chain *, roster_chain_close)

/* Verifies the next roster, stores it, makes it current. ERR_EXISTS: it is the current one; other
 * errors of roster_first and roster_next. */
bool roster_chain_add(struct roster_chain *chain, const struct statement *roster, struct err *err) MUST_CHECK;
/* NULL before the first */
const struct roster *roster_chain_take(struct roster_chain *chain);
void roster_chain_release(struct roster_chain *chain, const struct roster *roster);
const struct roster *roster_chain_current(const struct roster_chain *chain);
/* The SignedStatement of a version of the chain, in place of what `out` held. ERR_NOT_FOUND. */
bool roster_chain_bytes(const struct roster_chain *chain, uint64_t version, struct buf *out,
                        struct err *err) MUST_CHECK;
/* Did any roster of the chain have this operator? */
bool roster_chain_had_operator(const struct roster_chain *chain, const uint8_t sign_pk[SIGN_PK_LEN]);

#endif
