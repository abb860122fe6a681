#include "common/crypto/seal/key.h"

#include "common/crypto/box.h"
#include "fixture.h"
#include "golden.h"

#include <criterion/criterion.h>
#include <string.h>

static struct hash golden_hash(const char *name)
{
    AUTO(buf) struct buf bytes = golden("derive", name);
    struct hash hash;
    memcpy(hash.bytes, bytes.data, HASH_LEN);
    return hash;
}

static bool secret_is(const struct secret *secret, const struct secret *other)
{
    return secret->len == other->len && memcmp(secret->data, other->data, other->len) == 0;
}

static bool keyring_opens(struct span bytes, const void *context, struct err *err)
{
    AUTO(read_half) struct read_half *half = NULL;
    struct hash key_id = golden_hash("key_id");
    return read_half_open(fixture_s(), &key_id, bytes, &half, err);
}

static bool write_half_decodes(struct span bytes, const void *context, struct err *err)
{
    AUTO(write_half) struct write_half *half = NULL;
    struct hash key_id = golden_hash("key_id");
    struct hash domain = golden_hash("domain_id");
    return write_half_decode(bytes, &key_id, &domain, &half, err);
}

Test(key, unlock_pair_and_key_id_are_those_of_the_format)
{
    struct hash expected_pk = golden_hash("unlock_pk");
    struct hash expected_id = golden_hash("key_id");
    uint8_t unlock_pk[32];
    struct hash key_id;
    key_identity(fixture_s(), unlock_pk, &key_id);
    cr_assert_arr_eq(unlock_pk, expected_pk.bytes, 32);
    cr_assert(hash_eq(&key_id, &expected_id));
}

Test(key, is_known_by_its_id_and_by_its_length)
{
    struct hash key_id = golden_hash("key_id");
    AUTO(secret) struct secret *s = secret_copy(fixture_s(), KEY_SECRET_LEN);
    cr_assert(key_is(s, &key_id));
    s->data[KEY_SECRET_LEN - 1] ^= 1;
    cr_assert_not(key_is(s, &key_id));
    for (size_t len = 0; len < KEY_SECRET_LEN; len++) {
        AUTO(secret) struct secret *shorter = secret_copy(fixture_s(), len);
        cr_assert_not(key_is(shorter, &key_id));
    }
}

Test(key, opens_the_keyring_of_another_implementation)
{
    AUTO(buf) struct buf keyring = golden("key", "keyring");
    AUTO(read_half) struct read_half *expected = fixture_read_half();
    AUTO(read_half) struct read_half *half = NULL;
    struct hash key_id = golden_hash("key_id");
    struct err err;
    cr_assert(read_half_open(fixture_s(), &key_id, buf_span(&keyring), &half, &err), "%s", err.text);
    cr_assert(hash_eq(&half->key_id, &key_id));
    cr_assert(secret_is(half->s, expected->s));
    cr_assert(secret_is(half->unlock_sk, expected->unlock_sk));
    cr_assert(secret_is(half->dedup_secret, expected->dedup_secret));
    cr_assert(secret_is(half->psk, expected->psk));
    cr_assert(secret_is(half->earlier, expected->earlier));
}

Test(key, a_new_key_has_random_secrets_and_no_history)
{
    AUTO(read_half) struct read_half *a = read_half_new(fixture_s());
    AUTO(read_half) struct read_half *b = read_half_new(fixture_s());
    cr_assert(hash_eq(&a->key_id, &b->key_id));
    cr_assert(!secret_is(a->dedup_secret, b->dedup_secret));
    cr_assert(!secret_is(a->psk, b->psk));
    cr_assert(!secret_is(a->psk, a->dedup_secret));
    cr_assert_null(a->earlier);
}

