/* Generations of a key: a rotation makes a new S, with an id of its own, under the same name. The keyring of
 * the new one holds the S of all before, so whoever can open the newest opens them all. */
#ifndef SEALIFT_CLI_GENERATIONS_H
#define SEALIFT_CLI_GENERATIONS_H

#include "director/cli/keys.h"

/* Is the entry this key, or did it come out of it by rotation? It may have no section. */
bool generations_has(const struct key_entry *key, const struct hash *key_id);
/* Anybody can write such a section, but not a keyring with the S of a key that he does not have: each earlier
 * generation that it claims must be in it. `half` is what its keyring opened to. ERR_NOT_AUTHENTIC. */
bool generations_check(const Sealift__UnlockSection *section, const struct read_half *half,
                       struct err *err) MUST_CHECK;
/* The newest generation that is later than this one; NULL: this is the newest. */
const struct key_entry *generations_of_later(const struct keys *keys, const struct key_entry *key);
/* Which generation it is, from 1. */
size_t generations_number(const struct key_entry *key);

/* What the newest generation that this operator has a copy of and that covers the key id opens to.
 * ERR_NO_KEY: there is none. `entry` is borrowed from `keys`. */
bool generations_half(struct cli *cli, const struct keys *keys, const struct hash *key_id,
                      const struct key_entry **entry, struct read_half **half, struct err *err) MUST_CHECK;

/* S of an earlier generation, out of the keyring of a later one that this operator has a copy of; from the
 * director's grants, or from local state alone. ERR_NO_KEY. */
bool generations_secret(struct cli *cli, const struct hash *key_id, struct secret **s,
                        struct err *err) MUST_CHECK;
bool generations_local_secret(struct cli *cli, const struct hash *key_id, struct secret **s,
                              struct err *err) MUST_CHECK;

#endif
