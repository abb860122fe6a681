#include "common/crypto/box.h"

#include "common/base/alloc.h"
#include "common/crypto/hash.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define NONCE_LEN crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG_LEN crypto_aead_xchacha20poly1305_ietf_ABYTES
#define BOX_VERSION 1
#define BOX_EPH_AT 1
#define BOX_SEALED_AT (BOX_EPH_AT + BOX_PK_LEN)

_Static_assert(SMALL_OVERHEAD == NONCE_LEN + TAG_LEN, "XChaCha20-Poly1305 lengths");
_Static_assert(BOX_OVERHEAD == BOX_SEALED_AT + SMALL_OVERHEAD, "box layout");
_Static_assert(BOX_PK_LEN == crypto_scalarmult_BYTES && BOX_SK_LEN == crypto_scalarmult_SCALARBYTES,
               "X25519");

void small_seal(const uint8_t key[static 32], struct span associated, struct span plain, struct buf *out)
{
    uint8_t *sealed = buf_grow(out, SMALL_OVERHEAD + plain.len);
    random_bytes(sealed, NONCE_LEN);
    (void)crypto_aead_xchacha20poly1305_ietf_encrypt(sealed + NONCE_LEN, NULL, plain.data, plain.len,
                                                     associated.data, associated.len, NULL, sealed, key);
}

bool small_open(const uint8_t key[static 32], struct span associated, struct span sealed, struct secret **out,
                struct err *err)
{
    if (sealed.len < SMALL_OVERHEAD)
        return err_set(err, ERR_TRUNCATED, "sealed bytes: end after %zu bytes", sealed.len);
    AUTO(secret) struct secret *plain = secret_new(sealed.len - SMALL_OVERHEAD);
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(plain->data, NULL, NULL, sealed.data + NONCE_LEN,
                                                   sealed.len - NONCE_LEN, associated.data, associated.len,
                                                   sealed.data, key) != 0)
        return err_set(err, ERR_DAMAGED, "sealed bytes: the tag does not fit");
    *out = plain;
    plain = NULL;
    return true;
}

struct box_pair *box_pair_new(const uint8_t *sk_bytes)
{
    struct box_pair *pair = xcalloc(1, sizeof(*pair));
    pair->sk = secret_new(BOX_SK_LEN);
    if (sk_bytes)
        memcpy(pair->sk->data, sk_bytes, BOX_SK_LEN);
    else
        random_bytes(pair->sk->data, BOX_SK_LEN);
    (void)crypto_scalarmult_base(pair->pk, pair->sk->data);
    return pair;
}

void box_pair_free(struct box_pair *pair)
{
    if (!pair) return;
    secret_free(pair->sk);
    free(pair);
}

static void box_key(const uint8_t shared[static 32], const uint8_t *eph, const uint8_t *recipient,
                    struct span context, uint8_t key[static 32])
{
    struct hash context_hash = hash_of(context);
    const struct span parts[] = {
        {shared, 32}, {eph, BOX_PK_LEN}, {recipient, BOX_PK_LEN}, {context_hash.bytes, HASH_LEN}};
    hash_derive("sealift v1 box", parts, 4, key);
}

bool box_seal(const uint8_t pk[static BOX_PK_LEN], struct span context, struct span plain, struct buf *out,
              struct err *err)
{
    AUTO(box_pair) struct box_pair *eph = box_pair_new(NULL);
    AUTO(wipe32) uint8_t shared[32];
    AUTO(wipe32) uint8_t key[32];
    if (crypto_scalarmult(shared, eph->sk->data, pk) != 0)
        return err_set(err, ERR_PROTOCOL, "box: the recipient's public key is of low order");
    box_key(shared, eph->pk, pk, context, key);
    buf_reserve(out, BOX_OVERHEAD + plain.len);
    buf_put_u8(out, BOX_VERSION);
    buf_put(out, eph->pk, BOX_PK_LEN);
    small_seal(key, context, plain, out);
    return true;
}

bool box_open(const struct box_pair *pair, struct span context, struct span sealed, struct secret **out,
              struct err *err)
{
    if (sealed.len < BOX_OVERHEAD)
        return err_set(err, ERR_TRUNCATED, "box: ends after %zu bytes", sealed.len);
    if (sealed.data[0] != BOX_VERSION)
        return err_set(err, ERR_VERSION, "box: version %u is not known", sealed.data[0]);
    const uint8_t *eph = sealed.data + BOX_EPH_AT;
    AUTO(wipe32) uint8_t shared[32];
    AUTO(wipe32) uint8_t key[32];
    if (crypto_scalarmult(shared, pair->sk->data, eph) != 0)
        return err_set(err, ERR_DAMAGED, "box: its ephemeral key is of low order");
    box_key(shared, eph, pair->pk, context, key);
    struct span inner = span_of(sealed.data + BOX_SEALED_AT, sealed.len - BOX_SEALED_AT);
    if (small_open(key, context, inner, out, err)) return true;
    return err_set(err, ERR_WRONG_KEY, "box: not sealed to this key for this use, or damaged");
}