Test(key, a_keyring_comes_back_with_and_without_history)
{
    AUTO(read_half) struct read_half *half = read_half_new(fixture_s());
    for (int rotations = 0; rotations < 4; rotations++) {
        AUTO(buf) struct buf keyring = {0};
        AUTO(read_half) struct read_half *again = NULL;
        struct err err;
        keyring_seal(half, &keyring);
        cr_assert(read_half_open(half->s->data, &half->key_id, buf_span(&keyring), &again, &err), "%s",
                  err.text);
        cr_assert(secret_is(again->psk, half->psk));
        cr_assert_eq(again->earlier ? again->earlier->len : 0, 32 * (size_t)rotations);
        if (rotations) cr_assert(secret_is(again->earlier, half->earlier));

        struct read_half *next = NULL;
        uint8_t s[32];
        fill_run(s, (uint8_t)(0x80 + rotations), sizeof(s));
        cr_assert(read_half_rotate(half, s, ROTATE_KEEP_DEDUP, &next, &err), "%s", err.text);
        read_half_free(half);
        half = next;
    }
}

Test(key, rotation_keeps_what_deduplication_needs_and_puts_the_old_secret_first)
{
    uint8_t s[32];
    struct err err;
    AUTO(read_half) struct read_half *old = fixture_read_half();
    AUTO(read_half) struct read_half *fresh = NULL;
    fill_run(s, 0x55, sizeof(s));
    cr_assert(read_half_rotate(old, s, ROTATE_KEEP_DEDUP, &fresh, &err), "%s", err.text);
    cr_assert(!hash_eq(&old->key_id, &fresh->key_id));
    cr_assert(secret_is(old->dedup_secret, fresh->dedup_secret));
    cr_assert(secret_is(old->psk, fresh->psk));
    cr_assert_eq(fresh->earlier->len, 64);
    cr_assert_arr_eq(fresh->earlier->data, fixture_s(), 32);
    cr_assert_arr_eq(fresh->earlier->data + 32, fixture_s_earlier(), 32);
}

Test(key, a_new_dedup_secret_leaves_the_old_one_for_what_is_stored)
{
    uint8_t s[32];
    struct err err;
    AUTO(read_half) struct read_half *old = read_half_new(fixture_s());
    AUTO(read_half) struct read_half *fresh = NULL;
    AUTO(read_half) struct read_half *again = NULL;
    AUTO(buf) struct buf keyring = {0};
    fill_run(s, 0x55, sizeof(s));
    cr_assert(read_half_rotate(old, s, ROTATE_NEW_DEDUP, &fresh, &err), "%s", err.text);
    cr_assert(!secret_is(old->dedup_secret, fresh->dedup_secret));
    cr_assert(secret_is(old->psk, fresh->psk), "the envelopes that are there need it");
    keyring_seal(fresh, &keyring);
    cr_assert(read_half_open(s, &fresh->key_id, buf_span(&keyring), &again, &err), "%s", err.text);
    cr_assert(secret_is(again->dedup_secret, fresh->dedup_secret));
    cr_assert(secret_is(again->earlier_dedup, old->dedup_secret));

    AUTO(secret) struct secret *before = read_half_dedup_key(old, "t:web1");
    AUTO(secret) struct secret *after = read_half_dedup_key(fresh, "t:web1");
    struct hash old_id = domain_id(before->data), new_id = domain_id(after->data), none = {{1}};
    cr_assert(read_half_use_domain(again, "t:web1", &new_id, &err));
    cr_assert(secret_is(again->dedup_secret, fresh->dedup_secret));
    cr_assert(read_half_use_domain(again, "t:web1", &old_id, &err), "%s", err.text);
    cr_assert(secret_is(again->dedup_secret, old->dedup_secret));
    cr_assert(!read_half_use_domain(again, "t:web1", &none, &err));
    cr_assert_eq(err.code, ERR_DAMAGED);
}

