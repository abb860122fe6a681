#include "common/crypto/seal/rewrap_key.h"

#include "common/crypto/box.h"

#include <sodium.h>
#include <string.h>

_Static_assert(REWRAP_AT_SEALED + SMALL_OVERHEAD + 32 == REWRAP_LEN, "rewrap layout");

/* Of a rewrap whose clear fields stand. */
static void rewrap_key(const uint8_t shared[static 32], const struct secret *psk, const uint8_t *rewrap,
                       const uint8_t *signer, uint8_t key[static 32])
{
    const struct span parts[] = {
        {shared, 32},
        {psk->data, psk->len},
        {rewrap + REWRAP_AT_EPH_PK, 32},
        {rewrap + REWRAP_AT_UNLOCK_PK, 32},
        {rewrap + REWRAP_AT_KEY_ID, HASH_LEN},
        {rewrap + REWRAP_AT_ENVELOPE, HASH_LEN},
        {rewrap + REWRAP_AT_SEAL, ID_LEN},
        {signer, SIGN_PK_LEN},
    };
    hash_derive("sealift v1 rewrap", parts, sizeof(parts) / sizeof(parts[0]), key);
}

/* The clear fields and who signs. */
static void put_associated(const uint8_t *rewrap, const uint8_t *signer, struct buf *out)
{
    buf_put(out, rewrap, REWRAP_AT_SEALED);
    buf_put(out, signer, SIGN_PK_LEN);
}

static void put_clear_fields(const struct run_key *run, struct span envelope, const struct read_half *half,
                             const uint8_t *eph_pk, uint8_t *out)
{
    struct hash hash = hash_of(envelope);
    memset(out, 0, REWRAP_AT_SEAL);
    out[REWRAP_AT_VERSION] = REWRAP_VERSION;
    memcpy(out + REWRAP_AT_SEAL, run->seal.bytes, ID_LEN);
    memcpy(out + REWRAP_AT_ENVELOPE, hash.bytes, HASH_LEN);
    memcpy(out + REWRAP_AT_KEY_ID, half->key_id.bytes, HASH_LEN);
    memcpy(out + REWRAP_AT_UNLOCK_PK, half->unlock_pk, sizeof(half->unlock_pk));
    memcpy(out + REWRAP_AT_EPH_PK, eph_pk, BOX_PK_LEN);
}

bool rewrap_make(struct span envelope, const struct read_half *half, const uint8_t signer[static SIGN_PK_LEN],
                 uint8_t out[static REWRAP_LEN], struct err *err)
{
    AUTO(run_key) struct run_key *run = NULL;
    AUTO(box_pair) struct box_pair *eph = box_pair_new(NULL);
    AUTO(wipe32) uint8_t shared[32];
    AUTO(wipe32) uint8_t key[32];
    AUTO(buf) struct buf sealed = {0};
    AUTO(buf) struct buf associated = {0};
    if (!envelope_open(envelope, half, &run, err)) return false;
    if (crypto_scalarmult(shared, eph->sk->data, half->unlock_pk) != 0)
        return err_set(err, ERR_PROTOCOL, "rewrap: the key's unlock key is of low order");
    put_clear_fields(run, envelope, half, eph->pk, out);
    rewrap_key(shared, half->psk, out, signer, key);
    put_associated(out, signer, &associated);
    small_seal(key, buf_span(&associated), span_of(run->key->data, run->key->len), &sealed);
    memcpy(out + REWRAP_AT_SEALED, sealed.data, sealed.len);
    return true;
}

static bool is_of(const struct rewrap_view *rewrap, struct span envelope, struct err *err)
{
    struct envelope_view view;
    if (!envelope_parse(envelope, &view, err)) return false;
    struct hash hash = hash_of(envelope);
    return (id_eq(&rewrap->seal, &view.seal) && hash_eq(&rewrap->envelope, &hash)) ||
           err_set(err, ERR_DAMAGED, "rewrap: it is of another envelope");
}

bool rewrap_open(struct span rewrap, const uint8_t signer[static SIGN_PK_LEN], struct span envelope,
                 const struct read_half *half, struct run_key **out, struct err *err)
{
    struct rewrap_view view;
    AUTO(wipe32) uint8_t unlock_sk[32];
    AUTO(wipe32) uint8_t shared[32];
    AUTO(wipe32) uint8_t key[32];
    AUTO(buf) struct buf associated = {0};
    AUTO(secret) struct secret *run_key = NULL;
    if (!rewrap_parse(rewrap, &view, err) || !is_of(&view, envelope, err)) return false;
    const uint8_t *s = read_half_secret_of(half, &view.key_id);
    if (!s) return err_set(err, ERR_WRONG_KEY, "rewrap: it is sealed to another key");
    key_unlock_sk(s, unlock_sk);
    if (crypto_scalarmult(shared, unlock_sk, view.bytes + REWRAP_AT_EPH_PK) != 0)
        return err_set(err, ERR_DAMAGED, "rewrap: its ephemeral key is of low order");
    rewrap_key(shared, half->psk, view.bytes, signer, key);
    put_associated(view.bytes, signer, &associated);
    struct span sealed = span_of(view.bytes + REWRAP_AT_SEALED, REWRAP_LEN - REWRAP_AT_SEALED);
    if (!small_open(key, buf_span(&associated), sealed, &run_key, err)) return err_wrap(err, "rewrap");
    return envelope_commits(envelope, &run_key, out, err) || err_wrap(err, "rewrap");
}
