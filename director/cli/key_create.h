/* sealift key create: how S comes to be. */
#ifndef SEALIFT_CLI_KEY_CREATE_H
#define SEALIFT_CLI_KEY_CREATE_H

#include "director/cli/keys.h"

extern const struct option_spec key_create_options[];
command_fn key_create;

/* Says that losing the operators' copies loses the key, unless a password or a protector outside brings it
 * back, and what to do about it. */
void key_warn_unprotected(const struct cli *cli, const struct key_entry *key);

#endif
