/* Hashes, ids of chunks among them, one after the other in a buffer. Any thread. */
#ifndef SEALIFT_CRYPTO_HASH_LIST_H
#define SEALIFT_CRYPTO_HASH_LIST_H

#include "common/crypto/hash.h"

/* Borrowed; good until the buffer changes. */
static inline const struct hash *hash_list_items(const struct buf *hashes)
{
    return (const struct hash *)(const void *)hashes->data;
}

static inline size_t hash_list_count(const struct buf *hashes)
{
    return hashes->len / HASH_LEN;
}

/* Ascending and without repeats. */
void hash_list_make_set(struct buf *hashes);
/* Is it in the set? */
bool hash_list_has(const struct buf *set, const struct hash *hash);

#endif
