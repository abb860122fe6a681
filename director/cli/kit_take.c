#include "director/cli/kit_take.h"

#include "common/base/file.h"
#include "director/cli/kit_lines.h"
#include "director/cli/secret_input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { KIT_TEXT_MAX = 4 * 1024 * 1024 };

static bool read_file(const char *path, struct kit_reader *reader, struct err *err)
{
    AUTO(buf) struct buf text = {0};
    if (!file_read(AT_FDCWD, path, KIT_TEXT_MAX, &text, err)) return false;
    return kit_reader_take_text(reader, buf_span(&text), err) || err_wrap(err, "'%s'", path);
}

/* Somebody at a keyboard is told of a wrong line at once, and types it again. */
static bool read_keyboard(struct kit_reader *reader, struct err *err)
{
    char line[KIT_LINE_MAX + 2];
    bool asked = isatty(STDIN_FILENO);
    while (!kit_reader_done(reader)) {
        if (asked) (void)fprintf(stderr, "line %u of the recovery kit: ", reader->lines + 1);
        if (!fgets(line, sizeof(line), stdin))
            return err_set(err, ERR_TRUNCATED, "line %u of the recovery kit is missing", reader->lines + 1);
        if (kit_reader_take(reader, span_str(line), err)) continue;
        if (!asked) return false;
        (void)fprintf(stderr, "%s: again, please\n", err->text);
        err_clear(err);
    }
    return true;
}

bool kit_take(const struct args *args, struct kit **out, struct err *err)
{
    AUTO(kit_reader) struct kit_reader reader = {0};
    AUTO(secret) struct secret *password = NULL;
    struct secret_source source;
    enum password_strength strength;
    const char *path = args_value(args, "kit");
    if (!secret_source_of(args, "kit-password-file", "kit-password-fd", &source, err)) return false;
    if (!path && (source.file || source.fd >= 0))
        return err_set(err, ERR_USAGE, "the password of a recovery kit needs --kit");
    if (!path) return true;
    bool typed = strcmp(path, "-") == 0;
    return (typed ? read_keyboard(&reader, err) : read_file(path, &reader, err)) &&
           secret_password(&source, "password of the recovery kit", SECRET_ONCE, &password, &strength, err) &&
           kit_open(buf_span(&reader.sealed), password, out, err);
}
