/* The small objects of a repository: what is written is read back, and nothing else is read. */
#include "common/wire/head.h"
#include "common/wire/stored.h"

#include <criterion/criterion.h>
#include <string.h>

static ProtobufCBinaryData bytes_of(uint8_t value, size_t len)
{
    static uint8_t pool[256][4096];
    memset(pool[value], value, sizeof(pool[value]));
    return stored_bytes(span_of(pool[value], len));
}

/* --- one good object of each kind --- */

static Sealift__LogEntry good_log(void)
{
    Sealift__LogEntry entry = SEALIFT__LOG_ENTRY__INIT;
    entry.version = 1;
    entry.repository = bytes_of(1, ID_LEN);
    entry.number = 7;
    entry.time_ns = 1234567890;
    entry.previous = bytes_of(2, HASH_LEN);
    entry.kind = SEALIFT__LOG_KIND__LOG_POINT;
    entry.object = bytes_of(3, ID_LEN);
    entry.object_hash = bytes_of(4, HASH_LEN);
    return entry;
}

static Sealift__PointBody good_body(void)
{
    static Sealift__PointCounts counts = SEALIFT__POINT_COUNTS__INIT;
    static char job[] = "nightly", name[] = "büro", label[] = "main", domain[] = "t:büro", kind[] = "tree";
    Sealift__PointBody body = SEALIFT__POINT_BODY__INIT;
    counts.entries = 10;
    body.version = 1;
    body.point = bytes_of(1, ID_LEN);
    body.site = bytes_of(2, ID_LEN);
    body.run = bytes_of(3, ID_LEN);
    body.attempt = 2;
    body.job = job;
    body.writer = bytes_of(4, SIGN_PK_LEN);
    body.writer_name = name;
    body.root = bytes_of(5, HASH_LEN);
    body.seal = bytes_of(6, ID_LEN);
    body.key_id = bytes_of(7, HASH_LEN);
    body.key_label = label;
    body.cipher = 1;
    body.domain = domain;
    body.domain_id = bytes_of(8, HASH_LEN);
    body.unlock_hash = bytes_of(9, HASH_LEN);
    body.head_number = 3;
    body.head_hash = bytes_of(10, HASH_LEN);
    body.counts = &counts;
    body.object_kind = kind;
    return body;
}

static Sealift__UnlockSection good_unlock(void)
{
    static char argon[] = "argon2id13", entry[] = "eu", aws[] = "aws", master[] = "arn", label[] = "main",
                text[] = "for all\nhosts", none[] = "";
    static Sealift__Kdf kdf = SEALIFT__KDF__INIT;
    static Sealift__KmsWrap wrap = SEALIFT__KMS_WRAP__INIT;
    static Sealift__PasswordWrap password = SEALIFT__PASSWORD_WRAP__INIT;
    static Sealift__KmsWrap *wraps[] = {&wrap};
    static Sealift__PasswordWrap *passwords[] = {&password};
    Sealift__UnlockSection unlock = SEALIFT__UNLOCK_SECTION__INIT;
    kdf.name = argon;
    kdf.passes = 3;
    kdf.memory_bytes = 1 << 28;
    kdf.salt = bytes_of(1, 16);
    wrap.entry = entry;
    wrap.kind = aws;
    wrap.master_key = master;
    wrap.wrapped = bytes_of(2, 100);
    password.kdf = &kdf;
    password.sealed = bytes_of(3, 72);
    unlock.version = 1;
    unlock.key_id = bytes_of(4, HASH_LEN);
    unlock.label = label;
    unlock.description = text;
    unlock.origin = SEALIFT__KEY_ORIGIN__KEY_FROM_PASSWORD;
    unlock.kdf = &kdf;
    unlock.n_kms = 1;
    unlock.kms = wraps;
    unlock.n_passwords = 1;
    unlock.passwords = passwords;
    unlock.keyring = bytes_of(5, 107 + 2 * 32);
    unlock.shared_domain = none;
    unlock.unlock_pk = bytes_of(6, 32);
    return unlock;
}

/* --- round trips and spoiled bytes --- */

typedef bool decode_fn(struct span bytes, struct err *err);

