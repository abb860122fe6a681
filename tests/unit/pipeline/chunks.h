/* Chunks for tests: bytes that depend on a number only. */
#ifndef SEALIFT_TEST_CHUNKS_H
#define SEALIFT_TEST_CHUNKS_H

#include "transporter/pipeline/packer.h"

/* `len` bytes, half of them compressible; different for different seeds */
void chunk_fill(struct buf *out, uint64_t seed, size_t len);
struct hash chunk_content(uint64_t seed, size_t len);
/* fills a chunk and gives it to the packer */
bool chunk_put(struct packer *packer, uint64_t seed, size_t len, struct err *err) MUST_CHECK;

#endif
