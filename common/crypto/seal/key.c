#include "common/crypto/seal/key.h"

#include "common/base/text.h"

#include "common/base/alloc.h"
#include "common/crypto/box.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define KEYRING_VERSION 1
#define KEYRING_FIXED_LEN 66 /* dedup secret, pre-shared secret, count */
#define KEYRING_MIN_LEN (1 + SMALL_OVERHEAD + KEYRING_FIXED_LEN)

_Static_assert(KEY_WRAP_LEN == KEY_SECRET_LEN + SMALL_OVERHEAD, "wrap layout");

void write_half_free(struct write_half *half)
{
    if (!half) return;
    secret_free(half->dedup_key);
    secret_free(half->psk);
    free(half);
}

void read_half_free(struct read_half *half)
{
    if (!half) return;
    secret_free(half->s);
    secret_free(half->unlock_sk);
    secret_free(half->dedup_secret);
    secret_free(half->psk);
    secret_free(half->earlier);
    secret_free(half->earlier_dedup);
    free(half);
}

static void derive_from_s(const char *context, const uint8_t s[static KEY_SECRET_LEN], uint8_t out[static 32])
{
    const struct span part = {s, KEY_SECRET_LEN};
    hash_derive(context, &part, 1, out);
}

static void identity_of(const uint8_t unlock_sk[static 32], uint8_t unlock_pk[static 32], struct hash *key_id)
{
    (void)crypto_scalarmult_base(unlock_pk, unlock_sk);
    *key_id = hash_of(span_of(unlock_pk, 32));
}

void key_unlock_sk(const uint8_t s[static KEY_SECRET_LEN], uint8_t unlock_sk[static 32])
{
    derive_from_s("sealift v1 unlock pair", s, unlock_sk);
}

void key_identity(const uint8_t s[static KEY_SECRET_LEN], uint8_t unlock_pk[static 32], struct hash *key_id)
{
    AUTO(wipe32) uint8_t unlock_sk[32];
    key_unlock_sk(s, unlock_sk);
    identity_of(unlock_sk, unlock_pk, key_id);
}

bool key_is(const struct secret *s, const struct hash *key_id)
{
    uint8_t unlock_pk[32];
    struct hash found;
    if (s->len != KEY_SECRET_LEN) return false;
    key_identity(s->data, unlock_pk, &found);
    return hash_eq(&found, key_id);
}

static struct secret *random_secret(void)
{
    struct secret *secret = secret_new(32);
    random_bytes(secret->data, secret->len);
    return secret;
}

/* S and what follows from it; the rest is still empty. */
static struct read_half *half_around(const uint8_t s[static KEY_SECRET_LEN])
{
    struct read_half *half = xcalloc(1, sizeof(*half));
    half->s = secret_copy(s, KEY_SECRET_LEN);
    half->unlock_sk = secret_new(32);
    key_unlock_sk(s, half->unlock_sk->data);
    identity_of(half->unlock_sk->data, half->unlock_pk, &half->key_id);
    return half;
}

struct read_half *read_half_new(const uint8_t s[static KEY_SECRET_LEN])
{
    struct read_half *half = half_around(s);
    half->dedup_secret = random_secret();
    half->psk = random_secret();
    return half;
}

static size_t secrets_in(const struct secret *list)
{
    return list ? list->len / KEY_SECRET_LEN : 0;
}

size_t read_half_earlier_count(const struct read_half *half)
{
    return secrets_in(half->earlier);
}

/* A list with one more at its front. */
static struct secret *put_first(const struct secret *first, const struct secret *rest)
{
    struct secret *list = secret_new(first->len + (rest ? rest->len : 0));
    /* a secret always has data: NOLINTBEGIN(clang-analyzer-core.NonNullParamChecker) */
    memcpy(list->data, first->data, first->len);
    if (rest) memcpy(list->data + first->len, rest->data, rest->len);
    /* NOLINTEND(clang-analyzer-core.NonNullParamChecker) */
    return list;
}

