/* Ed25519 signatures (RFC 8032) over "sealift NAME v1" 00 bytes, so that no object can stand in for
 * another kind of object. Verifying needs no key material of ours; it is in every program. */
#ifndef SEALIFT_CRYPTO_SIGN_H
#define SEALIFT_CRYPTO_SIGN_H

#include "common/base/bytes.h"
#include "common/base/err.h"
#include "common/base/secret.h"

#define SIGN_PK_LEN 32
#define SIGN_SK_LEN 64
#define SIGN_SEED_LEN 32
#define SIGNATURE_LEN 64

/* A signing pair; the secret half is in guarded memory. */
struct sign_pair {
    uint8_t pk[SIGN_PK_LEN];
    struct secret *sk; /* SIGN_SK_LEN */
};

/* `seed`: 32 bytes, or NULL for a random pair */
struct sign_pair *sign_pair_new(const uint8_t *seed);
/* the 32-byte seed that the pair is made from: what key files keep */
struct secret *sign_pair_seed(const struct sign_pair *pair);
void sign_pair_free(struct sign_pair *pair);
DEFINE_AUTO(sign_pair, struct sign_pair *, sign_pair_free)

/* `name` is NAME of docs/format.md: "envelope", "list", "log", "point", "roster", … */
void sign_bytes(const struct sign_pair *pair, const char *name, struct span bytes,
                uint8_t out[static SIGNATURE_LEN]);
bool sign_verify(const uint8_t pk[static SIGN_PK_LEN], const char *name, struct span bytes,
                 const uint8_t signature[static SIGNATURE_LEN]) MUST_CHECK;

#endif
