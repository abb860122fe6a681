#include "common/crypto/seal/envelope_key.h"

#include "common/base/alloc.h"
#include "common/crypto/box.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define RUN_KEY_LEN 32

_Static_assert(ENVELOPE_AT_SEALED + SMALL_OVERHEAD + RUN_KEY_LEN == ENVELOPE_AT_COMMIT, "envelope layout");

/* Takes the key. */
static struct run_key *run_key_of(const struct id *seal, struct secret *key)
{
    struct run_key *run = xcalloc(1, sizeof(*run));
    run->seal = *seal;
    run->key = key;
    run->frames = secret_new(32);
    const struct span part = {key->data, key->len};
    hash_derive("sealift v1 frame subkey", &part, 1, run->frames->data);
    return run;
}

struct run_key *run_key_new(void)
{
    struct id seal = id_random();
    struct secret *key = secret_new(RUN_KEY_LEN);
    random_bytes(key->data, key->len);
    return run_key_of(&seal, key);
}

void run_key_free(struct run_key *run)
{
    if (!run) return;
    secret_free(run->key);
    secret_free(run->frames);
    free(run);
}

static void commit_value(const uint8_t *run_key, const uint8_t *seal, uint8_t out[static 32])
{
    const struct span parts[] = {{run_key, RUN_KEY_LEN}, {seal, ID_LEN}};
    hash_derive("sealift v1 commit", parts, 2, out);
}

/* Of an envelope whose clear fields stand. */
static void envelope_key(const uint8_t shared[static 32], const struct secret *psk, const uint8_t *envelope,
                         uint8_t key[static 32])
{
    const struct span parts[] = {
        {shared, 32},
        {psk->data, psk->len},
        {envelope + ENVELOPE_AT_EPH_PK, 32},
        {envelope + ENVELOPE_AT_UNLOCK_PK, 32},
        {envelope + ENVELOPE_AT_KEY_ID, HASH_LEN},
        {envelope + ENVELOPE_AT_DOMAIN, HASH_LEN},
        {envelope + ENVELOPE_AT_SEAL, ID_LEN},
        {envelope + ENVELOPE_AT_WRITER, SIGN_PK_LEN},
    };
    hash_derive("sealift v1 envelope", parts, sizeof(parts) / sizeof(parts[0]), key);
}

static void put_clear_fields(const struct run_key *run, const struct write_half *half,
                             const struct sign_pair *writer, const uint8_t *eph_pk, uint8_t *out)
{
    struct hash domain = domain_id(half->dedup_key->data);
    memset(out, 0, ENVELOPE_AT_SEAL);
    out[ENVELOPE_AT_VERSION] = ENVELOPE_VERSION;
    memcpy(out + ENVELOPE_AT_SEAL, run->seal.bytes, ID_LEN);
    memcpy(out + ENVELOPE_AT_KEY_ID, half->key_id.bytes, HASH_LEN);
    memcpy(out + ENVELOPE_AT_DOMAIN, domain.bytes, HASH_LEN);
    memcpy(out + ENVELOPE_AT_WRITER, writer->pk, SIGN_PK_LEN);
    memcpy(out + ENVELOPE_AT_UNLOCK_PK, half->unlock_pk, sizeof(half->unlock_pk));
    memcpy(out + ENVELOPE_AT_EPH_PK, eph_pk, BOX_PK_LEN);
}

bool envelope_seal(const struct run_key *run, const struct write_half *half, const struct sign_pair *writer,
                   uint8_t out[static ENVELOPE_LEN], struct err *err)
{
    AUTO(box_pair) struct box_pair *eph = box_pair_new(NULL);
    AUTO(wipe32) uint8_t shared[32];
    AUTO(wipe32) uint8_t key[32];
    if (crypto_scalarmult(shared, eph->sk->data, half->unlock_pk) != 0)
        return err_set(err, ERR_PROTOCOL, "envelope: the key's unlock key is of low order");
    put_clear_fields(run, half, writer, eph->pk, out);
    envelope_key(shared, half->psk, out, key);
    AUTO(buf) struct buf sealed = {0};
    small_seal(key, span_of(out, ENVELOPE_AT_SEALED), span_of(run->key->data, run->key->len), &sealed);
    memcpy(out + ENVELOPE_AT_SEALED, sealed.data, sealed.len);
    commit_value(run->key->data, run->seal.bytes, out + ENVELOPE_AT_COMMIT);
    sign_bytes(writer, "envelope", span_of(out, ENVELOPE_AT_SIGNATURE), out + ENVELOPE_AT_SIGNATURE);
    return true;
}

/* The unlock secret key that has the key id: of S, or of an earlier S. */
static bool find_unlock_sk(const struct read_half *half, const struct hash *key_id, uint8_t out[static 32])
{
    const uint8_t *s = read_half_secret_of(half, key_id);
    if (s) key_unlock_sk(s, out);
    return s != NULL;
}

bool envelope_commits(struct span bytes, struct secret **key, struct run_key **out, struct err *err)
{
    AUTO(wipe32) uint8_t commit[32];
    struct id seal;
    memcpy(seal.bytes, bytes.data + ENVELOPE_AT_SEAL, ID_LEN);
    if ((*key)->len != RUN_KEY_LEN) return err_set(err, ERR_DAMAGED, "envelope: no run key");
    commit_value((*key)->data, seal.bytes, commit);
    if (sodium_memcmp(commit, bytes.data + ENVELOPE_AT_COMMIT, sizeof(commit)) != 0)
        return err_set(err, ERR_DAMAGED, "envelope: its commit value does not fit the run key");
    *out = run_key_of(&seal, *key);
    *key = NULL;
    return true;
}

bool envelope_open(struct span bytes, const struct read_half *half, struct run_key **out, struct err *err)
{
    struct envelope_view view;
    if (!envelope_parse(bytes, &view, err)) return false;
    AUTO(wipe32) uint8_t unlock_sk[32];
    AUTO(wipe32) uint8_t shared[32];
    AUTO(wipe32) uint8_t key[32];
    if (!find_unlock_sk(half, &view.key_id, unlock_sk))
        return err_set(err, ERR_WRONG_KEY, "envelope: it is sealed to another key");
    if (crypto_scalarmult(shared, unlock_sk, bytes.data + ENVELOPE_AT_EPH_PK) != 0)
        return err_set(err, ERR_DAMAGED, "envelope: its ephemeral key is of low order");
    envelope_key(shared, half->psk, bytes.data, key);
    AUTO(secret) struct secret *run_key = NULL;
    struct span sealed = span_of(bytes.data + ENVELOPE_AT_SEALED, ENVELOPE_AT_COMMIT - ENVELOPE_AT_SEALED);
    if (!small_open(key, span_of(bytes.data, ENVELOPE_AT_SEALED), sealed, &run_key, err))
        return err_wrap(err, "envelope");
    return envelope_commits(bytes, &run_key, out, err);
}