Test(key, a_half_finds_its_own_secret_and_the_earlier_ones_by_their_ids_and_takes_none_twice)
{
    uint8_t s[32];
    struct err err;
    AUTO(read_half) struct read_half *old = read_half_new(fixture_s());
    AUTO(read_half) struct read_half *fresh = NULL;
    struct read_half *none = NULL;
    struct hash unknown = {{7}};
    fill_run(s, 0x55, sizeof(s));
    cr_assert(read_half_rotate(old, s, ROTATE_KEEP_DEDUP, &fresh, &err), "%s", err.text);
    cr_assert_eq(read_half_earlier_count(fresh), 1);
    cr_assert_arr_eq(read_half_secret_of(fresh, &fresh->key_id), s, 32);
    cr_assert_arr_eq(read_half_secret_of(fresh, &old->key_id), fixture_s(), 32);
    cr_assert_null(read_half_secret_of(fresh, &unknown));
    cr_assert_null(read_half_secret_of(old, &fresh->key_id));
    cr_assert(!read_half_rotate(fresh, s, ROTATE_KEEP_DEDUP, &none, &err));
    cr_assert_eq(err.code, ERR_EXISTS);
    cr_assert(!read_half_rotate(fresh, fixture_s(), ROTATE_KEEP_DEDUP, &none, &err));
    cr_assert_eq(err.code, ERR_EXISTS);
}

Test(key, a_full_keyring_is_sealed_and_opened_and_takes_no_more)
{
    AUTO(read_half) struct read_half *half = read_half_new(fixture_s());
    AUTO(read_half) struct read_half *again = NULL;
    AUTO(buf) struct buf keyring = {0};
    struct err err;
    half->earlier = secret_new(KEY_SECRET_LEN * KEYRING_MAX_EARLIER);
    random_bytes(half->earlier->data, half->earlier->len);
    keyring_seal(half, &keyring);
    cr_assert(read_half_open(fixture_s(), &half->key_id, buf_span(&keyring), &again, &err), "%s", err.text);
    cr_assert(secret_is(again->earlier, half->earlier));
    struct read_half *none = NULL;
    cr_assert(!read_half_rotate(half, fixture_s_earlier(), ROTATE_KEEP_DEDUP, &none, &err));
    cr_assert_eq(err.code, ERR_LIMIT);
    cr_assert_null(none);
}

Test(key, keyring_refuses_every_bit_and_every_prefix)
{
    static const enum err_code codes[] = {ERR_DAMAGED, ERR_VERSION, ERR_NONE};
    const struct subject subject = {keyring_opens, NULL};
    AUTO(buf) struct buf keyring = golden("key", "keyring");
    struct err err;
    check_every_bit(&subject, buf_span(&keyring), codes);
    check_trailing_byte(&subject, buf_span(&keyring));
    for (size_t len = 0; len < keyring.len; len++) {
        cr_assert(!subject_accepts(&subject, span_of(keyring.data, len), &err), "%zu bytes", len);
        /* 107 bytes is the shortest keyring, one without earlier secrets */
        cr_assert_eq(err.code, len < 107 ? ERR_TRUNCATED : ERR_DAMAGED, "%zu bytes: %s", len, err.text);
    }
}

Test(key, another_secret_is_the_wrong_key_and_not_damage)
{
    AUTO(buf) struct buf keyring = golden("key", "keyring");
    struct hash key_id = golden_hash("key_id");
    struct read_half *half = NULL;
    struct err err;
    cr_assert(!read_half_open(fixture_s_earlier(), &key_id, buf_span(&keyring), &half, &err));
    cr_assert_eq(err.code, ERR_WRONG_KEY);
    cr_assert(!read_half_open(fixture_s_earlier(), &key_id, span_of(NULL, 0), &half, &err));
    cr_assert_eq(err.code, ERR_WRONG_KEY);
    cr_assert_null(half);
}

