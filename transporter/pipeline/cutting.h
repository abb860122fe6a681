/* One long content being cut into chunks: bytes go in in order, references come out. Chunks are hashed and
 * packed by idle workers where there are any. Private to the backup engines; one thread, a worker's own. */
#ifndef SEALIFT_PIPELINE_CUTTING_H
#define SEALIFT_PIPELINE_CUTTING_H

#include "common/chunk/chunker.h"
#include "transporter/pipeline/worker.h"

enum { CUTTING_SLOTS = 16 }; /* chunks whose hashes may be outstanding */

#define CUTTING_SIZE_UNKNOWN UINT64_MAX

/* Chunks get a slot each, in their order; slots are emptied in that order into the references once their
 * hashes are known. */
struct cutting {
    struct worker *worker;
    struct chunker chunker;
    struct hasher hasher; /* of the content */
    struct refs_writer *refs;
    uint64_t expected;   /* bytes of the content; CUTTING_SIZE_UNKNOWN */
    struct buf rest;     /* what was read beyond it */
    struct buf chunk;    /* the chunk at hand */
    uint64_t offset;     /* bytes taken */
    uint64_t hashed;     /* bytes that `hasher` has seen */
    struct hash whole;   /* of the content, if it is a single chunk */
    size_t first, count; /* slots in use */
    struct chunk_slot slots[CUTTING_SLOTS];
};

/* `cutting` must be {0}, and must not move. */
bool cutting_init(struct cutting *cutting, struct worker *worker, uint64_t expected,
                  struct err *err) MUST_CHECK;
void cutting_deinit(struct cutting *cutting);
DEFINE_AUTO_IN_PLACE(cutting, struct cutting, cutting_deinit)

/* Where the next bytes may be put: *room > 0 of them, at most a step of reading. */
uint8_t *cutting_room(struct cutting *cutting, size_t *room);
/* So many bytes were put there. */
bool cutting_take(struct cutting *cutting, size_t len, struct err *err) MUST_CHECK;
/* So many bytes of nothing follow; chunks never go beyond a hole. */
bool cutting_hole(struct cutting *cutting, uint64_t length, struct err *err) MUST_CHECK;
/* After the last byte: appends the references to `refs`, and fills `content` but for them. */
bool cutting_finish(struct cutting *cutting, struct buf *refs, struct metadata_content *content,
                    struct err *err) MUST_CHECK;

/* Nobody has stopped the run. */
bool cutting_may_go_on(const struct cutting *cutting, struct err *err) MUST_CHECK;

#endif