static bool decode_log(struct span bytes, struct err *err)
{
    AUTO(stored_log) Sealift__LogEntry *entry = NULL;
    return stored_log_decode(bytes, &entry, err);
}

static bool decode_body(struct span bytes, struct err *err)
{
    AUTO(stored_body) Sealift__PointBody *body = NULL;
    return stored_body_decode(bytes, &body, err);
}

static bool decode_unlock(struct span bytes, struct err *err)
{
    AUTO(stored_unlock) Sealift__UnlockSection *unlock = NULL;
    return stored_unlock_decode(bytes, &unlock, err);
}

static bool decode_point(struct span bytes, struct err *err)
{
    AUTO(stored_point) Sealift__PointFile *file = NULL;
    return stored_point_decode(bytes, &file, err);
}

/* Every cut is refused, or is an object of its own that encodes to just these bytes. */
static void expect_cuts_harmless(struct span bytes, decode_fn *decode)
{
    struct err err;
    for (size_t len = 0; len < bytes.len; len++) {
        uint8_t *exact = malloc(len + 1);
        memcpy(exact, bytes.data, len);
        (void)!decode(span_of(exact, len), &err);
        free(exact);
    }
}

static void expect_flips_harmless(struct span bytes, decode_fn *decode)
{
    struct err err;
    for (size_t bit = 0; bit < 8 * bytes.len; bit++) {
        AUTO(buf) struct buf copy = {0};
        buf_put_span(&copy, bytes);
        copy.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        (void)!decode(buf_span(&copy), &err);
    }
}

Test(stored, every_object_is_read_back_and_no_unknown_field_is_taken)
{
    struct err err;
    Sealift__LogEntry log = good_log();
    Sealift__PointBody body = good_body();
    Sealift__UnlockSection unlock = good_unlock();
    Sealift__PointFile file = SEALIFT__POINT_FILE__INIT;
    file.body = bytes_of(1, 300);
    file.unlock = bytes_of(2, 100);
    struct buf encoded[4] = {{0}};
    decode_fn *const decoders[4] = {decode_log, decode_body, decode_unlock, decode_point};
    cr_assert(stored_log_encode(&log, &encoded[0], &err), "%s", err.text);
    cr_assert(stored_body_encode(&body, &encoded[1], &err), "%s", err.text);
    cr_assert(stored_unlock_encode(&unlock, &encoded[2], &err), "%s", err.text);
    cr_assert(stored_point_encode(&file, &encoded[3], &err), "%s", err.text);
    for (int i = 0; i < 4; i++) {
        cr_assert(decoders[i](buf_span(&encoded[i]), &err), "%s", err.text);
        expect_cuts_harmless(buf_span(&encoded[i]), decoders[i]);
        expect_flips_harmless(buf_span(&encoded[i]), decoders[i]);
        /* field 100, a varint: an unknown field */
        buf_put(&encoded[i], "\xa0\x06\x01", 3);
        cr_assert_not(decoders[i](buf_span(&encoded[i]), &err));
        cr_assert_eq(err.code, ERR_VERSION, "%s", err.text);
        /* and an encoding with the same meaning but other bytes: a field twice */
        encoded[i].len -= 3;
        AUTO(buf) struct buf twice = {0};
        buf_put_span(&twice, buf_span(&encoded[i]));
        buf_put_span(&twice, buf_span(&encoded[i]));
        cr_assert_not(decoders[i](buf_span(&twice), &err), "kind %d", i);
        buf_deinit(&encoded[i]);
    }
}

Test(stored, what_comes_back_is_what_went_in)
{
    struct err err;
    AUTO(buf) struct buf bytes = {0};
    AUTO(stored_body) Sealift__PointBody *back = NULL;
    Sealift__PointBody body = good_body();
    cr_assert(stored_body_encode(&body, &bytes, &err));
    cr_assert(stored_body_decode(buf_span(&bytes), &back, &err), "%s", err.text);
    cr_assert_str_eq(back->domain, "t:büro");
    cr_assert_eq(back->counts->entries, 10);
    cr_assert_eq(back->attempt, 2);
    struct hash root = stored_hash(&back->root);
    struct hash expected;
    memset(expected.bytes, 5, HASH_LEN);
    cr_assert(hash_eq(&root, &expected));
    struct id empty = stored_id(&back->root);
    cr_assert(id_is_zero(&empty), "a field of another length yields zeros");
}