Test(key, a_keyring_of_another_key_is_damaged)
{
    AUTO(read_half) struct read_half *other = read_half_new(fixture_s_earlier());
    AUTO(buf) struct buf keyring = {0};
    struct hash key_id = golden_hash("key_id");
    struct read_half *half = NULL;
    struct err err;
    keyring_seal(other, &keyring);
    cr_assert(!read_half_open(fixture_s(), &key_id, buf_span(&keyring), &half, &err));
    cr_assert_eq(err.code, ERR_DAMAGED);
}

/* A keyring by somebody who has S: one that counts `count` earlier secrets and holds `held`. */
static void check_count_refused(uint16_t count, size_t held)
{
    AUTO(wipe32) uint8_t key[32];
    const struct span s = {fixture_s(), 32};
    struct hash key_id = golden_hash("key_id");
    AUTO(buf) struct buf associated = {0};
    AUTO(buf) struct buf plain = {0};
    AUTO(buf) struct buf keyring = {0};
    struct err err;
    hash_derive("sealift v1 keyring", &s, 1, key);
    buf_put(&associated, "sealift keyring v1", sizeof("sealift keyring v1"));
    buf_put(&associated, key_id.bytes, HASH_LEN);
    memset(buf_grow(&plain, 66 + 32 * held), 0, 66 + 32 * held);
    le16_put(plain.data + 64, count);
    buf_put_u8(&keyring, 1);
    small_seal(key, buf_span(&associated), buf_span(&plain), &keyring);
    cr_assert(!keyring_opens(buf_span(&keyring), NULL, &err), "counts %u, holds %zu", count, held);
    cr_assert_eq(err.code, ERR_DAMAGED);
}

Test(key, a_keyring_that_counts_wrong_or_over_the_limit_is_damaged)
{
    check_count_refused(0, 1);
    check_count_refused(2, 1);
    check_count_refused(UINT16_MAX, 1);
    check_count_refused(KEYRING_MAX_EARLIER + 1, KEYRING_MAX_EARLIER + 1);
}

Test(key, dedup_keys_differ_by_domain_and_are_those_of_the_format)
{
    AUTO(read_half) struct read_half *half = fixture_read_half();
    AUTO(secret) struct secret *web = read_half_dedup_key(half, FIXTURE_DOMAIN);
    AUTO(secret) struct secret *db = read_half_dedup_key(half, "t:db");
    AUTO(secret) struct secret *named = read_half_dedup_key(half, "d:web");
    AUTO(buf) struct buf expected = golden("derive", "dedup_key");
    cr_assert(span_eq(span_of(web->data, web->len), buf_span(&expected)));
    cr_assert(!secret_is(web, db));
    cr_assert(!secret_is(web, named));
}

Test(key, write_half_is_that_of_the_format_and_comes_back)
{
    AUTO(read_half) struct read_half *read = fixture_read_half();
    AUTO(write_half) struct write_half *half = write_half_of(read, FIXTURE_DOMAIN);
    AUTO(write_half) struct write_half *again = NULL;
    AUTO(secret) struct secret *encoded = write_half_encode(half);
    AUTO(buf) struct buf expected = golden("key", "write_half");
    struct hash domain = golden_hash("domain_id");
    struct err err;
    cr_assert(span_eq(span_of(encoded->data, encoded->len), buf_span(&expected)));
    cr_assert(write_half_decode(buf_span(&expected), &read->key_id, &domain, &again, &err), "%s", err.text);
    cr_assert(hash_eq(&again->key_id, &read->key_id));
    cr_assert_arr_eq(again->unlock_pk, read->unlock_pk, 32);
    cr_assert(secret_is(again->dedup_key, half->dedup_key));
    cr_assert(secret_is(again->psk, half->psk));
    cr_assert_null(memmem(encoded->data, encoded->len, read->s->data, 32), "the write half holds S");
    cr_assert_null(memmem(encoded->data, encoded->len, read->unlock_sk->data, 32));
}

