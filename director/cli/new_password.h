/* New passwords: asked for twice, and long enough unless --weak is said. */
#ifndef SEALIFT_CLI_NEW_PASSWORD_H
#define SEALIFT_CLI_NEW_PASSWORD_H

#include "director/cli/secret_input.h"

#define NEW_PASSWORD_OPTIONS                                                                                 \
    {"password-file", "FILE", "the password is the first line of FILE"},                                     \
        {"password-fd", "N", "the same, read from an open descriptor"},                                      \
    {                                                                                                        \
        "weak", NULL, "take a password of fewer than 12 characters"                                          \
    }

/* `args` must know --weak. ERR_USAGE: too short. */
bool new_password(const struct args *args, const struct secret_source *source, const char *prompt,
                  struct secret **out, struct err *err) MUST_CHECK;

#endif
