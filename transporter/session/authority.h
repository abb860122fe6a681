/* What this transporter believes: the roster, the newest verified statements that concern it, unlock
 * sections by hash. Everything is verified before it is stored in the local state
 * (one file each, written atomically) and verified again when loaded. A director cannot change any of
 * it except by delivering statements that operators signed. Any thread. */
#ifndef SEALIFT_SESSION_AUTHORITY_H
#define SEALIFT_SESSION_AUTHORITY_H

#include "common/crypto/identity.h"
#include "common/crypto/seal/key.h"
#include "common/wire/site_line.h"
#include "common/wire/statement.h"

struct authority;

bool authority_open(const char *state_dir, const struct site_line *line, const struct identity *self,
                    struct authority **out, struct err *err) MUST_CHECK;
void authority_close(struct authority *authority);
DEFINE_AUTO(authority, struct authority *, authority_close)

/* Which statement it was. */
struct accepted {
    Sealift__StatementType type;
    struct id id;
    uint64_t version;
};
/* Verifies and keeps one delivered statement of any type. ERR_EXISTS: known already. */
bool authority_accept(struct authority *authority, struct span bytes, struct accepted *out,
                      struct err *err) MUST_CHECK;
/* An unlock section; kept if it decodes. Found again by its hash only. Of those that no grant names, the
 * oldest goes when a 65th comes. */
bool authority_accept_unlock(struct authority *authority, struct span bytes, struct err *err) MUST_CHECK;
#define AUTHORITY_EXECUTED_MAX 65536
/* Marks an order as executed (persisted before the order runs). ERR_EXISTS if it was. ERR_LIMIT: so many were that
 * have not expired for a while. */
bool authority_execute_once(struct authority *authority, const struct id *order, struct err *err) MUST_CHECK;

/* The current roster, shared: take and release. NULL before the first one. */
const struct roster *authority_roster_take(struct authority *authority);
void authority_roster_release(struct authority *authority, const struct roster *roster);
/* The SignedStatement of the roster of a version that this transporter has seen, in place of what `out` held.
 * ERR_NOT_FOUND. */
bool authority_roster_bytes(struct authority *authority, uint64_t version, struct buf *out,
                            struct err *err) MUST_CHECK;
/* The unlock section of this hash, in place of what `out` held. ERR_NOT_FOUND, ERR_DAMAGED. */
bool authority_unlock_bytes(struct authority *authority, const struct hash *hash, struct buf *out,
                            struct err *err) MUST_CHECK;
/* Did any roster that was seen have this operator? `arg` is the authority: as struct repository_operators
 * wants it. */
bool authority_knew_operator(void *arg, const uint8_t sign_pk[SIGN_PK_LEN]);
/* Are we in it? */
bool authority_member(struct authority *authority);

/* A copy of the newest one. ERR_NOT_FOUND, or why it was not taken when it came. Free with statement_free. */
bool authority_statement(struct authority *authority, Sealift__StatementType type, const struct id *id,
                         struct statement **out, struct err *err) MUST_CHECK;
typedef void authority_each_fn(void *arg, const struct statement *statement);
void authority_each(struct authority *authority, Sealift__StatementType type, authority_each_fn *each,
                    void *arg);

/* The write half granted to us for a key and domain, opened; and the unlock section that the grant
 * names. ERR_NO_KEY when there is no grant. */
bool authority_write_half(struct authority *authority, const struct hash *key_id, const struct hash *domain,
                          struct write_half **half, struct buf *unlock, char label[static 256],
                          struct err *err) MUST_CHECK;
/* S by a read grant that has not expired (step 1 of the unlock order); checked against the key id.
 * ERR_NO_KEY. */
bool authority_read_secret(struct authority *authority, const struct hash *key_id, struct secret **s,
                           struct err *err) MUST_CHECK;
/* The newest generation of a key that a read grant which has not expired gives us, and that holds the S of
 * this key id: opened by the unlock section that the grant names. A point of an earlier generation is
 * opened with it. ERR_NO_KEY: no grant that we can open does. */
bool authority_read_half(struct authority *authority, const struct hash *key_id, struct read_half **half,
                         struct err *err) MUST_CHECK;

#endif
