/* sealift key create: how S comes to be. */
#ifndef SEALIFT_CLI_KEY_CREATE_H
#define SEALIFT_CLI_KEY_CREATE_H

#include "director/cli/keys.h"

extern const struct option_spec key_create_options[];
command_fn key_create;

#endif
