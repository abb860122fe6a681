/* Which chunk ids are referred to. A blocked Bloom filter, two bytes an id, so that the memory of a sweep
 * stays small beside the data (B. H. Bloom, 1970; blocked: Putze, Sanders, Singler, 2007). An id that was
 * added is always found; of others about one in a thousand is found too, and its chunk stays until another
 * sweep, which hashes with other secret numbers. One thread, or read only. */
#ifndef SEALIFT_REPOSITORY_LIVE_SET_H
#define SEALIFT_REPOSITORY_LIVE_SET_H

#include "common/crypto/hash.h"

#define LIVE_SET_MOST_BYTES ((size_t)128 * 1024 * 1024)

struct live_set {
    uint64_t *words;
    size_t block_mask; /* blocks of 512 bits, a power of two of them */
    uint64_t secret[4];
};

/* For about `expected` ids; more of them make it find more that were not added, never fewer that were. From
 * 64 million on it takes no more memory, and finds more of those instead (of 128 million, one in forty). */
void live_set_init(struct live_set *set, uint64_t expected);
void live_set_deinit(struct live_set *set);
DEFINE_AUTO_IN_PLACE(live_set, struct live_set, live_set_deinit)
/* by the first 16 bytes of an id */
void live_set_add(struct live_set *set, const uint8_t id[static ID_LEN]);
bool live_set_has(const struct live_set *set, const uint8_t id[static ID_LEN]);

#endif
