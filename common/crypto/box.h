/* Small secrets: sealed under a 32-byte key (XChaCha20-Poly1305, draft-irtf-cfrg-xchacha), sealed to
 * an X25519 public key ("box", docs/format.md section 1), and Argon2id (RFC 9106) for passwords. */
#ifndef SEALIFT_CRYPTO_BOX_H
#define SEALIFT_CRYPTO_BOX_H

#include "common/base/bytes.h"
#include "common/base/err.h"
#include "common/base/secret.h"

#define BOX_PK_LEN 32
#define SMALL_OVERHEAD 40 /* nonce 24, tag 16 */
#define BOX_OVERHEAD 73   /* version 1, eph 32, nonce 24, tag 16 */

/* nonce || ciphertext || tag, appended to out */
void small_seal(const uint8_t key[static 32], struct span associated, struct span plain, struct buf *out);
/* ERR_TRUNCATED or ERR_DAMAGED. `out` receives sealed.len - SMALL_OVERHEAD bytes of guarded memory. */
bool small_open(const uint8_t key[static 32], struct span associated, struct span sealed, struct secret **out,
                struct err *err) MUST_CHECK;

struct box_pair {
    uint8_t pk[BOX_PK_LEN];
    struct secret *sk; /* 32 */
};
struct box_pair *box_pair_new(const uint8_t *sk_bytes); /* NULL: random */
void box_pair_free(struct box_pair *pair);
DEFINE_AUTO(box_pair, struct box_pair *, box_pair_free)

/* Seals to a public key. `context` names the use and everything the bytes are bound to; the same
 * bytes are needed to open. A public key that yields a zero shared secret: ERR_PROTOCOL. */
bool box_seal(const uint8_t pk[static BOX_PK_LEN], struct span context, struct span plain, struct buf *out,
              struct err *err) MUST_CHECK;
/* ERR_TRUNCATED, ERR_VERSION, or ERR_WRONG_KEY when it was not sealed to this pair and context. */
bool box_open(const struct box_pair *pair, struct span context, struct span sealed, struct secret **out,
              struct err *err) MUST_CHECK;

#endif