const uint8_t *read_half_secret_of(const struct read_half *half, const struct hash *key_id)
{
    if (hash_eq(&half->key_id, key_id)) return half->s->data;
    for (size_t i = 0; i < secrets_in(half->earlier); i++) {
        const uint8_t *s = half->earlier->data + i * KEY_SECRET_LEN;
        uint8_t unlock_pk[32];
        struct hash found;
        key_identity(s, unlock_pk, &found);
        if (hash_eq(&found, key_id)) return s;
    }
    return NULL;
}

static void rotate_dedup(const struct read_half *old, enum rotate_dedup dedup, struct read_half *half)
{
    if (dedup == ROTATE_NEW_DEDUP) {
        half->dedup_secret = random_secret();
        half->earlier_dedup = put_first(old->dedup_secret, old->earlier_dedup);
        return;
    }
    half->dedup_secret = secret_copy(old->dedup_secret->data, old->dedup_secret->len);
    if (old->earlier_dedup)
        half->earlier_dedup = secret_copy(old->earlier_dedup->data, old->earlier_dedup->len);
}

bool read_half_rotate(const struct read_half *old, const uint8_t s[static KEY_SECRET_LEN],
                      enum rotate_dedup dedup, struct read_half **out, struct err *err)
{
    size_t count = secrets_in(old->earlier);
    if (count >= KEYRING_MAX_EARLIER)
        return err_set(err, ERR_LIMIT, "key: it has been rotated %zu times, which is the limit", count);
    AUTO(read_half) struct read_half *half = half_around(s);
    if (read_half_secret_of(old, &half->key_id))
        return err_set(err, ERR_EXISTS, "key: this secret is, or was, its secret already");
    half->psk = secret_copy(old->psk->data, old->psk->len);
    half->earlier = put_first(old->s, old->earlier);
    rotate_dedup(old, dedup, half);
    *out = half;
    half = NULL;
    return true;
}

static struct secret *dedup_key_of(const uint8_t dedup_secret[static 32], const char *domain)
{
    const struct span parts[] = {{dedup_secret, 32}, span_str(domain)};
    struct secret *key = secret_new(32);
    hash_derive("sealift v1 dedup domain", parts, 2, key->data);
    return key;
}

static bool yields(const uint8_t dedup_secret[static 32], const char *domain, const struct hash *id)
{
    AUTO(secret) struct secret *key = dedup_key_of(dedup_secret, domain);
    struct hash found = domain_id(key->data);
    return hash_eq(&found, id);
}

bool read_half_use_domain(struct read_half *half, const char *domain, const struct hash *id, struct err *err)
{
    if (yields(half->dedup_secret->data, domain, id)) return true;
    for (size_t i = 0; i < secrets_in(half->earlier_dedup); i++) {
        const uint8_t *earlier = half->earlier_dedup->data + i * KEY_SECRET_LEN;
        if (!yields(earlier, domain, id)) continue;
        struct secret *chosen = secret_copy(earlier, KEY_SECRET_LEN);
        secret_free(half->dedup_secret);
        half->dedup_secret = chosen;
        return true;
    }
    return err_set(err, ERR_DAMAGED, "the key's keyring does not yield the point's dedup domain");
}

/* "sealift keyring v1" 00 key id, or the same of another use */
static void put_associated(struct buf *out, const char *use, const struct hash *key_id)
{
    buf_put(out, use, strlen(use) + 1);
    buf_put(out, key_id->bytes, HASH_LEN);
}

/* dedup secret, pre-shared secret, earlier S with their count, and where there are any the same of earlier
 * dedup secrets */
