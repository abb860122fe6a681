#include "golden.h"

#include "common/base/file.h"
#include "common/base/text.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>

static struct buf from_hex(const char *hex)
{
    struct buf out = {0};
    struct err err;
    size_t len = strcspn(hex, "\n") / 2;
    AUTO(free) char *digits = strndup(hex, 2 * len);
    cr_assert(hex_decode(digits, buf_grow(&out, len), len, &err), "%s", err.text);
    return out;
}

struct buf golden(const char *file, const char *name)
{
    AUTO(buf) struct buf path = {0};
    AUTO(buf) struct buf text = {0};
    struct err err;
    buf_printf(&path, "%s/%s.hex", GOLDEN_DIR, file);
    cr_assert(file_read(AT_FDCWD, buf_cstr(&path), 1 << 20, &text, &err), "%s", err.text);
    size_t name_len = strlen(name);
    const char *line = buf_cstr(&text);
    while (line) {
        if (strncmp(line, name, name_len) == 0 && line[name_len] == ' ') return from_hex(line + name_len + 1);
        line = strchr(line, '\n');
        if (line) line++;
    }
    cr_assert(false, "tests/golden/%s.hex has no '%s'", file, name);
    return (struct buf){0};
}
