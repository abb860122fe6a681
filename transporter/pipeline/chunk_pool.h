/* Spare buffers of one run, so that memory goes round between threads instead of being returned to the
 * system and touched anew: at a gigabyte a second the page faults would cost more than the hashing.
 * Bounded: what exceeds the limit is freed, the longest unused first. Any thread. */
#ifndef SEALIFT_PIPELINE_CHUNK_POOL_H
#define SEALIFT_PIPELINE_CHUNK_POOL_H

#include "common/base/bytes.h"

struct chunk_pool;

struct chunk_pool *chunk_pool_new(size_t limit_bytes);
void chunk_pool_free(struct chunk_pool *pool);
DEFINE_AUTO(chunk_pool, struct chunk_pool *, chunk_pool_free)

/* An empty buffer with room for `size` bytes, and not for very many more; the caller's to keep. */
struct buf chunk_pool_get(struct chunk_pool *pool, size_t size);
/* Takes the buffer's memory; {0} is left. */
void chunk_pool_put(struct chunk_pool *pool, struct buf *buf);

#endif
