/* Ways to keys that were added after points had been written: unlock/<key id>/<n>, from 1, each the exact
 * signed order by which an operator had it kept, with an unlock section of that key inside (docs/format.md,
 * section 10). One is written once and serves every point of its key in the repository, as a wrap is bound to
 * the key id and not to a point. No log entry names them: they say of no point that it is there, each proves
 * itself by its signature, and whatever S comes of one is checked against the key id. Any thread. */
#ifndef SEALIFT_REPOSITORY_UNLOCKS_H
#define SEALIFT_REPOSITORY_UNLOCKS_H

#include "common/wire/statement.h"
#include "common/wire/stored.h"
#include "transporter/repository/repository.h"

enum { UNLOCKS_MOST = 1000 }; /* of one key: numbers above are none */

/* Whether who signed this order counts. The site is the caller's to look at, too. */
typedef bool unlocks_believe_fn(void *arg, const struct statement *order);
/* One object. What does not decode, is of another key or not believed comes with `section` NULL and `why`;
 * the others with NULL for `why`. All is borrowed. false ends the reading, which then still succeeds. */
typedef bool unlocks_fn(void *arg, uint32_t number, const Sealift__UnlockSection *section,
                        const struct err *why);
/* The sections that were added for a key, oldest first. Reads from a repository that is open in any way. */
bool repository_unlock_sections(struct repository *repository, const struct hash *key_id,
                                unlocks_believe_fn *believe, unlocks_fn *each, void *arg,
                                struct err *err) MUST_CHECK;

/* Which keys there are objects of; each key once. false ends it. */
typedef bool unlocks_key_fn(void *arg, const struct hash *key_id);
bool repository_unlock_keys(struct repository *repository, unlocks_key_fn *each, void *arg,
                            struct err *err) MUST_CHECK;
/* The exact bytes of the objects of a key, to be copied: neither decoded nor verified. Those that cannot be
 * read are left out: a check names them. false, with *err, ends it. */
typedef bool unlocks_bytes_fn(void *arg, struct span order, struct err *err);
bool repository_unlock_read(struct repository *repository, const struct hash *key_id, unlocks_bytes_fn *each,
                            void *arg, struct err *err) MUST_CHECK;

/* Keeps the order durably under the next free number, unless it is there already: so the same call again,
 * after a crash or by another copy, changes nothing. The order has been verified. ERR_POLICY: opened for
 * reading; ERR_LIMIT. */
bool repository_unlock_add(struct repository *repository, const struct statement *order,
                           struct err *err) MUST_CHECK;

/* An object's name, and back: false, it is none. */
#define UNLOCK_NAME_LEN 80
void unlock_name(const struct hash *key_id, uint32_t number, char out[static UNLOCK_NAME_LEN]);
bool unlock_parse_name(const char *name, struct hash *key_id, uint32_t *number);
/* Decodes what is to become an object: an order to protect any key. */
bool unlock_object_check(struct span bytes, struct statement **order, struct err *err) MUST_CHECK;
/* Decodes an object and looks whether it is an order to protect this key. ERR_NOT_AUTHENTIC, ERR_DAMAGED, …
 */
bool unlock_object_decode(struct span bytes, const struct hash *key_id, struct statement **order,
                          Sealift__UnlockSection **section, struct err *err) MUST_CHECK;

#endif
