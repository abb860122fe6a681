#include "common/crypto/sign.h"

#include "common/base/alloc.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(SIGN_PK_LEN == crypto_sign_PUBLICKEYBYTES, "Ed25519 public key");
_Static_assert(SIGN_SK_LEN == crypto_sign_SECRETKEYBYTES, "Ed25519 secret key");
_Static_assert(SIGNATURE_LEN == crypto_sign_BYTES, "Ed25519 signature");
_Static_assert(SIGN_SEED_LEN == crypto_sign_SEEDBYTES, "Ed25519 seed");

struct sign_pair *sign_pair_new(const uint8_t *seed)
{
    struct sign_pair *pair = xcalloc(1, sizeof(*pair));
    pair->sk = secret_new(SIGN_SK_LEN);
    if (seed)
        (void)crypto_sign_seed_keypair(pair->pk, pair->sk->data, seed);
    else
        (void)crypto_sign_keypair(pair->pk, pair->sk->data);
    return pair;
}

struct secret *sign_pair_seed(const struct sign_pair *pair)
{
    struct secret *seed = secret_new(SIGN_SEED_LEN);
    (void)crypto_sign_ed25519_sk_to_seed(seed->data, pair->sk->data);
    return seed;
}

void sign_pair_free(struct sign_pair *pair)
{
    if (!pair) return;
    secret_free(pair->sk);
    free(pair);
}

/* Ed25519 reads its message twice, so it wants it in one piece. */
static void signed_message(struct buf *out, const char *name, struct span bytes)
{
    buf_reserve(out, sizeof("sealift ") + strlen(name) + sizeof(" v1") + bytes.len);
    buf_put_str(out, "sealift ");
    buf_put_str(out, name);
    buf_put(out, " v1", sizeof(" v1"));
    buf_put_span(out, bytes);
}

void sign_bytes(const struct sign_pair *pair, const char *name, struct span bytes,
                uint8_t out[static SIGNATURE_LEN])
{
    AUTO(buf) struct buf message = {0};
    signed_message(&message, name, bytes);
    (void)crypto_sign_detached(out, NULL, message.data, message.len, pair->sk->data);
}

bool sign_verify(const uint8_t pk[static SIGN_PK_LEN], const char *name, struct span bytes,
                 const uint8_t signature[static SIGNATURE_LEN])
{
    AUTO(buf) struct buf message = {0};
    signed_message(&message, name, bytes);
    return crypto_sign_verify_detached(signature, message.data, message.len, pk) == 0;
}
