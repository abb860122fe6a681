/* Where secrets come from: a file, an open descriptor, or the terminal without echo. Never argv, never the
 * environment. Main thread. */
#ifndef SEALIFT_CLI_SECRET_INPUT_H
#define SEALIFT_CLI_SECRET_INPUT_H

#include "common/crypto/password.h"
#include "director/cli/args.h"

struct secret_source {
    const char *file; /* NULL: none */
    int fd;           /* -1: none */
};
#define SECRET_FROM_TERMINAL ((struct secret_source){.fd = -1})

/* From the values of two options; at most one of them. ERR_USAGE. */
bool secret_source_of(const struct args *args, const char *file_option, const char *fd_option,
                      struct secret_source *out, struct err *err) MUST_CHECK;

enum secret_repeat { SECRET_ONCE, SECRET_TWICE };

/* A normalised password. From a terminal it is asked for with `prompt` ("password of key 'main'"), twice for
 * new ones until both are equal. ERR_NO_KEY: there is neither a source nor a terminal; ERR_CANCELLED; and
 * as password_normalise. */
bool secret_password(const struct secret_source *source, const char *prompt, enum secret_repeat repeat,
                     struct secret **out, enum password_strength *strength, struct err *err) MUST_CHECK;

/* One line of text that is a secret (a claim code), without its line end, as a NUL-terminated string. */
bool secret_line(const struct secret_source *source, const char *prompt, struct secret **out,
                 struct err *err) MUST_CHECK;

/* The whole of a small file in guarded memory. */
bool secret_file(const char *path, size_t limit, struct secret **out, struct err *err) MUST_CHECK;

/* Can somebody be asked? */
bool secret_terminal(void);

#endif
