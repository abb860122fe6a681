/* Several threads that open frames: who fetches puts each frame in, and the next thread that is free opens
 * it. What waits is bounded in bytes. */
#ifndef SEALIFT_PIPELINE_OPEN_POOL_H
#define SEALIFT_PIPELINE_OPEN_POOL_H

#include "transporter/pipeline/opener.h"

struct open_pool;

/* Frames whose opening is awaited together. */
struct open_batch {
    void *owner;
    size_t under_way; /* the pool's own */
};

/* Tells of one frame, in a thread of the pool. `plain` may be taken, by leaving another buffer in its place.
 * If the frame did not open, *why says why; else why is NULL. Must not wait for the pool. */
typedef void open_pool_fn(struct open_batch *batch, size_t number, struct span frame, struct buf *plain,
                          const struct err *why);

/* `opener` must outlive the pool. `threads` 0: one for each core, and in any case no more than eight. */
bool open_pool_new(struct opener *opener, unsigned threads, open_pool_fn *opened, struct open_pool **out,
                   struct err *err) MUST_CHECK;
/* Opens what was put in, first. */
void open_pool_free(struct open_pool *pool);
DEFINE_AUTO(open_pool, struct open_pool *, open_pool_free)

/* Takes a copy of the frame of `id`. Blocks while too much waits. Any thread but the pool's own. */
void open_pool_put(struct open_pool *pool, struct open_batch *batch, size_t number, const struct hash *id,
                   struct span frame);
/* Until all frames of the batch were told. */
void open_pool_wait(struct open_pool *pool, struct open_batch *batch);

#endif
