/* What lies in packs that are damaged or lost, is referred to, and can be read from other packs since: a copy
 * or the next run has brought it again. For a sweep. One thread. */
#ifndef SEALIFT_REPOSITORY_HEALED_H
#define SEALIFT_REPOSITORY_HEALED_H

#include "transporter/repository/inside.h"

struct healed {
    struct buf chunks; /* to be looked for */
};
void healed_deinit(struct healed *healed);
void healed_clear(struct healed *healed);

/* Whether a pack is damaged or lost, condemned or not. */
bool healed_is_bad(struct repository *repository, const struct index_pack *pack);
/* A frame in such a pack; `id` is the first 16 bytes of its id. Of more than some million it forgets the
 * rest: they count as not found until another sweep. */
void healed_note(struct healed *healed, const uint8_t *id, const struct index_location *location);
/* Tells each of them that another published pack has under the same id in the same dedup domain. It is read
 * and verified there as far as that goes without a key: who takes a pack away must not go by what an index
 * says. */
typedef void healed_fn(void *arg, const struct index_location *location);
bool healed_find(struct repository *repository, struct healed *healed, healed_fn *each, void *arg,
                 struct err *err) MUST_CHECK;

#endif
