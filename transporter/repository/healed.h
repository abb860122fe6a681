/* What lies in packs that are damaged or lost, is referred to, and can be read from other packs since: a copy
 * or the next run has brought it again, or a sweep has moved it. For a sweep. One thread. */
#ifndef SEALIFT_REPOSITORY_HEALED_H
#define SEALIFT_REPOSITORY_HEALED_H

#include "transporter/repository/inside.h"

/* Frames that are looked for at a time: 40 MiB. */
#define HEALED_AT_ONCE (1024u * 1024)

struct healed {
    struct buf chunks;  /* to be looked for */
    struct buf refuted; /* places of frames that are not what was written, whatever their own check says */
};
void healed_deinit(struct healed *healed);
/* Forgets the chunks. */
void healed_clear(struct healed *healed);

/* Whether a pack is damaged or lost, condemned or not. */
bool healed_is_bad(struct repository *repository, const struct index_pack *pack);
/* A frame in such a pack; `id` is the first 16 bytes of its id. Beyond HEALED_AT_ONCE it forgets them: they
 * count as not found. */
void healed_note(struct healed *healed, const uint8_t *id, const struct index_location *location);
/* A frame that its signed list does not name: it counts as one that cannot be read. */
void healed_refute(struct healed *healed, uint32_t pack, uint32_t offset);

enum healed_where {
    HEALED_ELSEWHERE, /* it is not needed where it is */
    HEALED_HERE       /* it still reads, and no other pack has these bytes */
};
/* Tells what is known of each of them, but not of those that read nowhere. One that still reads is elsewhere
 * only when another published pack has the very same bytes under the same envelope: a frame of another seal
 * under the same id cannot be told from a planted one without a key, and must not cost a good one. Of one
 * that does not read nothing is left to lose: another under the same id in the same dedup domain will do. All
 * are read and verified: who takes a pack away must not go by what an index says. */
typedef void healed_fn(void *arg, const struct index_location *location, enum healed_where where);
bool healed_find(struct repository *repository, struct healed *healed, healed_fn *each, void *arg,
                 struct err *err) MUST_CHECK;

#endif
