#include "common/crypto/password.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <utf8proc.h>

#define MIB (UINT64_C(1) << 20)
_Static_assert(PASSWORD_SALT_LEN == crypto_pwhash_argon2id_SALTBYTES, "Argon2id salt");
_Static_assert(crypto_pwhash_argon2id_OPSLIMIT_MODERATE == 3 &&
                   crypto_pwhash_argon2id_MEMLIMIT_MODERATE == 256 * MIB,
               "moderate limits");
_Static_assert(crypto_pwhash_argon2id_OPSLIMIT_INTERACTIVE == 2 &&
                   crypto_pwhash_argon2id_MEMLIMIT_INTERACTIVE == 64 * MIB,
               "interactive limits");

static struct span without_line_end(struct span typed)
{
    if (typed.len > 0 && typed.data[typed.len - 1] == '\n') {
        typed.len--;
        if (typed.len > 0 && typed.data[typed.len - 1] == '\r') typed.len--;
    }
    return typed;
}

static bool refused(struct err *err, utf8proc_ssize_t code)
{
    switch (code) {
    case UTF8PROC_ERROR_INVALIDUTF8:
        return err_set(err, ERR_USAGE, "password: it is not valid UTF-8");
    case UTF8PROC_ERROR_NOTASSIGNED:
        return err_set(err, ERR_USAGE, "password: it holds a character that Unicode %s does not assign",
                       utf8proc_unicode_version());
    default:
        return err_set(err, ERR_FAILED, "password: cannot be normalised");
    }
}

static size_t code_points(struct span utf8)
{
    size_t count = 0;
    for (size_t i = 0; i < utf8.len; i++)
        count += (utf8.data[i] & 0xc0) != 0x80;
    return count;
}

/* utf8proc composes 32-bit code points and writes them back as UTF-8 in their own memory: it is done in
 * guarded memory, and no copy is left elsewhere. */
static bool to_nfc(struct span utf8, struct secret **out, struct err *err)
{
    const utf8proc_option_t options = UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_REJECTNA;
    utf8proc_ssize_t count = utf8proc_decompose(utf8.data, (utf8proc_ssize_t)utf8.len, NULL, 0, options);
    if (count < 0) return refused(err, count);
    AUTO(secret) struct secret *work = secret_new(((size_t)count + 1) * sizeof(utf8proc_int32_t));
    utf8proc_int32_t *points = (utf8proc_int32_t *)(void *)work->data;
    count = utf8proc_decompose(utf8.data, (utf8proc_ssize_t)utf8.len, points, count, options);
    if (count < 0) return refused(err, count);
    utf8proc_ssize_t len = utf8proc_reencode(points, count, options);
    if (len < 0) return refused(err, len);
    *out = secret_copy(work->data, (size_t)len);
    return true;
}

bool password_normalise(struct span typed, struct secret **out, enum password_strength *strength,
                        struct err *err)
{
    struct span utf8 = without_line_end(typed);
    if (utf8.len == 0) return err_set(err, ERR_USAGE, "password: it is empty");
    if (utf8.len > PASSWORD_MAX_LEN)
        return err_set(err, ERR_LIMIT, "password: longer than %d bytes", PASSWORD_MAX_LEN);
    if (memchr(utf8.data, 0, utf8.len)) return err_set(err, ERR_USAGE, "password: it holds a NUL byte");
    AUTO(secret) struct secret *nfc = NULL;
    if (!to_nfc(utf8, &nfc, err)) return false;
    *strength =
        code_points(span_of(nfc->data, nfc->len)) < PASSWORD_STRONG_FROM ? PASSWORD_WEAK : PASSWORD_STRONG;
    *out = nfc;
    nfc = NULL;
    return true;
}

static bool limits_are_valid(const struct pwhash_limits *limits, struct err *err)
{
    if (limits->passes < PWHASH_INTERACTIVE.passes || limits->passes > PWHASH_MAX_PASSES)
        return err_set(err, ERR_LIMIT, "password hash: %llu passes; 2 to %d are accepted",
                       (unsigned long long)limits->passes, PWHASH_MAX_PASSES);
    if (limits->memory_bytes < PWHASH_INTERACTIVE.memory_bytes || limits->memory_bytes > PWHASH_MAX_MEMORY)
        return err_set(err, ERR_LIMIT, "password hash: %llu bytes of memory; 64 MiB to 4 GiB are accepted",
                       (unsigned long long)limits->memory_bytes);
    return true;
}

bool password_hash(const struct secret *password, const uint8_t salt[static PASSWORD_SALT_LEN],
                   const struct pwhash_limits *limits, struct secret **out, struct err *err)
{
    if (!limits_are_valid(limits, err)) return false;
    AUTO(secret) struct secret *hash = secret_new(PASSWORD_HASH_LEN);
    if (crypto_pwhash(hash->data, hash->len, (const char *)password->data, password->len, salt,
                      limits->passes, (size_t)limits->memory_bytes, crypto_pwhash_ALG_ARGON2ID13) != 0)
        return err_sys(err, ENOMEM, "cannot hash the password with %llu MiB of memory",
                       (unsigned long long)(limits->memory_bytes / MIB));
    *out = hash;
    hash = NULL;
    return true;
}
