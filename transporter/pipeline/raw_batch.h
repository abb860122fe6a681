/* Raw batches: what a source sends when the target seals. Compressed plaintext chunks with their
 * content hashes, inside CURVE only:
 *   count x { type (1), compression (1), reserved (2), raw length (4), stored length (4), H (32), bytes } */
#ifndef SEALIFT_PIPELINE_RAW_BATCH_H
#define SEALIFT_PIPELINE_RAW_BATCH_H

#include "common/base/err.h"
#include "common/crypto/frame.h"

#define RAW_CHUNK_HEADER_LEN 44

struct raw_chunk {
    enum frame_type type;
    uint8_t compression;
    uint32_t raw_len;
    struct hash content;
    struct span stored; /* borrowed */
};
void raw_chunk_header(const struct raw_chunk *chunk, uint8_t out[static RAW_CHUNK_HEADER_LEN]);
/* The next chunk; *found = false at the end. ERR_PROTOCOL on anything malformed or over the limits. */
bool raw_chunk_next(struct reader *batch, struct raw_chunk *out, bool *found, struct err *err) MUST_CHECK;

#endif
