/* Before a copy of a key is withdrawn: is it the last one, and what dies with it? */
#ifndef SEALIFT_CLI_KEY_LAST_H
#define SEALIFT_CLI_KEY_LAST_H

#include "director/cli/args.h"
#include "director/cli/keys.h"

/* Asks whether the read half is to be withdrawn from this recipient where nobody else has one of the key, and
 * nothing outside brings it back: the points that die with it are named. As confirm; true where it is not the
 * last way. */
bool key_last_confirm(struct cli *cli, const struct args *args, const struct keys *keys,
                      const struct key_entry *key, const uint8_t recipient[SIGN_PK_LEN],
                      struct err *err) MUST_CHECK;

#endif
