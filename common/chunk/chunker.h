/* Where a stream of bytes is cut into chunks: content-defined, so that the cuts after an insertion
 * or a deletion fall where they fell before. A pure value type: bytes in, cut offset out; no
 * memory, no I/O. Copy it freely; one thread at a time.
 *
 * Gear hashing with normalised chunking and two bytes a step, after W. Xia et al., "FastCDC",
 * USENIX ATC 2016, and "The Design of Fast Content-Defined Chunking", IEEE TPDS 31(9), 2020. With
 * h <- 2h + gear[byte] over the chunk's last 64 bytes, a chunk of `length` bytes ends where
 *     min <= length < average   and the top log2(average) + 2 bits of h are zero, or
 *     average <= length < max   and the top log2(average) - 2 bits of h are zero, or
 *     length = max.
 * The top bits see the widest window (64 bytes for the first of them). Unlike the papers' version,
 * the hash is warmed with the 64 bytes that end at `min`, so that each cut depends on a full
 * window wherever its chunk began.
 *
 * With a `step` only lengths that are multiples of it end a chunk, and log2(average / step) stands in
 * the place of log2(average): of each step only the last 64 bytes are looked at, an eighth of all for
 * 512. That is for what moves by whole sectors, if at all: disks. Behind an insertion of another
 * length the cuts do not come back.
 *
 * The cuts are part of what makes a second backup small, so they never change for given
 * parameters: a change here makes every repository store everything anew. The chunker is no means
 * of privacy: chunk lengths tell about contents whatever table is used. */
#ifndef SEALIFT_CHUNK_CHUNKER_H
#define SEALIFT_CHUNK_CHUNKER_H

#include "common/base/err.h"

#include <stddef.h>
#include <stdint.h>

/* in bytes */
struct chunker_params {
    uint32_t min;
    uint32_t average; /* a power of two; on noise the mean is 1.14 times it where min is a quarter */
    uint32_t max;
    uint32_t step; /* a power of two that divides the others; 0: every length */
};

enum {
    CHUNKER_WINDOW = 64, /* a cut depends on this many bytes before it */
    CHUNKER_AVERAGE_LEAST = 256,
    CHUNKER_STEPS_LEAST = 16,
    CHUNKER_MAX_MOST = 4 << 20, /* as the stored format has it */
};

extern const struct chunker_params chunker_files;  /* 256 KiB, 1 MiB, 4 MiB */
extern const struct chunker_params chunker_images; /* 128 KiB, 512 KiB, 2 MiB; at sectors of 512 bytes */

struct chunker {
    struct chunker_params params;
    uint64_t strict; /* before `average`, a hash below this cuts */
    uint64_t loose;  /* from `average` on */
    uint64_t hash;
    uint32_t length; /* of the chunk so far */
};

/* Parameters may be foreign (they are stored with each recovery point): ERR_LIMIT unless
 * CHUNKER_WINDOW <= min < average < max <= CHUNKER_MAX_MOST, average is a power of two of at
 * least CHUNKER_AVERAGE_LEAST, and a step is one of at least CHUNKER_WINDOW, divides min and max, and
 * is no more than a CHUNKER_STEPS_LEAST-th of the average. */
bool chunker_init(struct chunker *chunker, const struct chunker_params *params, struct err *err) MUST_CHECK;

/* Reads on from where the last call stopped. If the current chunk ends within these bytes: how
 * many of them belong to it (1 to len), and the next call starts a new chunk, with the byte after.
 * If not: 0, and all of the bytes are taken. The cuts do not depend on how the stream is split
 * over calls. What follows the last cut of a stream is its last chunk. */
size_t chunker_next(struct chunker *chunker, const void *bytes, size_t len);

/* Starts a new chunk at the next byte: a cut that the caller forces, or another stream. */
void chunker_restart(struct chunker *chunker);

#endif
