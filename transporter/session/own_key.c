#include "transporter/session/own_key.h"

#include "common/base/file.h"
#include "common/wire/stored.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static bool check_file(int fd, const char *path, struct err *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0) return err_sys(err, errno, "cannot read the own key '%s'", path);
    if (!S_ISREG(st.st_mode)) return err_set(err, ERR_CONFIG, "the own key '%s' is not a regular file", path);
    if (st.st_mode & (S_IRWXG | S_IRWXO))
        return err_set(err, ERR_CONFIG, "the own key '%s' can be read by others: its mode must be 0600",
                       path);
    if (st.st_size == KEY_SECRET_LEN) return true;
    return err_set(err, ERR_CONFIG, "the own key '%s' has %lld bytes instead of %d", path,
                   (long long)st.st_size, KEY_SECRET_LEN);
}

static void derive(const char *context, const struct secret *s, struct secret *out)
{
    struct span part = span_of(s->data, s->len);
    hash_derive(context, &part, 1, out->data);
}

bool own_key_load(const char *path, struct read_half **out, struct err *err)
{
    AUTO(fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return err_sys(err, errno, "cannot open the own key '%s'", path);
    if (!check_file(fd, path, err)) return false;
    AUTO(secret) struct secret *s = secret_new(KEY_SECRET_LEN);
    if (!fd_pread_all(fd, s->data, s->len, 0, path, err)) return false;
    struct read_half *half = read_half_new(s->data);
    derive("sealift v1 own key dedup secret", s, half->dedup_secret);
    derive("sealift v1 own key pre-shared secret", s, half->psk);
    *out = half;
    return true;
}

static char *text(const char *from)
{
    union {
        const char *in;
        char *out;
    } same = {.in = from};
    return same.out;
}

bool own_key_unlock_section(const struct read_half *half, const char *label, struct buf *out, struct err *err)
{
    AUTO(buf) struct buf keyring = {0};
    keyring_seal(half, &keyring);
    Sealift__UnlockSection section = SEALIFT__UNLOCK_SECTION__INIT;
    section.version = 1;
    section.key_id = stored_bytes(span_of(half->key_id.bytes, HASH_LEN));
    section.label = text(label);
    section.description = text("the source's own key file");
    section.origin = SEALIFT__KEY_ORIGIN__KEY_OWN;
    section.keyring = stored_bytes(buf_span(&keyring));
    section.unlock_pk = stored_bytes(span_of(half->unlock_pk, sizeof(half->unlock_pk)));
    return stored_unlock_encode(&section, out, err);
}