/* --- each rule --- */

static enum err_code log_code(const Sealift__LogEntry *entry, const char *named)
{
    struct err err = {0};
    AUTO(buf) struct buf bytes = {0};
    if (stored_log_encode(entry, &bytes, &err)) return ERR_NONE;
    cr_expect_eq(bytes.len, 0);
    cr_expect(strstr(err.text, named), "'%s' is not in '%s'", named, err.text);
    return err.code;
}

Test(stored, a_log_entry_keeps_the_rules_of_its_kind)
{
    Sealift__LogEntry entry = good_log();
    ProtobufCBinaryData packs[2] = {bytes_of(1, HASH_LEN), bytes_of(2, 31)};
    cr_expect_eq(log_code(&entry, ""), ERR_NONE);
    entry.version = 2;
    cr_expect_eq(log_code(&entry, "version 2"), ERR_VERSION);
    entry = good_log();
    entry.number = 0;
    cr_expect_eq(log_code(&entry, "number 0"), ERR_DAMAGED);
    entry = good_log();
    entry.repository.len = 15;
    cr_expect_eq(log_code(&entry, "'repository' has 15 bytes instead of 16"), ERR_DAMAGED);
    entry = good_log();
    entry.previous.len = 0;
    cr_expect_eq(log_code(&entry, "'previous'"), ERR_DAMAGED);
    entry = good_log();
    entry.object.len = 0;
    cr_expect_eq(log_code(&entry, "'object'"), ERR_DAMAGED);
    entry = good_log();
    entry.kind = (Sealift__LogKind)99;
    cr_expect_eq(log_code(&entry, "'kind' has the unknown value 99"), ERR_VERSION);
    entry = good_log();
    entry.kind = SEALIFT__LOG_KIND__LOG_KIND_NONE;
    cr_expect_eq(log_code(&entry, "'kind'"), ERR_VERSION);
    entry = good_log();
    entry.site = bytes_of(1, ID_LEN);
    cr_expect_eq(log_code(&entry, "does not use"), ERR_DAMAGED);
    entry = good_log();
    entry.kind = SEALIFT__LOG_KIND__LOG_POLICY;
    entry.object.len = entry.object_hash.len = 0;
    cr_expect_eq(log_code(&entry, "'statement' is missing"), ERR_DAMAGED);
    entry.statement = bytes_of(1, 10);
    cr_expect_eq(log_code(&entry, ""), ERR_NONE);
    entry = good_log();
    entry.kind = SEALIFT__LOG_KIND__LOG_CONDEMNED;
    entry.object.len = 0;
    cr_expect_eq(log_code(&entry, "'packs' is empty"), ERR_DAMAGED);
    entry.packs = packs;
    entry.n_packs = 2;
    cr_expect_eq(log_code(&entry, "'packs' has 31 bytes"), ERR_DAMAGED);
    entry.n_packs = 1;
    cr_expect_eq(log_code(&entry, ""), ERR_NONE);
    entry = good_log();
    entry.kind = SEALIFT__LOG_KIND__LOG_CREATED;
    entry.object.len = entry.object_hash.len = 0;
    entry.site = bytes_of(1, ID_LEN);
    cr_expect_eq(log_code(&entry, "may only stand first"), ERR_DAMAGED);
    entry.number = 1;
    entry.plaintext = 2;
    cr_expect_eq(log_code(&entry, "'plaintext'"), ERR_VERSION);
    entry.plaintext = 1;
    cr_expect_eq(log_code(&entry, ""), ERR_NONE);
}

static enum err_code body_code(const Sealift__PointBody *body, const char *named)
{
    struct err err = {0};
    AUTO(buf) struct buf bytes = {0};
    if (stored_body_encode(body, &bytes, &err)) return ERR_NONE;
    cr_expect(strstr(err.text, named), "'%s' is not in '%s'", named, err.text);
    return err.code;
}

