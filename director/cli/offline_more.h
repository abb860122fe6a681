/* What a repository knows of a key beside the point that is to be opened: the unlock sections of the key's
 * other points, and those that operators had it keep. All of it is a hint: what it leads to is checked
 * against the key id. */
#ifndef SEALIFT_CLI_OFFLINE_MORE_H
#define SEALIFT_CLI_OFFLINE_MORE_H

#include "director/cli/offline.h"
#include "transporter/kms/unlock.h"

struct offline_more {
    const Sealift__UnlockSection **sections;
    Sealift__UnlockSection **owned; /* the same */
    size_t count;
    struct err doubt; /* the first reason why some could not be looked at; else ERR_NONE */
};
void offline_more_deinit(struct offline_more *more);
DEFINE_AUTO_IN_PLACE(offline_more, struct offline_more, offline_more_deinit)

/* Objects that cannot be read or believed are left out. `out` must be empty. */
void offline_more_gather(const struct offline *offline, const struct offline_point *point,
                         struct offline_more *out);
/* The unlock sections of later generations of the key that any point has or an operator had kept. `out` must
 * be empty. */
void offline_more_later(const struct offline *offline, const struct hash *key_id, struct offline_more *out);
/* From the latest generation on: the one that comes behind `before` (NULL: the first); NULL behind the last.
 * Anybody who can write into the repository can claim to be the latest: those behind are tried too. */
const Sealift__UnlockSection *offline_more_next(const struct offline_more *more,
                                                const Sealift__UnlockSection *before);
struct hash offline_more_hash(const struct offline_more *more);
/* A section that somebody has from elsewhere. */
void offline_more_add(struct offline_more *more, struct span bytes);
static inline struct unlock_more offline_more_of(const struct offline_more *more)
{
    return (struct unlock_more){.sections = more->sections, .section_count = more->count};
}

#endif
