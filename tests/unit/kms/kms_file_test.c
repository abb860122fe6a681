#include "transporter/kms/kms.h"

#include "common/base/alloc.h"
#include "common/base/file.h"
#include "common/crypto/box.h"
#include "tests/unit/base/scratch.h"
#include "tests/unit/crypto/golden.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* S and the wrapping key are those of tests/golden/crypto.py. */
static struct scratch scratch;
static char *path;
static struct kms_uri uri;
static struct kms_entry entry;
static uint8_t s[KEY_SECRET_LEN];
static struct hash key_id;

static void put_key(uint8_t first, size_t len, mode_t mode)
{
    uint8_t key[64];
    struct err err;
    for (size_t i = 0; i < sizeof(key); i++)
        key[i] = (uint8_t)(first + i);
    cr_assert(file_replace(AT_FDCWD, path, span_of(key, len), mode, &err), "%s", err.text);
}

static void setup(void)
{
    uint8_t unlock_pk[32];
    struct err err;
    scratch = scratch_make();
    path = xasprintf("%s/wrapping.key", scratch.path);
    AUTO(free) char *text = xasprintf("file://%s", path);
    cr_assert(kms_uri_parse(text, &uri, &err), "%s", err.text);
    entry = (struct kms_entry){.name = "local", .uri = &uri, .timeout_ms = 1000};
    for (uint8_t i = 0; i < sizeof(s); i++)
        s[i] = i;
    key_identity(s, unlock_pk, &key_id);
    put_key(0xc0, 32, 0600);
}

static void teardown(void)
{
    kms_uri_deinit(&uri);
    free(path);
    scratch_remove(&scratch);
}

TestSuite(kms_file, .init = setup, .fini = teardown);

static struct buf wrapped(void)
{
    struct buf out = {0};
    struct err err = {0};
    cr_assert(kms_wrap(&entry, s, &key_id, &out, &err), "%s", err.text);
    return out;
}

static enum err_code refusal(struct span wrap, const struct hash *id, struct err *err)
{
    AUTO(secret) struct secret *found = NULL;
    cr_assert_not(kms_unwrap(&entry, wrap, id, &found, err));
    cr_assert_null(found);
    cr_assert_null(strstr(err->text, "local"), "who tells it names the entry: %s", err->text);
    return err->code;
}

static void expect_opens(struct span wrap)
{
    AUTO(secret) struct secret *found = NULL;
    struct err err = {0};
    cr_assert(kms_unwrap(&entry, wrap, &key_id, &found, &err), "%s", err.text);
    cr_assert(found->len == sizeof(s) && memcmp(found->data, s, sizeof(s)) == 0);
}

Test(kms_file, wraps_and_unwraps)
{
    AUTO(buf) struct buf wrap = wrapped(), again = wrapped();
    expect_opens(buf_span(&wrap));
    expect_opens(buf_span(&again));
    cr_assert_not(span_eq(buf_span(&wrap), buf_span(&again)), "each has a nonce of its own");
}

Test(kms_file, opens_what_another_implementation_wrapped)
{
    AUTO(buf) struct buf wrap = golden("key", "kms_file_wrap");
    expect_opens(buf_span(&wrap));
}

