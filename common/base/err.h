/* Errors: a code that callers branch on and a sentence that people read.
 *
 * A fallible function returns bool (true = done), takes `struct err *` last, and leaves its other
 * outputs untouched on failure. The text starts in lower case and says what happened to what
 * ("cannot open '/x': No such file or directory"); outer context comes first ("outer: inner").
 * A text that is too long is cut and marked "...": the context first, the cause last.
 * A `struct err` holds no pointers: copy it freely. It is never NULL. One thread at a time. */
#ifndef SEALIFT_BASE_ERR_H
#define SEALIFT_BASE_ERR_H

#include <stdbool.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt_index, args_index) __attribute__((format(printf, fmt_index, args_index)))

/* The first group are exit codes of the command line as they stand; the second maps onto them. */
enum err_code {
    ERR_NONE = 0,
    ERR_USAGE = 2,
    ERR_FAILED = 3,
    ERR_NOT_FOUND = 4,
    ERR_POLICY = 5,
    ERR_BUSY = 6,
    ERR_UNREACHABLE = 7,
    ERR_CANCELLED = 8,
    ERR_NO_KEY = 20,
    ERR_WRONG_KEY = 21,
    ERR_DAMAGED = 22,
    ERR_TRUNCATED = 23,
    ERR_NOT_ENCRYPTED = 24,
    ERR_SALT_MISSING = 25,
    ERR_NOT_AUTHENTIC = 26,

    ERR_SYSTEM = 64,   /* a system call failed; err.sys holds errno. exit 3 */
    ERR_NO_SPACE = 65, /* disk full or quota. exit 3 */
    ERR_EXISTS = 66,   /* exit 3 */
    ERR_VERSION = 67,  /* bytes of a protocol or format version we do not speak. exit 3 */
    ERR_PROTOCOL = 68, /* a peer broke the protocol, or bytes that do not parse. exit 3 */
    ERR_LIMIT = 69,    /* a limit was exceeded. exit 3 */
    ERR_CONFIG = 70,   /* configuration file. exit 2 */
};

struct err {
    enum err_code code;
    int sys; /* errno, or 0 */
    char text[512];
};

/* Sets code and text; returns false, so that a failing function can `return err_set(...)`. */
bool err_set(struct err *err, enum err_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* As err_set, with ": strerror(sys)" appended. The code is ERR_NO_SPACE for ENOSPC and EDQUOT,
 * ERR_NOT_FOUND for ENOENT, ERR_EXISTS for EEXIST, else ERR_SYSTEM. */
bool err_sys(struct err *err, int sys, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Puts "context: " before the text. Keeps the code. Returns false. */
bool err_wrap(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

#ifdef __clang_analyzer__
/* It looks at one file at a time, and would follow ways on which these return true. */
#define err_set(...) ((void)err_set(__VA_ARGS__), false)
#define err_sys(...) ((void)err_sys(__VA_ARGS__), false)
#define err_wrap(...) ((void)err_wrap(__VA_ARGS__), false)
#endif

void err_clear(struct err *err);

/* The command line's exit code for an error. */
int err_exit_code(enum err_code code);

#endif