static struct secret *keyring_pack(const struct read_half *half)
{
    size_t count = secrets_in(half->earlier), dedups = secrets_in(half->earlier_dedup);
    assert(count <= KEYRING_MAX_EARLIER && dedups <= KEYRING_MAX_EARLIER);
    size_t end = KEYRING_FIXED_LEN + KEY_SECRET_LEN * count;
    struct secret *plain = secret_new(end + (dedups ? 2 + KEY_SECRET_LEN * dedups : 0));
    memcpy(plain->data, half->dedup_secret->data, 32);
    memcpy(plain->data + 32, half->psk->data, 32);
    le16_put(plain->data + 64, (uint16_t)count);
    if (count) memcpy(plain->data + KEYRING_FIXED_LEN, half->earlier->data, half->earlier->len);
    if (dedups) {
        le16_put(plain->data + end, (uint16_t)dedups);
        memcpy(plain->data + end + 2, half->earlier_dedup->data, half->earlier_dedup->len);
    }
    return plain;
}

void keyring_seal(const struct read_half *half, struct buf *out)
{
    AUTO(secret) struct secret *plain = keyring_pack(half);
    AUTO(wipe32) uint8_t key[32];
    derive_from_s("sealift v1 keyring", half->s->data, key);
    AUTO(buf) struct buf associated = {0};
    put_associated(&associated, "sealift keyring v1", &half->key_id);
    buf_put_u8(out, KEYRING_VERSION);
    small_seal(key, buf_span(&associated), span_of(plain->data, plain->len), out);
}

static bool keyring_unpack(const struct secret *plain, struct read_half *half, struct err *err)
{
    size_t count = plain->len >= KEYRING_FIXED_LEN ? le16_get(plain->data + 64) : SIZE_MAX;
    if (count > KEYRING_MAX_EARLIER || plain->len < KEYRING_FIXED_LEN + KEY_SECRET_LEN * count)
        return err_set(err, ERR_DAMAGED, "keyring: impossible length");
    const uint8_t *tail = plain->data + KEYRING_FIXED_LEN + KEY_SECRET_LEN * count;
    size_t left = (size_t)(plain->data + plain->len - tail);
    size_t dedups = left >= 2 ? le16_get(tail) : 0;
    if (left && (dedups == 0 || dedups > KEYRING_MAX_EARLIER || left != 2 + KEY_SECRET_LEN * dedups))
        return err_set(err, ERR_DAMAGED, "keyring: impossible length");
    half->dedup_secret = secret_copy(plain->data, 32);
    half->psk = secret_copy(plain->data + 32, 32);
    if (count) half->earlier = secret_copy(plain->data + KEYRING_FIXED_LEN, KEY_SECRET_LEN * count);
    if (dedups) half->earlier_dedup = secret_copy(tail + 2, KEY_SECRET_LEN * dedups);
    return true;
}

bool read_half_open(const uint8_t s[static KEY_SECRET_LEN], const struct hash *key_id, struct span keyring,
                    struct read_half **out, struct err *err)
{
    AUTO(read_half) struct read_half *half = half_around(s);
    if (!hash_eq(&half->key_id, key_id))
        return err_set(err, ERR_WRONG_KEY, "the secret is not that of this key");
    if (keyring.len < KEYRING_MIN_LEN)
        return err_set(err, ERR_TRUNCATED, "keyring: ends after %zu bytes", keyring.len);
    if (keyring.data[0] != KEYRING_VERSION)
        return err_set(err, ERR_VERSION, "keyring: version %u is not known", keyring.data[0]);
    AUTO(wipe32) uint8_t key[32];
    derive_from_s("sealift v1 keyring", s, key);
    AUTO(buf) struct buf associated = {0};
    put_associated(&associated, "sealift keyring v1", key_id);
    AUTO(secret) struct secret *plain = NULL;
    if (!small_open(key, buf_span(&associated), span_of(keyring.data + 1, keyring.len - 1), &plain, err))
        return err_wrap(err, "keyring");
    if (!keyring_unpack(plain, half, err)) return false;
    *out = half;
    half = NULL;
    return true;
}

struct secret *read_half_dedup_key(const struct read_half *half, const char *domain)
{
    return dedup_key_of(half->dedup_secret->data, domain);
}