Test(key, write_half_refuses_every_prefix_and_each_bit_that_it_can_check)
{
    static const enum err_code codes[] = {ERR_WRONG_KEY, ERR_NONE};
    const struct subject subject = {write_half_decodes, NULL};
    AUTO(buf) struct buf encoded = golden("key", "write_half");
    struct err err;
    check_every_prefix(&subject, buf_span(&encoded), ERR_TRUNCATED);
    check_trailing_byte(&subject, buf_span(&encoded));
    /* the pre-shared secret, the last 32 bytes, has no check: halves travel in boxes */
    for (size_t bit = 0; bit < 8 * 64; bit++) {
        encoded.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        cr_assert(!subject_accepts(&subject, buf_span(&encoded), &err), "bit %zu", bit);
        cr_assert_eq(err.code, codes[0]);
        encoded.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

Test(key, write_half_of_another_domain_is_refused)
{
    AUTO(read_half) struct read_half *read = fixture_read_half();
    AUTO(write_half) struct write_half *half = write_half_of(read, "t:db");
    AUTO(secret) struct secret *encoded = write_half_encode(half);
    struct err err;
    cr_assert(!write_half_decodes(span_of(encoded->data, encoded->len), NULL, &err));
    cr_assert_eq(err.code, ERR_WRONG_KEY);
}

Test(key, opens_the_password_protector_of_another_implementation)
{
    AUTO(buf) struct buf wrapped = golden("key", "password_protector");
    AUTO(buf) struct buf pwhash = golden("derive", "password_hash");
    AUTO(secret) struct secret *s = NULL;
    struct hash key_id = golden_hash("key_id");
    struct err err;
    cr_assert(key_unwrap(pwhash.data, &key_id, buf_span(&wrapped), &s, &err), "%s", err.text);
    cr_assert_eq(s->len, (size_t)KEY_SECRET_LEN);
    cr_assert_arr_eq(s->data, fixture_s(), KEY_SECRET_LEN);
}

static bool unwraps(struct span bytes, const void *pwhash, struct err *err)
{
    AUTO(secret) struct secret *s = NULL;
    struct hash key_id = golden_hash("key_id");
    return key_unwrap(pwhash, &key_id, bytes, &s, err);
}

Test(key, password_protector_refuses_every_bit_prefix_and_other_password)
{
    static const enum err_code codes[] = {ERR_WRONG_KEY, ERR_NONE};
    AUTO(read_half) struct read_half *half = fixture_read_half();
    AUTO(buf) struct buf wrapped = {0};
    uint8_t pwhash[32] = {1};
    struct err err;
    key_wrap(pwhash, half, &wrapped);
    cr_assert_eq(wrapped.len, (size_t)KEY_WRAP_LEN);
    const struct subject subject = {unwraps, pwhash};
    check_every_bit(&subject, buf_span(&wrapped), codes);
    check_every_prefix(&subject, buf_span(&wrapped), ERR_TRUNCATED);
    check_trailing_byte(&subject, buf_span(&wrapped));
    pwhash[0] = 2;
    cr_assert(!unwraps(buf_span(&wrapped), pwhash, &err));
    cr_assert_eq(err.code, ERR_WRONG_KEY);
}

Test(key, a_password_protector_of_one_key_does_not_serve_another)
{
    const uint8_t pwhash[32] = {1};
    AUTO(read_half) struct read_half *half = read_half_new(fixture_s_earlier());
    AUTO(buf) struct buf wrapped = {0};
    struct err err;
    key_wrap(pwhash, half, &wrapped);
    cr_assert(!unwraps(buf_span(&wrapped), pwhash, &err));
    cr_assert_eq(err.code, ERR_WRONG_KEY);
    /* relabelled by somebody who knows the password: the secret is checked against the key id */
    struct hash key_id = golden_hash("key_id");
    half->key_id = key_id;
    buf_clear(&wrapped);
    key_wrap(pwhash, half, &wrapped);
    cr_assert(!unwraps(buf_span(&wrapped), pwhash, &err));
    cr_assert_eq(err.code, ERR_DAMAGED);
}
