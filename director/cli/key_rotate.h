/* sealift key rotate: a new generation of a key. */
#ifndef SEALIFT_CLI_KEY_ROTATE_H
#define SEALIFT_CLI_KEY_ROTATE_H

#include "director/cli/args.h"
#include "director/cli/cli.h"

extern const struct option_spec key_rotate_options[];
bool key_rotate(struct cli *cli, const struct args *args, struct err *err) MUST_CHECK;

#endif