struct write_half *write_half_of(const struct read_half *half, const char *domain)
{
    struct write_half *out = xcalloc(1, sizeof(*out));
    out->key_id = half->key_id;
    memcpy(out->unlock_pk, half->unlock_pk, sizeof(out->unlock_pk));
    out->dedup_key = read_half_dedup_key(half, domain);
    out->psk = secret_copy(half->psk->data, half->psk->len);
    return out;
}

struct secret *write_half_encode(const struct write_half *half)
{
    struct secret *out = secret_new(WRITE_HALF_LEN);
    memcpy(out->data, half->unlock_pk, 32);
    memcpy(out->data + 32, half->dedup_key->data, 32);
    memcpy(out->data + 64, half->psk->data, 32);
    return out;
}

bool write_half_decode(struct span bytes, const struct hash *key_id, const struct hash *domain,
                       struct write_half **out, struct err *err)
{
    if (bytes.len < WRITE_HALF_LEN)
        return err_set(err, ERR_TRUNCATED, "write half: ends after %zu of %d bytes", bytes.len,
                       WRITE_HALF_LEN);
    if (bytes.len > WRITE_HALF_LEN) return err_set(err, ERR_DAMAGED, "write half: bytes follow its end");
    struct hash own_id = hash_of(span_of(bytes.data, 32));
    if (!hash_eq(&own_id, key_id)) return err_set(err, ERR_WRONG_KEY, "write half: it is of another key");
    struct hash own_domain = domain_id(bytes.data + 32);
    if (!hash_eq(&own_domain, domain))
        return err_set(err, ERR_WRONG_KEY, "write half: it is of another dedup domain");
    struct write_half *half = xcalloc(1, sizeof(*half));
    half->key_id = *key_id;
    memcpy(half->unlock_pk, bytes.data, 32);
    half->dedup_key = secret_copy(bytes.data + 32, 32);
    half->psk = secret_copy(bytes.data + 64, 32);
    *out = half;
    return true;
}

static void wrap_key(const uint8_t pwhash[static 32], uint8_t key[static 32])
{
    const struct span part = {pwhash, 32};
    hash_derive("sealift v1 password protector", &part, 1, key);
}

void key_wrap(const uint8_t pwhash[static 32], const struct read_half *half, struct buf *out)
{
    AUTO(wipe32) uint8_t key[32];
    wrap_key(pwhash, key);
    AUTO(buf) struct buf associated = {0};
    put_associated(&associated, "sealift password protector v1", &half->key_id);
    small_seal(key, buf_span(&associated), span_of(half->s->data, half->s->len), out);
}

bool key_unwrap(const uint8_t pwhash[static 32], const struct hash *key_id, struct span wrapped,
                struct secret **s, struct err *err)
{
    if (wrapped.len < KEY_WRAP_LEN)
        return err_set(err, ERR_TRUNCATED, "password protector: ends after %zu bytes", wrapped.len);
    if (wrapped.len > KEY_WRAP_LEN)
        return err_set(err, ERR_DAMAGED, "password protector: bytes follow its end");
    AUTO(wipe32) uint8_t key[32];
    wrap_key(pwhash, key);
    AUTO(buf) struct buf associated = {0};
    put_associated(&associated, "sealift password protector v1", key_id);
    AUTO(secret) struct secret *found = NULL;
    if (!small_open(key, buf_span(&associated), wrapped, &found, err))
        return err_set(err, ERR_WRONG_KEY, "password protector: the password does not open it");
    uint8_t unlock_pk[32];
    struct hash found_id;
    key_identity(found->data, unlock_pk, &found_id);
    if (!hash_eq(&found_id, key_id))
        return err_set(err, ERR_DAMAGED, "password protector: it holds the secret of another key");
    *s = found;
    found = NULL;
    return true;
}

void key_fingerprint(const struct hash *key_id, char out[static KEY_FINGERPRINT_LEN])
{
    AUTO(buf) struct buf text = {0};
    base32_encode(span_of(key_id->bytes, 20), &text);
    for (size_t group = 0; group < 8; group++) {
        memcpy(out + 5 * group, text.data + 4 * group, 4);
        out[5 * group + 4] = group < 7 ? '-' : '\0';
    }
}