Test(stored, a_points_body_keeps_its_rules)
{
    static char not_utf8[] = "caf\xe9", control[] = "a\x1b[31m", c1[] = "a\xc2\x9b", line[] = "a\nb",
                surrogate[] = "\xed\xa0\x80", overlong[] = "\xc0\xaf", cut[] = "\xe2\x82", video[] = "video",
                image[] = "image";
    static char long_name[300];
    memset(long_name, 'x', sizeof(long_name) - 1);
    char *const bad_names[] = {not_utf8, control, c1, line, surrogate, overlong, cut};
    for (size_t i = 0; i < sizeof(bad_names) / sizeof(bad_names[0]); i++) {
        Sealift__PointBody body = good_body();
        body.job = bad_names[i];
        cr_expect_eq(body_code(&body, "'job'"), ERR_DAMAGED, "name %zu", i);
    }
    Sealift__PointBody body = good_body();
    body.writer_name = long_name;
    cr_expect_eq(body_code(&body, "'writer_name' has 299"), ERR_LIMIT);
    body = good_body();
    body.object_kind = video;
    cr_expect_eq(body_code(&body, "object_kind"), ERR_VERSION);
    body = good_body();
    body.crash_consistent = 1;
    cr_expect_eq(body_code(&body, "'crash_consistent'"), ERR_DAMAGED, "of a tree");
    body.object_kind = image;
    cr_expect_eq(body_code(&body, ""), ERR_NONE);
    body.crash_consistent = 2;
    cr_expect_eq(body_code(&body, "'crash_consistent'"), ERR_DAMAGED);
    body = good_body();
    body.cipher = 3;
    cr_expect_eq(body_code(&body, "'cipher'"), ERR_VERSION);
    body = good_body();
    body.cipher = 0;
    cr_expect_eq(body_code(&body, "'key_id' has 32 bytes instead of 0"), ERR_DAMAGED);
    body.key_id.len = body.unlock_hash.len = 0;
    cr_expect_eq(body_code(&body, ""), ERR_NONE);
    body.domain_id.len = 0;
    cr_expect_eq(body_code(&body, ""), ERR_NONE);
    body = good_body();
    body.domain_id.len = 0;
    cr_expect_eq(body_code(&body, "'domain_id'"), ERR_DAMAGED);
    body = good_body();
    body.head_hash.len = 0;
    cr_expect_eq(body_code(&body, "'head_hash'"), ERR_DAMAGED);
    body.head_number = 0;
    cr_expect_eq(body_code(&body, ""), ERR_NONE);
    body = good_body();
    body.counts = NULL;
    cr_expect_eq(body_code(&body, "'counts'"), ERR_DAMAGED);
}

static enum err_code unlock_code(const Sealift__UnlockSection *unlock, const char *named)
{
    struct err err = {0};
    AUTO(buf) struct buf bytes = {0};
    if (stored_unlock_encode(unlock, &bytes, &err)) return ERR_NONE;
    cr_expect(strstr(err.text, named), "'%s' is not in '%s'", named, err.text);
    return err.code;
}

Test(stored, an_unlock_section_keeps_its_rules)
{
    Sealift__UnlockSection unlock = good_unlock();
    cr_expect_eq(unlock_code(&unlock, ""), ERR_NONE, "a description may have lines");
    unlock.origin = SEALIFT__KEY_ORIGIN__KEY_GENERATED;
    cr_expect_eq(unlock_code(&unlock, "'kdf' belongs to"), ERR_DAMAGED);
    unlock.origin = SEALIFT__KEY_ORIGIN__KEY_ORIGIN_NONE;
    cr_expect_eq(unlock_code(&unlock, "'origin'"), ERR_DAMAGED);
    unlock = good_unlock();
    unlock.keyring.len = 106;
    cr_expect_eq(unlock_code(&unlock, "'keyring' has 106"), ERR_DAMAGED);
    unlock.keyring.len = 108;
    cr_expect_eq(unlock_code(&unlock, "'keyring'"), ERR_DAMAGED);
    unlock = good_unlock();
    unlock.kdf->salt.len = 15;
    cr_expect_eq(unlock_code(&unlock, "'salt' has 15"), ERR_DAMAGED);
    unlock.kdf->salt.len = 0;
    cr_expect_eq(unlock_code(&unlock, ""), ERR_NONE, "who unlocks says that the salt is missing");
    unlock = good_unlock();
    unlock.passwords[0]->sealed.len = 71;
    cr_expect_eq(unlock_code(&unlock, "'sealed'"), ERR_DAMAGED);
    unlock = good_unlock();
    unlock.kms[0]->wrapped.len = 0;
    cr_expect_eq(unlock_code(&unlock, "'wrapped'"), ERR_DAMAGED);
}

