#include "director/cli/key_file.h"

#include "common/base/text.h"
#include "common/crypto/seal/key.h"
#include "director/cli/secret_input.h"

#include <string.h>

enum { FILE_LIMIT = 4096, BASE64_LEN = 44 };

/* Base64 of 32 bytes, with or without a line end. */
static bool from_base64(const struct secret *file, struct secret **out)
{
    size_t len = file->len;
    while (len > BASE64_LEN && (file->data[len - 1] == '\n' || file->data[len - 1] == '\r'))
        len--;
    if (len != BASE64_LEN || memchr(file->data, 0, len)) return false;
    AUTO(secret) struct secret *text = secret_new(BASE64_LEN + 1);
    memcpy(text->data, file->data, BASE64_LEN);
    AUTO(buf) struct buf bytes = {0};
    struct err ignored = {0};
    buf_reserve(&bytes, 2 * BASE64_LEN); /* so that it does not move and leave a copy behind */
    bool ok = base64_decode((const char *)text->data, &bytes, &ignored) && bytes.len == KEY_SECRET_LEN;
    if (ok) *out = secret_copy(bytes.data, bytes.len);
    wipe(bytes.data, bytes.cap);
    return ok;
}

bool key_file_read(const char *path, struct secret **out, struct err *err)
{
    AUTO(secret) struct secret *file = NULL;
    if (!secret_file(path, FILE_LIMIT, &file, err)) {
        if (err->code == ERR_LIMIT) err->code = ERR_USAGE;
        return false;
    }
    if (file->len == KEY_SECRET_LEN) {
        *out = file;
        file = NULL;
        return true;
    }
    if (from_base64(file, out)) return true;
    return err_set(err, ERR_USAGE, "'%s' has %zu bytes: a key has %d bytes, or %d characters of base64", path,
                   file->len, KEY_SECRET_LEN, BASE64_LEN);
}
