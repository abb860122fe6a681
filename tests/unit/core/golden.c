#include "golden.h"

#include "common/base/file.h"
#include "common/base/text.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>

void golden(const char *name, struct buf *out)
{
    AUTO(buf) struct buf file = {0};
    struct err err;
    cr_assert(file_read(AT_FDCWD, GOLDEN_DIR "/manifest.hex", 1 << 20, &file, &err), "%s", err.text);
    char *rest = NULL;
    for (char *line = strtok_r((char *)file.data, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        size_t len = strlen(name);
        if (strncmp(line, name, len) != 0 || line[len] != ' ') continue;
        const char *hex = line + len + 1;
        buf_clear(out);
        size_t bytes = strlen(hex) / 2;
        cr_assert(hex_decode(hex, buf_grow(out, bytes), bytes, &err), "%s", err.text);
        return;
    }
    cr_assert_fail("no golden vector '%s'", name);
}
