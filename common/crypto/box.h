/* Small secrets: sealed under a 32-byte key (XChaCha20-Poly1305, draft-irtf-cfrg-xchacha), and sealed
 * to an X25519 public key (RFC 7748; "box", docs/format.md section 1). Any thread. */
#ifndef SEALIFT_CRYPTO_BOX_H
#define SEALIFT_CRYPTO_BOX_H

#include "common/base/bytes.h"
#include "common/base/err.h"
#include "common/base/secret.h"

#define BOX_PK_LEN 32
#define BOX_SK_LEN 32
#define SMALL_OVERHEAD 40 /* nonce 24, tag 16 */
#define BOX_OVERHEAD 73   /* version 1, eph 32, nonce 24, tag 16 */

/* nonce || ciphertext || tag, appended to out */
void small_seal(const uint8_t key[static 32], struct span associated, struct span plain, struct buf *out);
/* ERR_TRUNCATED or ERR_DAMAGED. `out` receives sealed.len - SMALL_OVERHEAD bytes of guarded memory. */
bool small_open(const uint8_t key[static 32], struct span associated, struct span sealed, struct secret **out,
                struct err *err) MUST_CHECK;

struct box_pair {
    uint8_t pk[BOX_PK_LEN];
    struct secret *sk; /* BOX_SK_LEN */
};
/* `sk_bytes`: BOX_SK_LEN bytes, or NULL for a random pair */
struct box_pair *box_pair_new(const uint8_t *sk_bytes);
void box_pair_free(struct box_pair *pair);
DEFINE_AUTO(box_pair, struct box_pair *, box_pair_free)

/* Seals to a public key. `context` names the use and everything the bytes are bound to; the same
 * bytes are needed to open. A public key that yields a zero shared secret: ERR_PROTOCOL. */
bool box_seal(const uint8_t pk[static BOX_PK_LEN], struct span context, struct span plain, struct buf *out,
              struct err *err) MUST_CHECK;
/* ERR_TRUNCATED, ERR_VERSION, ERR_DAMAGED (a degenerate ephemeral key), or ERR_WRONG_KEY when the tag
 * does not fit: not sealed to this pair and context. Boxes travel inside signed bytes that name the
 * recipient, so damage has been ruled out before. */
bool box_open(const struct box_pair *pair, struct span context, struct span sealed, struct secret **out,
              struct err *err) MUST_CHECK;

#endif
