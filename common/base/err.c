#include "common/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define TEXT_SIZE sizeof(((struct err *)0)->text)
#define CUT_MARK "..."

/* Puts at most size - 1 bytes of `text` into `out`, ending in "..." when it had to be cut, and
 * never inside a UTF-8 sequence. Returns the length. */
static size_t put_cut(char *out, size_t size, const char *text)
{
    size_t len = strlen(text);
    if (len < size) {
        memcpy(out, text, len + 1);
        return len;
    }
    size_t keep = size - sizeof(CUT_MARK);
    while (keep > 0 && ((uint8_t)text[keep] & 0xc0) == 0x80)
        keep--;
    memcpy(out, text, keep);
    memcpy(out + keep, CUT_MARK, sizeof(CUT_MARK));
    return keep + sizeof(CUT_MARK) - 1;
}

/* "outer: inner". A long outer part (a path of 4 KiB) is cut first: the cause stays readable. */
static void put_pair(struct err *err, const char *outer, const char *inner)
{
    size_t inner_len = strlen(inner);
    size_t room = inner_len < TEXT_SIZE / 2 ? TEXT_SIZE - 2 - inner_len : TEXT_SIZE / 2;
    size_t used = put_cut(err->text, room, outer);
    memcpy(err->text + used, ": ", 2);
    (void)put_cut(err->text + used + 2, TEXT_SIZE - used - 2, inner);
}

/* One byte more than an err holds, so that a text cut by vsnprintf is seen to be too long; its
 * own memory, because the arguments may point into the err. */
struct scratch {
    char text[TEXT_SIZE + 4];
};

static PRINTF_LIKE(1, 0) struct scratch format(const char *fmt, va_list args)
{
    struct scratch scratch;
    if (vsnprintf(scratch.text, sizeof(scratch.text), fmt, args) < 0) scratch.text[0] = 0;
    return scratch;
}

bool(err_set)(struct err *err, enum err_code code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    struct scratch text = format(fmt, args);
    va_end(args);
    err->code = code;
    err->sys = 0;
    (void)put_cut(err->text, TEXT_SIZE, text.text);
    return false;
}

static enum err_code code_of_errno(int sys)
{
    switch (sys) {
    case ENOSPC:
    case EDQUOT:
        return ERR_NO_SPACE;
    case ENOENT:
        return ERR_NOT_FOUND;
    case EEXIST:
        return ERR_EXISTS;
    default:
        return ERR_SYSTEM;
    }
}

bool(err_sys)(struct err *err, int sys, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    struct scratch context = format(fmt, args);
    va_end(args);
    char unknown[32];
    const char *cause = strerrordesc_np(sys);
    if (!cause) {
        (void)snprintf(unknown, sizeof(unknown), "error %d", sys);
        cause = unknown;
    }
    err->code = code_of_errno(sys);
    err->sys = sys;
    put_pair(err, context.text, cause);
    return false;
}

bool(err_wrap)(struct err *err, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    struct scratch context = format(fmt, args);
    va_end(args);
    struct err inner = *err;
    put_pair(err, context.text, inner.text);
    return false;
}

void err_clear(struct err *err)
{
    err->code = ERR_NONE;
    err->sys = 0;
    err->text[0] = 0;
}

int err_exit_code(enum err_code code)
{
    if (code == ERR_CONFIG) return ERR_USAGE;
    if (code >= ERR_SYSTEM) return ERR_FAILED;
    return (int)code;
}
