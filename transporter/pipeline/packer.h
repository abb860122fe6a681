/* One thread's way from chunks to batches: id, ask, compress, seal, batch. A packer makes batches of one
 * class: data chunks or manifest nodes. Frames are sealed straight into the open batch.
 *
 * A chunk that is asked for is parked until a group is worth a question; its content hash is known to the
 * caller all along, so nothing ever waits for the answer. With SEAL_THERE the batches are raw. */
#ifndef SEALIFT_PIPELINE_PACKER_H
#define SEALIFT_PIPELINE_PACKER_H

#include "transporter/pipeline/chunk_pool.h"
#include "transporter/pipeline/raw_batch.h"
#include "transporter/pipeline/sealing.h"

enum {
    PACKER_BATCH = 512 * 1024,           /* records in a batch before it is sent, about */
    PACKER_PARK_CHUNKS = 64,             /* a question is asked at so many chunks … */
    PACKER_PARK_BYTES = 2 * 1024 * 1024, /* … or so many bytes of them, */
    PACKER_PROBE_BYTES = 512 * 1024,     /* while most chunks go unasked */
};

struct packer;

/* The sealing and the pool must outlive it. */
bool packer_new(struct sealing *sealing, struct chunk_pool *pool, enum pack_class class_, struct packer **out,
                struct err *err) MUST_CHECK;
void packer_free(struct packer *packer); /* what was not flushed is dropped */
DEFINE_AUTO(packer, struct packer *, packer_free)

/* Takes a chunk's bytes; the buffer, which is best from the pool, is left empty. `content` is its hash,
 * computed by the caller. A node is validated, and its clear list derived. ERR_LIMIT for an empty chunk
 * or one over the format's limit. */
bool packer_put(struct packer *packer, struct buf *chunk, const struct hash *content,
                struct err *err) MUST_CHECK;
/* Takes a chunk that is compressed already; the caller has verified that `plain`, to which it
 * decompresses, hashes to its content hash. All borrowed for the call. Not asked for. */
bool packer_put_stored(struct packer *packer, const struct raw_chunk *chunk, struct span plain,
                       struct err *err) MUST_CHECK;
/* Asks for what is parked and sends the open batch. *last is the number of this packer's last batch so
 * far, 0 if there was none; it may be NULL. */
bool packer_flush(struct packer *packer, uint64_t *last, struct err *err) MUST_CHECK;

#endif