Test(stored, a_message_that_asks_for_much_memory_is_refused)
{
    struct err err;
    AUTO(buf) struct buf bytes = {0};
    for (int i = 0; i < 30000; i++)
        buf_put(&bytes, "\x3a\x00", 2); /* an empty kms wrap: 2 bytes here, about 100 decoded */
    cr_assert_not(decode_unlock(buf_span(&bytes), &err));
    cr_assert_eq(err.code, ERR_DAMAGED, "%s", err.text);
    buf_grow(&bytes, STORED_MAX_UNLOCK);
    cr_assert_not(decode_unlock(buf_span(&bytes), &err));
    cr_assert_eq(err.code, ERR_LIMIT);
}

/* What is stored is also sent: one message carries a whole point file, and a whole unlock section. */
Test(stored, nothing_is_written_that_no_message_carries)
{
    static uint8_t zeros[1 << 20];
    struct err err = {0};
    AUTO(buf) struct buf out = {0};
    Sealift__PointFile file = SEALIFT__POINT_FILE__INIT;
    file.body = stored_bytes(span_of(zeros, 1000));
    file.writer_roster = stored_bytes(span_of(zeros, (1 << 20) - 2000));
    cr_assert(stored_point_encode(&file, &out, &err), "%s", err.text);
    cr_assert_leq(out.len, head_payload_limit(SEALIFT__HEAD__KIND_COMMIT));
    size_t before = out.len;
    file.writer_roster.len += 1000;
    cr_assert_not(stored_point_encode(&file, &out, &err));
    cr_assert_eq(err.code, ERR_LIMIT);
    cr_assert_str_eq(err.text, "the point file has 1048583 bytes, at most 1048576 are allowed");
    cr_assert_eq(out.len, before);
    cr_assert_eq(STORED_MAX_POINT, head_payload_limit(SEALIFT__HEAD__KIND_COMMIT));
    cr_assert_eq(STORED_MAX_UNLOCK, head_payload_limit(SEALIFT__HEAD__KIND_DELIVER_UNLOCK));
}

/* --- Signed --- */

Test(stored, a_signed_message_gives_its_payload_and_signer)
{
    struct err err;
    uint8_t seed[32] = {1};
    AUTO(sign_pair) struct sign_pair *pair = sign_pair_new(seed);
    static const size_t lengths[] = {1, 127, 128, 4000, 20000};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        AUTO(buf) struct buf payload = {0};
        AUTO(buf) struct buf bytes = {0};
        memset(buf_grow(&payload, lengths[i]), 0x5a, lengths[i]);
        stored_sign(pair, "log", buf_span(&payload), &bytes);
        struct span back;
        uint8_t signer[SIGN_PK_LEN];
        cr_assert(stored_verify(buf_span(&bytes), "log", &back, signer, &err), "%s", err.text);
        cr_assert(span_eq(back, buf_span(&payload)));
        cr_assert(back.data > bytes.data && back.data + back.len < bytes.data + bytes.len, "borrowed");
        cr_assert_arr_eq(signer, pair->pk, SIGN_PK_LEN);
        cr_assert_not(stored_verify(buf_span(&bytes), "point", &back, signer, &err));
        cr_assert_eq(err.code, ERR_NOT_AUTHENTIC);
    }
}

