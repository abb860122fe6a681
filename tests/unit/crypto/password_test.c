#include "common/crypto/password.h"

#include "fixture.h"
#include "golden.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/resource.h>

static void check_normalised(struct span typed, const char *expected, enum password_strength strength)
{
    AUTO(secret) struct secret *password = NULL;
    enum password_strength found;
    struct err err;
    cr_assert(password_normalise(typed, &password, &found, &err), "%s", err.text);
    cr_assert(span_eq(span_of(password->data, password->len), span_str(expected)), "%s", expected);
    cr_assert_eq(found, strength, "%s", expected);
}

static void check_refused(struct span typed, enum err_code code, const char *part)
{
    struct secret *password = NULL;
    enum password_strength strength = PASSWORD_STRONG;
    struct err err;
    cr_assert(!password_normalise(typed, &password, &strength, &err), "%s", part);
    cr_assert_eq(err.code, code, "%s: %s", part, err.text);
    cr_assert_not_null(strstr(err.text, part), "'%s' in: %s", part, err.text);
    cr_assert_null(password);
}

Test(password, every_way_to_type_it_gives_one_form)
{
    static const char composed[] = "caf\xc3\xa9 au lait!";
    check_normalised(span_str(composed), composed, PASSWORD_STRONG);
    check_normalised(span_str("cafe\xcc\x81 au lait!"), composed, PASSWORD_STRONG);
    /* a compatibility ligature is not the same letter: NFC, not NFKC */
    check_normalised(span_str("\xef\xac\x81lter, filter"), "\xef\xac\x81lter, filter", PASSWORD_STRONG);
    /* Hangul by letters and by syllable */
    check_normalised(span_str("\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab"), "\xed\x95\x9c", PASSWORD_WEAK);
}

Test(password, one_line_end_is_taken_off_and_no_more)
{
    check_normalised(span_str("secret"), "secret", PASSWORD_WEAK);
    check_normalised(span_str("secret\n"), "secret", PASSWORD_WEAK);
    check_normalised(span_str("secret\r\n"), "secret", PASSWORD_WEAK);
    check_normalised(span_str("secret\n\n"), "secret\n", PASSWORD_WEAK);
    check_normalised(span_str("secret\r"), "secret\r", PASSWORD_WEAK);
    check_normalised(span_str(" secret "), " secret ", PASSWORD_WEAK);
}

Test(password, strength_counts_characters_and_not_bytes)
{
    check_normalised(span_str("elevenchars"), "elevenchars", PASSWORD_WEAK);
    check_normalised(span_str("twelve chars"), "twelve chars", PASSWORD_STRONG);
    check_normalised(span_str("\xe9\xa6\xac\xe9\xa6\xac\xe9\xa6\xac\xe9\xa6\xac"),
                     "\xe9\xa6\xac\xe9\xa6\xac\xe9\xa6\xac\xe9\xa6\xac", PASSWORD_WEAK);
    /* eleven characters however they are typed */
    check_normalised(span_str("e\xcc\x81levenchars"), "\xc3\xa9levenchars", PASSWORD_WEAK);
}

Test(password, what_could_mean_two_things_is_refused)
{
    check_refused(span_of(NULL, 0), ERR_USAGE, "empty");
    check_refused(span_str("\n"), ERR_USAGE, "empty");
    check_refused(span_of("se\0cret", 7), ERR_USAGE, "NUL");
    check_refused(span_str("caf\xe9 au lait"), ERR_USAGE, "UTF-8");
    check_refused(span_str("overlong \xc0\xaf"), ERR_USAGE, "UTF-8");
    check_refused(span_str("surrogate \xed\xa0\x80"), ERR_USAGE, "UTF-8");
    check_refused(span_str("cut \xe9\xa6"), ERR_USAGE, "UTF-8");
    check_refused(span_str("unassigned \xcd\xb8"), ERR_USAGE, "assign");
    check_refused(span_str("no character \xef\xbf\xbf"), ERR_USAGE, "assign");
}

Test(password, length_has_a_limit)
{
    AUTO(buf) struct buf typed = {0};
    memset(buf_grow(&typed, PASSWORD_MAX_LEN), 'x', PASSWORD_MAX_LEN);
    buf_put_u8(&typed, '\n');
    AUTO(secret) struct secret *password = NULL;
    enum password_strength strength;
    struct err err;
    cr_assert(password_normalise(buf_span(&typed), &password, &strength, &err), "%s", err.text);
    cr_assert_eq(password->len, (size_t)PASSWORD_MAX_LEN);
    typed.data[PASSWORD_MAX_LEN] = 'x';
    check_refused(buf_span(&typed), ERR_LIMIT, "4096");
}

Test(password, hash_is_that_of_another_implementation)
{
    static const char decomposed[] = "correct ho\xcc\x88rse battery \xe9\xa6\xac\n";
    AUTO(secret) struct secret *password = NULL;
    AUTO(secret) struct secret *hash = NULL;
    AUTO(buf) struct buf expected = golden("derive", "password_hash");
    enum password_strength strength;
    uint8_t salt[PASSWORD_SALT_LEN];
    struct err err;
    fill_run(salt, 0xf0, sizeof(salt));
    cr_assert(password_normalise(span_str(decomposed), &password, &strength, &err), "%s", err.text);
    cr_assert(password_hash(password, salt, &PWHASH_INTERACTIVE, &hash, &err), "%s", err.text);
    cr_assert(span_eq(span_of(hash->data, hash->len), buf_span(&expected)));
}

Test(password, stored_limits_out_of_range_are_refused_before_anything_is_derived)
{
    static const struct pwhash_limits rows[] = {
        {0, UINT64_C(64) << 20},
        {1, UINT64_C(64) << 20},
        {65, UINT64_C(64) << 20},
        {UINT64_MAX, UINT64_C(64) << 20},
        {2, 0},
        {2, (UINT64_C(64) << 20) - 1},
        {2, (UINT64_C(4) << 30) + 1},
        {2, UINT64_MAX},
    };
    AUTO(secret) struct secret *password = secret_copy("secret", 6);
    const uint8_t salt[PASSWORD_SALT_LEN] = {0};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct secret *hash = NULL;
        struct err err;
        cr_assert(!password_hash(password, salt, &rows[i], &hash, &err), "row %zu", i);
        cr_assert_eq(err.code, ERR_LIMIT);
        cr_assert_null(hash);
    }
}

#ifndef __SANITIZE_ADDRESS__ /* it needs address space of its own */
Test(password, too_little_memory_is_an_error)
{
    AUTO(secret) struct secret *password = secret_copy("secret", 6);
    const uint8_t salt[PASSWORD_SALT_LEN] = {0};
    const struct rlimit small = {UINT64_C(512) << 20, UINT64_C(512) << 20};
    const struct pwhash_limits limits = {.passes = 2, .memory_bytes = UINT64_C(1) << 30};
    struct secret *hash = NULL;
    struct err err;
    cr_assert_eq(setrlimit(RLIMIT_AS, &small), 0);
    cr_assert(!password_hash(password, salt, &limits, &hash, &err));
    cr_assert_eq(err.code, ERR_SYSTEM);
    cr_assert_not_null(strstr(err.text, "1024 MiB"));
}
#endif
