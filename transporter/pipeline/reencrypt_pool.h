/* The threads that open data chunks and seal them anew, each with its own opener and packer. Who walks the
 * nodes gives them content hashes; what they hold is bounded by the number of windows that may wait and by
 * the packers' batches. Private to reencrypt.c; its functions belong to the walking thread. */
#ifndef SEALIFT_PIPELINE_REENCRYPT_POOL_H
#define SEALIFT_PIPELINE_REENCRYPT_POOL_H

#include "transporter/pipeline/packer.h"
#include "transporter/pipeline/reencrypt.h"

struct reencrypt_pool;

/* All is borrowed. `threads` 0: the number of cores. */
bool reencrypt_pool_new(struct sealing *sealing, struct chunk_pool *chunks,
                        const struct reencrypt_options *options, struct reencrypt_pool **out,
                        struct err *err) MUST_CHECK;
/* What was not drained is dropped. */
void reencrypt_pool_free(struct reencrypt_pool *pool);
DEFINE_AUTO(reencrypt_pool, struct reencrypt_pool *, reencrypt_pool_free)

/* Hands out data chunks by content hash, waiting while enough are under way. `from` must stay until they were
 * drained or given up. Fails with the first error of any thread. */
bool reencrypt_pool_give(struct reencrypt_pool *pool, const struct reencrypt_from *from,
                         const struct hash *contents, size_t count, struct err *err) MUST_CHECK;
/* Waits until all that was given has been handed to the outlet. */
bool reencrypt_pool_drain(struct reencrypt_pool *pool, struct err *err) MUST_CHECK;
/* After a failure: waits until nothing is under way and forgets the error. Whether that was a chunk which
 * could not be read, and no failure to send. */
bool reencrypt_pool_give_up(struct reencrypt_pool *pool) MUST_CHECK;

#endif
