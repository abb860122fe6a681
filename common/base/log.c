#include "common/base/log.h"

#include "common/base/bytes.h"

#include <stdarg.h>
#include <string.h>

static struct {
    const char *program;
    enum log_level level;
} logger = {.program = "sealift", .level = LOG_INFO};

void log_init(const char *program, enum log_level level)
{
    logger.program = program;
    logger.level = level;
}

static const char *level_name(enum log_level level)
{
    switch (level) {
    case LOG_DEBUG:
        return "debug";
    case LOG_INFO:
        return "info";
    case LOG_WARN:
        return "warn";
    case LOG_ERROR:
        return "error";
    }
    return "error";
}

/* C1 controls (U+0080 to U+009F) steer terminals as C0 controls do. */
static bool is_c1(const uint8_t *at)
{
    return at[0] == 0xc2 && at[1] >= 0x80 && at[1] <= 0x9f;
}

static bool is_plain(const char *value)
{
    if (*value == 0) return false;
    for (const uint8_t *at = (const uint8_t *)value; *at; at++) {
        if (*at <= ' ' || *at == '"' || *at == '\\' || *at == '=' || *at == 0x7f || is_c1(at)) return false;
    }
    return true;
}

static void put_quoted(struct buf *line, const char *value)
{
    buf_put_u8(line, '"');
    for (const uint8_t *at = (const uint8_t *)value; *at; at++) {
        if (*at == '"' || *at == '\\')
            buf_printf(line, "\\%c", *at);
        else if (*at == '\n')
            buf_put_str(line, "\\n");
        else if (*at == '\t')
            buf_put_str(line, "\\t");
        else if (*at < ' ' || *at == 0x7f || is_c1(at))
            buf_printf(line, "\\x%02x", *at);
        else
            buf_put_u8(line, *at);
    }
    buf_put_u8(line, '"');
}

static void put_pair(struct buf *line, const char *key, const char *value)
{
    if (line->len) buf_put_u8(line, ' ');
    buf_put_str(line, key);
    buf_put_u8(line, '=');
    if (is_plain(value))
        buf_put_str(line, value);
    else
        put_quoted(line, value);
}

void log_event(enum log_level level, const char *event, ...)
{
    if (level < logger.level) return;
    AUTO(buf) struct buf line = {0};
    put_pair(&line, "level", level_name(level));
    put_pair(&line, "program", logger.program);
    put_pair(&line, "event", event);
    va_list args;
    va_start(args, event);
    for (const char *key = va_arg(args, const char *); key; key = va_arg(args, const char *)) {
        const char *value = va_arg(args, const char *);
        if (!value) break;
        put_pair(&line, key, value);
    }
    va_end(args);
    buf_put_u8(&line, '\n');
    /* one write: lines of several threads do not mix. A log that cannot be written is no reason
     * to stop a backup. */
    ssize_t ignored = write(STDERR_FILENO, line.data, line.len);
    (void)ignored;
}
