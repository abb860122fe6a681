#include "common/crypto/identity.h"

#include "common/base/text.h"
#include "common/crypto/hash.h"
#include "fixture.h"
#include "golden.h"

#include <criterion/criterion.h>
#include <string.h>

static struct secret *fixture_password(void)
{
    return secret_copy(FIXTURE_PASSWORD, strlen(FIXTURE_PASSWORD));
}

static struct identity_public fixture_known(void)
{
    AUTO(buf) struct buf bytes = golden("identity", "public");
    struct identity_public known;
    struct err err;
    cr_assert(identity_public_decode(buf_span(&bytes), &known, &err), "%s", err.text);
    return known;
}

static void check_is_fixture(const struct identity *identity)
{
    struct identity_public known = fixture_known();
    uint8_t sk[32];
    AUTO(secret) struct secret *seed = sign_pair_seed(identity->sign);
    cr_assert_arr_eq(&identity->known, &known, sizeof(known));
    fill_run(sk, 0x60, sizeof(sk));
    cr_assert_arr_eq(seed->data, sk, sizeof(sk));
    fill_run(sk, 0x70, sizeof(sk));
    cr_assert_arr_eq(identity->box->sk->data, sk, sizeof(sk));
    fill_run(sk, 0x90, sizeof(sk));
    cr_assert_arr_eq(identity->transport->sk->data, sk, sizeof(sk));
}

static bool public_decodes(struct span bytes, const void *context, struct err *err)
{
    struct identity_public known;
    return identity_public_decode(bytes, &known, err);
}

static bool plain_opens(struct span bytes, const void *context, struct err *err)
{
    AUTO(identity) struct identity *identity = NULL;
    return identity_open(bytes, NULL, &identity, err);
}

static bool peeks(struct span bytes, const void *context, struct err *err)
{
    struct identity_public known;
    enum identity_protection protection;
    return identity_file_peek(bytes, &known, &protection, err);
}

/* Makes the checksum fit again after a change. */
static void check_again(struct buf *file)
{
    struct hash checksum = hash_of(span_of(file->data, file->len - 16));
    memcpy(file->data + file->len - 16, checksum.bytes, 16);
}

static void check_open_refused(const struct buf *file, const struct secret *password, enum err_code code)
{
    struct identity *identity = NULL;
    struct err err;
    cr_assert(!identity_open(buf_span(file), password, &identity, &err));
    cr_assert_eq(err.code, code, "code %d, %s", err.code, err.text);
    cr_assert_null(identity);
}

Test(identity, opens_the_key_files_of_another_implementation)
{
    AUTO(buf) struct buf plain_file = golden("identity", "plain_file");
    AUTO(buf) struct buf password_file = golden("identity", "password_file");
    AUTO(secret) struct secret *password = fixture_password();
    AUTO(identity) struct identity *plain = NULL;
    AUTO(identity) struct identity *opened = NULL;
    struct err err;
    cr_assert(identity_open(buf_span(&plain_file), NULL, &plain, &err), "%s", err.text);
    check_is_fixture(plain);
    cr_assert(identity_open(buf_span(&password_file), password, &opened, &err), "%s", err.text);
    check_is_fixture(opened);
}

Test(identity, encoded_bytes_are_those_of_the_format)
{
    AUTO(buf) struct buf plain_file = golden("identity", "plain_file");
    AUTO(buf) struct buf known_bytes = golden("identity", "public");
    AUTO(identity) struct identity *identity = NULL;
    AUTO(buf) struct buf built = {0};
    struct err err;
    cr_assert(identity_open(buf_span(&plain_file), NULL, &identity, &err), "%s", err.text);
    identity_public_encode(&identity->known, &built);
    cr_assert(span_eq(buf_span(&built), buf_span(&known_bytes)));
    AUTO(secret) struct secret *file = identity_encode(identity);
    cr_assert(span_eq(span_of(file->data, file->len), buf_span(&plain_file)));
}

Test(identity, a_new_one_has_three_pairs_that_differ)
{
    AUTO(identity) struct identity *a = NULL;
    AUTO(identity) struct identity *b = NULL;
    struct err err;
    cr_assert(identity_new("web-1", &a, &err), "%s", err.text);
    cr_assert(identity_new("web-1", &b, &err), "%s", err.text);
    cr_assert_str_eq(a->known.name, "web-1");
    cr_assert_neq(memcmp(a->known.sign_pk, b->known.sign_pk, 32), 0);
    cr_assert_neq(memcmp(a->known.box_pk, b->known.box_pk, 32), 0);
    cr_assert_neq(memcmp(a->known.transport_pk, b->known.transport_pk, 32), 0);
    cr_assert_neq(memcmp(a->known.box_pk, a->known.transport_pk, 32), 0);
}

