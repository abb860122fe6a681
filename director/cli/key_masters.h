/* The master keys, in KMS, that wraps of a key were made by: new wraps are made by the one that an entry
 * names now, points keep those of earlier ones, which must stay where they are as long as nothing else opens
 * them. */
#ifndef SEALIFT_CLI_KEY_MASTERS_H
#define SEALIFT_CLI_KEY_MASTERS_H

#include "director/cli/keys.h"

#include <jansson.h>

struct points;

/* Has the KMS asked for each wrap of the key, in its points and in its newest section, by the transporter
 * `at`, or NULL: by the one that would open each point. Adds "master_keys" to `object` (docs/cli.md) and, for
 * people, "master_list"; warns of each master key that the KMS has not any more or refuses, by its id, with
 * the points that nothing else outside opens. What could not be asked is said, and not taken for gone. */
void key_masters_ask(struct cli *cli, const struct key_entry *key, const struct points *points,
                     const char *at, json_t *object);

#endif
