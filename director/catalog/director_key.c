#include "director/catalog/director_key.h"

#include "common/base/alloc.h"
#include "common/base/file.h"
#include "common/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define FIRST_LINE "sealift-director-key 1\n"
#define SECRET_WORD "secret "
#define PUBLIC_WORD "public "

enum {
    HEX_LEN = 2 * NET_KEY_LEN,
    SECRET_AT = sizeof(FIRST_LINE) - 1 + sizeof(SECRET_WORD) - 1,
    PUBLIC_AT = SECRET_AT + HEX_LEN + 1 + sizeof(PUBLIC_WORD) - 1,
    FILE_LEN = PUBLIC_AT + HEX_LEN + 1,
};

static char *path_of(const char *state_dir)
{
    return xasprintf("%s/%s", state_dir, DIRECTOR_KEY_FILE);
}

bool director_key_create(const char *state_dir, struct net_key **out, struct err *err)
{
    AUTO(net_key) struct net_key *key = NULL;
    AUTO(free) char *path = path_of(state_dir);
    if (!net_key_make(&key, err)) return false;
    AUTO(secret) struct secret *text = secret_new(FILE_LEN + 1);
    char *at = (char *)text->data;
    memcpy(at, FIRST_LINE SECRET_WORD, SECRET_AT);
    hex_encode(net_key_secret(key)->data, NET_KEY_LEN, at + SECRET_AT);
    memcpy(at + SECRET_AT + HEX_LEN, "\n" PUBLIC_WORD, sizeof(PUBLIC_WORD));
    hex_encode(net_key_public(key), NET_KEY_LEN, at + PUBLIC_AT);
    at[FILE_LEN - 1] = '\n';
    if (!file_create(AT_FDCWD, path, span_of(at, FILE_LEN), 0600, err)) return false;
    *out = key;
    key = NULL;
    return true;
}

static bool read_private(const char *path, struct secret *out, size_t *len, struct err *err)
{
    AUTO(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat there;
    if (fd < 0 || fstat(fd, &there) != 0) return err_sys(err, errno, "cannot open '%s'", path);
    if (there.st_mode & 077)
        return err_set(err, ERR_POLICY, "'%s' can be read by others: its mode must be 0600", path);
    size_t size = there.st_size < (off_t)out->len ? (size_t)there.st_size : out->len;
    if (!fd_pread_all(fd, out->data, size, 0, path, err)) return false;
    *len = size;
    return true;
}

static bool parse(const char *text, size_t len, const char *path, struct net_key **out, struct err *err)
{
    if (len >= sizeof(FIRST_LINE) - 1 && memcmp(text, FIRST_LINE, sizeof("sealift-director-key ") - 1) == 0 &&
        memcmp(text, FIRST_LINE, sizeof(FIRST_LINE) - 1) != 0)
        return err_set(err, ERR_VERSION, "'%s' is of another version", path);
    AUTO(wipe32) uint8_t secret[32] = {0};
    uint8_t public_key[NET_KEY_LEN];
    char hex[HEX_LEN + 1] = {0};
    bool shaped = len == FILE_LEN && memcmp(text, FIRST_LINE SECRET_WORD, SECRET_AT) == 0 &&
                  memcmp(text + SECRET_AT + HEX_LEN, "\n" PUBLIC_WORD, sizeof(PUBLIC_WORD)) == 0 &&
                  text[FILE_LEN - 1] == '\n';
    if (shaped) memcpy(hex, text + SECRET_AT, HEX_LEN);
    shaped = shaped && hex_decode(hex, secret, sizeof(secret), err);
    wipe(hex, sizeof(hex));
    if (shaped) memcpy(hex, text + PUBLIC_AT, HEX_LEN);
    shaped = shaped && hex_decode(hex, public_key, sizeof(public_key), err);
    AUTO(net_key) struct net_key *key = NULL;
    if (!shaped || !net_key_from_secret(secret, &key, err) ||
        memcmp(net_key_public(key), public_key, NET_KEY_LEN) != 0)
        return err_set(err, ERR_DAMAGED, "'%s' is damaged", path);
    *out = key;
    key = NULL;
    return true;
}

bool director_key_open(const char *state_dir, struct net_key **out, struct err *err)
{
    AUTO(free) char *path = path_of(state_dir);
    AUTO(secret) struct secret *text = secret_new(FILE_LEN + 64);
    size_t len = 0;
    if (!read_private(path, text, &len, err)) return false;
    return parse((const char *)text->data, len, path, out, err);
}