Test(identity, fingerprint_is_that_of_the_format_and_covers_name_and_keys)
{
    AUTO(buf) struct buf bits = golden("identity", "fingerprint");
    AUTO(buf) struct buf expected = {0};
    struct identity_public known = fixture_known();
    char text[FINGERPRINT_TEXT_LEN];
    char other[FINGERPRINT_TEXT_LEN];
    char joined[33] = {0};
    identity_fingerprint(&known, text);
    cr_assert_eq(strlen(text), 39);
    for (size_t i = 0; i < 39; i++) {
        if (i % 5 == 4)
            cr_assert_eq(text[i], '-');
        else
            joined[strlen(joined)] = text[i];
    }
    base32_encode(buf_span(&bits), &expected);
    cr_assert_str_eq(joined, buf_cstr(&expected));

    uint8_t *const parts[] = {known.sign_pk, known.box_pk, known.transport_pk, (uint8_t *)known.name};
    for (size_t i = 0; i < 4; i++) {
        parts[i][0] ^= 1;
        identity_fingerprint(&known, other);
        parts[i][0] ^= 1;
        cr_assert_str_neq(text, other, "part %zu", i);
    }
}

Test(identity, names_are_of_a_kind_that_needs_no_quoting)
{
    static const char *const good[] = {"a", "web-1", "DB.example.org", "0_0"};
    static const char *const bad[] = {"", "-web", ".web", "_x", "we b", "a/b", "a:b", "caf\xc3\xa9", "a\n"};
    char longest[IDENTITY_NAME_MAX + 2] = {0};
    struct err err;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        cr_assert(identity_name_check(good[i], &err), "%s", good[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct identity *identity = NULL;
        cr_assert(!identity_new(bad[i], &identity, &err), "%s", bad[i]);
        cr_assert_eq(err.code, ERR_USAGE);
        cr_assert_null(identity);
    }
    memset(longest, 'x', IDENTITY_NAME_MAX);
    cr_assert(identity_name_check(longest, &err));
    longest[IDENTITY_NAME_MAX] = 'x';
    cr_assert(!identity_name_check(longest, &err));
}

Test(identity, the_longest_name_comes_back)
{
    char name[IDENTITY_NAME_MAX + 1] = {0};
    AUTO(identity) struct identity *identity = NULL;
    AUTO(buf) struct buf bytes = {0};
    struct identity_public known;
    struct err err;
    memset(name, 'x', IDENTITY_NAME_MAX);
    cr_assert(identity_new(name, &identity, &err), "%s", err.text);
    identity_public_encode(&identity->known, &bytes);
    cr_assert_eq(bytes.len, (size_t)IDENTITY_PUBLIC_MAX_LEN);
    cr_assert(identity_public_decode(buf_span(&bytes), &known, &err), "%s", err.text);
    cr_assert_arr_eq(&known, &identity->known, sizeof(known));
}

Test(identity, public_part_refuses_every_prefix_and_a_bad_name)
{
    const struct subject subject = {public_decodes, NULL};
    AUTO(buf) struct buf bytes = golden("identity", "public");
    struct err err;
    check_every_prefix(&subject, buf_span(&bytes), ERR_TRUNCATED);
    check_trailing_byte(&subject, buf_span(&bytes));
    static const uint8_t letters[] = {0, ' ', '/', 0xff, '-'};
    for (size_t i = 0; i < sizeof(letters); i++) {
        bytes.data[2] = letters[i];
        cr_assert(!subject_accepts(&subject, buf_span(&bytes), &err), "name begins with %02x", letters[i]);
        cr_assert_eq(err.code, ERR_DAMAGED);
    }
    const uint8_t nameless[2 + 96] = {1, 0};
    cr_assert(!subject_accepts(&subject, span_of(nameless, sizeof(nameless)), &err));
    cr_assert_eq(err.code, ERR_DAMAGED);
    bytes.data[0] = 2;
    cr_assert(!subject_accepts(&subject, buf_span(&bytes), &err));
    cr_assert_eq(err.code, ERR_VERSION);
}

Test(identity, a_key_file_refuses_every_prefix_and_every_bit)
{
    static const enum err_code codes[] = {ERR_DAMAGED, ERR_VERSION, ERR_TRUNCATED, ERR_NONE};
    static const struct subject subjects[] = {{plain_opens, NULL}, {peeks, NULL}, {peeks, NULL}};
    static const char *const names[] = {"plain_file", "plain_file", "password_file"};
    for (size_t i = 0; i < 3; i++) {
        AUTO(buf) struct buf file = golden("identity", names[i]);
        check_every_prefix(&subjects[i], buf_span(&file), ERR_TRUNCATED);
        check_every_bit(&subjects[i], buf_span(&file), codes);
        check_trailing_byte(&subjects[i], buf_span(&file));
    }
}

Test(identity, peek_names_the_owner_without_a_password)
{
    AUTO(buf) struct buf plain = golden("identity", "plain_file");
    AUTO(buf) struct buf sealed = golden("identity", "password_file");
    struct identity_public expected = fixture_known();
    struct identity_public known;
    enum identity_protection protection;
    struct err err;
    cr_assert(identity_file_peek(buf_span(&sealed), &known, &protection, &err), "%s", err.text);
    cr_assert_eq(protection, IDENTITY_PASSWORD);
    cr_assert_arr_eq(&known, &expected, sizeof(known));
    cr_assert(identity_file_peek(buf_span(&plain), &known, &protection, &err), "%s", err.text);
    cr_assert_eq(protection, IDENTITY_PLAIN);
    cr_assert_arr_eq(&known, &expected, sizeof(known));
}

Test(identity, what_is_sealed_under_a_password_is_opened_with_it)
{
    AUTO(identity) struct identity *identity = NULL;
    AUTO(identity) struct identity *again = NULL;
    AUTO(secret) struct secret *password = fixture_password();
    AUTO(secret) struct secret *file = NULL;
    AUTO(secret) struct secret *second = NULL;
    struct err err;
    cr_assert(identity_new("op", &identity, &err), "%s", err.text);
    cr_assert(identity_seal(identity, password, &PWHASH_INTERACTIVE, &file, &err), "%s", err.text);
    cr_assert(identity_seal(identity, password, &PWHASH_INTERACTIVE, &second, &err), "%s", err.text);
    cr_assert_leq(file->len, (size_t)IDENTITY_FILE_MAX_LEN);
    cr_assert_neq(memcmp(file->data + file->len - 152, second->data + second->len - 152, 136), 0);
    cr_assert_null(memmem(file->data, file->len, identity->box->sk->data, 32));
    cr_assert_null(memmem(file->data, file->len, identity->transport->sk->data, 32));
    cr_assert(identity_open(span_of(file->data, file->len), password, &again, &err), "%s", err.text);
    cr_assert_arr_eq(&again->known, &identity->known, sizeof(again->known));
    cr_assert_arr_eq(again->sign->sk->data, identity->sign->sk->data, SIGN_SK_LEN);
    cr_assert_arr_eq(again->box->sk->data, identity->box->sk->data, 32);
    cr_assert_arr_eq(again->transport->sk->data, identity->transport->sk->data, 32);
}

Test(identity, a_wrong_password_is_told_from_damage_and_from_none)
{
    AUTO(buf) struct buf plain = golden("identity", "plain_file");
    AUTO(buf) struct buf sealed = golden("identity", "password_file");
    AUTO(secret) struct secret *password = fixture_password();
    AUTO(secret) struct secret *wrong = secret_copy("correct horse", 13);
    check_open_refused(&sealed, NULL, ERR_NO_KEY);
    check_open_refused(&sealed, wrong, ERR_WRONG_KEY);
    check_open_refused(&plain, password, ERR_NOT_ENCRYPTED);
    sealed.data[sealed.len - 30] ^= 1;
    check_open_refused(&sealed, password, ERR_DAMAGED);
}

/* Changed by somebody who can also make the checksum fit. */
Test(identity, a_sealed_key_file_is_bound_to_name_keys_and_limits)
{
    enum { NAME = 18, BOX_PK = 16 + 2 + 5 + 32, PASSES = 16 + 103, MEMORY = PASSES + 8, SALT = MEMORY + 8 };
    static const size_t ats[] = {NAME, BOX_PK, PASSES, SALT, SALT + 20, SALT + 16 + 24 + 50};
    AUTO(secret) struct secret *password = fixture_password();
    for (size_t i = 0; i < sizeof(ats) / sizeof(ats[0]); i++) {
        AUTO(buf) struct buf file = golden("identity", "password_file");
        file.data[ats[i]] ^= 1;
        check_again(&file);
        check_open_refused(&file, password, ERR_WRONG_KEY);
    }
    AUTO(buf) struct buf heavy = golden("identity", "password_file");
    le64_put(heavy.data + MEMORY, UINT64_C(1) << 40);
    check_again(&heavy);
    check_open_refused(&heavy, password, ERR_LIMIT);
}

Test(identity, a_plain_key_file_whose_halves_do_not_belong_together_is_damaged)
{
    enum { PUBLIC = 16, SECRETS = 16 + 103 };
    static const size_t ats[] = {PUBLIC + 7,  PUBLIC + 39,  PUBLIC + 71,
                                 SECRETS + 1, SECRETS + 33, SECRETS + 65};
    for (size_t i = 0; i < sizeof(ats) / sizeof(ats[0]); i++) {
        AUTO(buf) struct buf file = golden("identity", "plain_file");
        file.data[ats[i]] ^= 1;
        check_again(&file);
        check_open_refused(&file, NULL, ERR_DAMAGED);
    }
    static const size_t heads[] = {8, 9, 11, 12}; /* protection, reserved, length of the public part */
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        AUTO(buf) struct buf file = golden("identity", "plain_file");
        file.data[heads[i]] ^= heads[i] == 8 ? 2 : 1;
        check_again(&file);
        check_open_refused(&file, NULL, ERR_DAMAGED);
    }
}
