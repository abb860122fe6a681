/* What both ends of a sealed secret must agree on: ids of grants and the contexts of the boxes inside
 * statements. Pure. */
#ifndef SEALIFT_WIRE_GRANT_H
#define SEALIFT_WIRE_GRANT_H

#include "common/crypto/box.h"
#include "common/wire/statement.h"

/* A grant's statement id follows from what it grants, so that a later one (or a withdrawal) replaces it:
 * the first 16 bytes of DERIVE("sealift v1 grant id", key id, recipient, half, domain id). */
struct id grant_id(const struct hash *key_id, const uint8_t recipient[SIGN_PK_LEN], Sealift__Half half,
                   const struct hash *domain); /* domain: NULL for a read half */

/* Context of GrantBody.sealed: purpose "grant", the statement's id, then key id, half, domain id. */
void grant_box_context(const struct id *site, const struct id *id, const Sealift__GrantBody *body,
                       struct buf *out);
/* Context of OrderBody.secret: purpose "order secret", the order's id, then key id. */
void order_secret_context(const struct id *site, const struct id *order, const struct hash *key_id,
                          struct buf *out);

/* Context of Warnings.keys_back: purpose "key back", the order's id, then key id. */
void order_key_back_context(const struct id *site, const struct id *order, const struct hash *key_id,
                            struct buf *out);

/* What shows that a wrap comes from who holds S, and answers this order: DERIVE("sealift v1 wrap proof", S,
 * order id, the encoded KmsWrap). Anybody can seal an answer to an operator; a wrap that never opens would be
 * found out only when it is needed. */
#define WRAP_PROOF_LEN 32
void order_wrap_proof(const struct secret *s, const struct id *order, struct span wrap,
                      uint8_t out[static WRAP_PROOF_LEN]);

/* Finds the copy for `recipient` and opens it with `pair`. Purposes: "repository", "job", "order".
 * ERR_NO_KEY when there is no copy for the recipient; errors of box_open. */
bool sealed_copy_open(Sealift__SealedCopy *const *copies, size_t count, const uint8_t recipient[SIGN_PK_LEN],
                      const struct box_pair *pair, const char *purpose, const struct id *site,
                      const struct id *id, struct secret **out, struct err *err) MUST_CHECK;

#endif
