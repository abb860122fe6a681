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
};
void offline_more_deinit(struct offline_more *more);
DEFINE_AUTO_IN_PLACE(offline_more, struct offline_more, offline_more_deinit)

/* Objects that cannot be read or believed are left out. `out` must be empty. */
void offline_more_gather(const struct offline *offline, const struct offline_point *point,
                         struct offline_more *out);
/* The unlock section of the latest generation of the key that any point has or an operator had kept, in
 * `latest`, which stays empty where there is no later one; it and all others of later generations in `out`.
 * Both must be empty. */
void offline_more_later(const struct offline *offline, const struct hash *key_id, struct buf *latest,
                        struct offline_more *out);
/* A section that somebody has from elsewhere. */
void offline_more_add(struct offline_more *more, struct span section);
static inline struct unlock_more offline_more_of(const struct offline_more *more)
{
    return (struct unlock_more){.sections = more->sections, .section_count = more->count};
}

#endif
