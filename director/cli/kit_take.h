/* --kit: a recovery kit that somebody has, from its file or from the keyboard, opened. */
#ifndef SEALIFT_CLI_KIT_TAKE_H
#define SEALIFT_CLI_KIT_TAKE_H

#include "director/cli/args.h"
#include "director/cli/kit.h"

#define KIT_OPTIONS                                                                                          \
    {"kit", "FILE", "a recovery kit: its file, or '-' to type its lines in"},                                \
        {"kit-password-file", "FILE", "the kit's password is the first line of FILE"},                       \
    {                                                                                                        \
        "kit-password-fd", "N", "the same, read from an open descriptor"                                     \
    }

/* *out stays NULL without --kit. Asks for the kit's password if need be. As kit_open and
 * kit_reader_take_text. */
bool kit_take(const struct args *args, struct kit **out, struct err *err) MUST_CHECK;

#endif
