/* sealift key protect and unprotect: which protectors new points of a key carry, and old ones where that is
 * asked for. */
#ifndef SEALIFT_CLI_KEY_PROTECT_H
#define SEALIFT_CLI_KEY_PROTECT_H

#include "director/cli/keys.h"

extern const struct option_spec key_protect_options[];
command_fn key_protect;
extern const struct option_spec key_unprotect_options[];
command_fn key_unprotect;

/* key_existing.c. Keeps the section in every repository that has points of its key, or of a generation before
 * it, beside them; the names of those where that is done are appended to `done`. A repository whose host is
 * not connected is a warning, and ERR_UNREACHABLE in the end: the same call again does what is left. */
bool key_protect_existing(struct cli *cli, const struct hash *key_id, struct span bytes, json_t *done,
                          struct err *err) MUST_CHECK;
/* The points of this generation of the key, or of those before it too, as far as the director knows. */
enum key_points_of { KEY_POINTS_OF_GENERATION, KEY_POINTS_OF_ALL };
struct points;
bool key_points(struct cli *cli, const struct key_entry *key, enum key_points_of of, struct points *out,
                struct err *err) MUST_CHECK;

#endif