Test(kms_file, tells_its_wrapping_key_by_an_id)
{
    AUTO(buf) struct buf wrap = wrapped();
    char master[KMS_MASTER_MAX], hex[33];
    struct err err = {0};
    cr_assert(kms_describe(&entry, master, &err), "%s", err.text);
    for (size_t i = 0; i < 16; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", wrap.data[2 + i]);
    cr_assert_str_eq(master, hex);
}

Test(kms_file, unwraps_for_no_other_key)
{
    AUTO(buf) struct buf wrap = wrapped();
    struct hash other = key_id;
    struct err err;
    other.bytes[0] ^= 1;
    cr_assert_eq(refusal(buf_span(&wrap), &other, &err), ERR_DAMAGED);
}

Test(kms_file, names_both_wrapping_keys_when_the_file_is_another)
{
    AUTO(buf) struct buf wrap = wrapped();
    char master[KMS_MASTER_MAX];
    struct err err;
    cr_assert(kms_describe(&entry, master, &err));
    put_key(0x01, 32, 0600);
    cr_assert_eq(refusal(buf_span(&wrap), &key_id, &err), ERR_WRONG_KEY);
    cr_assert_not_null(strstr(err.text, master), "%s", err.text);
}

Test(kms_file, that_gives_back_something_else_is_lying)
{
    /* a wrap of another secret, made for this key's id with the right wrapping key */
    AUTO(buf) struct buf wrap = wrapped(), associated = {0};
    uint8_t bytes[32], key[HASH_LEN], other[KEY_SECRET_LEN + 1] = {7};
    for (uint8_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(0xc0 + i);
    struct span part = span_of(bytes, sizeof(bytes));
    hash_derive("sealift v1 kms file key", &part, 1, key);
    buf_put(&associated, "sealift kms wrap v1", 20);
    buf_put(&associated, key_id.bytes, HASH_LEN);
    wrap.len = 18;
    small_seal(key, buf_span(&associated), span_of(other, KEY_SECRET_LEN), &wrap);
    struct err err;
    cr_assert_eq(refusal(buf_span(&wrap), &key_id, &err), ERR_NOT_AUTHENTIC);
    cr_assert_str_eq(err.text, "it gave back something that is not the key");
}

Test(kms_file, refuses_to_wrap_what_has_not_the_key_id)
{
    AUTO(buf) struct buf out = {0};
    struct hash other = {{1}};
    struct err err = {0};
    cr_assert_not(kms_wrap(&entry, s, &other, &out, &err));
    cr_assert_eq(err.code, ERR_NOT_AUTHENTIC);
    cr_assert_eq(out.len, 0);
}

Test(kms_file, a_wrap_cut_at_any_length_is_refused)
{
    AUTO(buf) struct buf wrap = wrapped();
    struct err err;
    for (size_t len = 0; len < wrap.len; len++)
        cr_assert_eq(refusal(span_of(wrap.data, len), &key_id, &err), ERR_TRUNCATED);
    buf_put_u8(&wrap, 0);
    cr_assert_eq(refusal(buf_span(&wrap), &key_id, &err), ERR_DAMAGED);
}

Test(kms_file, a_wrap_with_any_bit_flipped_is_refused)
{
    AUTO(buf) struct buf wrap = wrapped();
    for (size_t bit = 0; bit < wrap.len * 8; bit++) {
        struct err err;
        wrap.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        enum err_code code = refusal(buf_span(&wrap), &key_id, &err);
        enum err_code expected = bit < 8        ? ERR_VERSION
                                 : bit < 16     ? ERR_CONFIG
                                 : bit < 18 * 8 ? ERR_WRONG_KEY
                                                : ERR_DAMAGED;
        cr_assert_eq(code, expected, "bit %zu: %s", bit, err.text);
        wrap.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void expect_file_refused(enum err_code code, const char *before, const char *after)
{
    AUTO(buf) struct buf out = {0};
    AUTO(free) char *text = xasprintf("KMS 'local': %s'%s'%s", before, path, after);
    struct err err = {0};
    cr_assert_not(kms_wrap(&entry, s, &key_id, &out, &err));
    cr_assert_eq(err.code, code, "%s", err.text);
    cr_assert_str_eq(err.text, text);
}

Test(kms_file, wants_32_bytes_that_nobody_else_can_read)
{
    put_key(0xc0, 32, 0640);
    expect_file_refused(ERR_CONFIG, "", " can be read by others: its mode must be 0600");
    put_key(0xc0, 32, 0601);
    expect_file_refused(ERR_CONFIG, "", " can be read by others: its mode must be 0600");
    put_key(0xc0, 31, 0600);
    expect_file_refused(ERR_CONFIG, "", " has 31 bytes instead of 32");
    put_key(0xc0, 33, 0600);
    expect_file_refused(ERR_CONFIG, "", " has 33 bytes instead of 32");
    cr_assert_eq(unlink(path), 0);
    expect_file_refused(ERR_NOT_FOUND, "cannot open ", ": No such file or directory");
    cr_assert_eq(symlink("/etc/hostname", path), 0);
    expect_file_refused(ERR_SYSTEM, "cannot open ", ": Too many levels of symbolic links");
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(mkfifo(path, 0600), 0);
    expect_file_refused(ERR_CONFIG, "", " is not a regular file");
}

Test(kms_file, of_another_user_is_refused)
{
    if (geteuid() != 0) cr_skip_test("needs root");
    cr_assert_eq(chown(path, 12345, 0), 0);
    expect_file_refused(ERR_CONFIG, "", " belongs to another user");
}