Test(stored, every_flip_and_cut_of_a_signed_message_is_refused)
{
    struct err err;
    uint8_t seed[32] = {1};
    AUTO(sign_pair) struct sign_pair *pair = sign_pair_new(seed);
    AUTO(buf) struct buf bytes = {0};
    struct span back;
    uint8_t signer[SIGN_PK_LEN];
    stored_sign(pair, "log", span_str("a payload"), &bytes);
    for (size_t bit = 0; bit < 8 * bytes.len; bit++) {
        bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        cr_assert_not(stored_verify(buf_span(&bytes), "log", &back, signer, &err), "bit %zu", bit);
        bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t len = 0; len < bytes.len; len++)
        cr_assert_not(stored_verify(span_of(bytes.data, len), "log", &back, signer, &err), "%zu bytes", len);
}

static void make_point(const struct sign_pair *signer, const Sealift__PointBody *body,
                       struct buf *signed_body)
{
    struct err err;
    AUTO(buf) struct buf payload = {0};
    cr_assert(stored_body_encode(body, &payload, &err), "%s", err.text);
    stored_sign(signer, "point", buf_span(&payload), signed_body);
}

Test(stored, a_point_opens_only_with_its_writers_signature_and_its_own_unlock_section)
{
    struct err err;
    uint8_t seed[32] = {1};
    uint8_t other_seed[32] = {2};
    AUTO(sign_pair) struct sign_pair *pair = sign_pair_new(seed);
    AUTO(sign_pair) struct sign_pair *other = sign_pair_new(other_seed);
    struct hash unlock_hash = hash_of(span_str("unlock"));
    for (int round = 0; round < 4; round++) {
        AUTO(buf) struct buf signed_body = {0};
        AUTO(stored_body) Sealift__PointBody *back = NULL;
        Sealift__PointBody body = good_body();
        Sealift__PointFile file = SEALIFT__POINT_FILE__INIT;
        body.writer = stored_bytes(span_of(pair->pk, SIGN_PK_LEN));
        body.unlock_hash = stored_bytes(span_of(unlock_hash.bytes, HASH_LEN));
        file.unlock = stored_bytes(span_str(round == 1 ? "unlocK" : "unlock"));
        if (round == 3) {
            body.cipher = 0;
            body.key_id.len = body.unlock_hash.len = 0;
        }
        make_point(round == 2 ? other : pair, &body, &signed_body);
        file.body = stored_bytes(buf_span(&signed_body));
        static const enum err_code expected[] = {ERR_NONE, ERR_DAMAGED, ERR_NOT_AUTHENTIC, ERR_DAMAGED};
        bool opened = stored_point_open(&file, &back, &err);
        cr_assert_eq(opened, round == 0);
        if (!opened) cr_assert_eq(err.code, expected[round], "%s", err.text);
    }
}

/* Who writes points for one key may have seen the section of another. */
Test(stored, a_point_with_the_unlock_section_of_another_key_does_not_open)
{
    uint8_t seed[32] = {1};
    AUTO(sign_pair) struct sign_pair *pair = sign_pair_new(seed);
    for (int of_another = 0; of_another < 2; of_another++) {
        struct err err = {0};
        AUTO(buf) struct buf signed_body = {0}, section = {0};
        AUTO(stored_body) Sealift__PointBody *back = NULL;
        Sealift__UnlockSection unlock = good_unlock();
        Sealift__PointBody body = good_body();
        Sealift__PointFile file = SEALIFT__POINT_FILE__INIT;
        cr_assert(stored_unlock_encode(&unlock, &section, &err), "%s", err.text);
        struct hash unlock_hash = hash_of(buf_span(&section));
        body.writer = stored_bytes(span_of(pair->pk, SIGN_PK_LEN));
        body.unlock_hash = stored_bytes(span_of(unlock_hash.bytes, HASH_LEN));
        body.key_id = of_another ? bytes_of(11, HASH_LEN) : unlock.key_id;
        file.unlock = stored_bytes(buf_span(&section));
        make_point(pair, &body, &signed_body);
        file.body = stored_bytes(buf_span(&signed_body));
        cr_assert_eq(stored_point_open(&file, &back, &err), !of_another, "%s", err.text);
        if (of_another) cr_assert_eq(err.code, ERR_DAMAGED, "%s", err.text);
    }
}
