/* Bytes that the tests of this folder cut and compress: always the same. */
#ifndef SEALIFT_TESTS_UNIT_CHUNK_SAMPLE_H
#define SEALIFT_TESTS_UNIT_CHUNK_SAMPLE_H

#include <stddef.h>
#include <stdint.h>

/* xorshift64, each number stored little-endian; seed is not 0. The last number is the next seed. */
uint64_t sample_noise(uint8_t *out, size_t len, uint64_t seed);
/* prose of sorts: words drawn from a small vocabulary */
void sample_words(uint8_t *out, size_t len, uint64_t seed);
/* bytes that repeat nothing, but are of 16 values: for an entropy coder only */
void sample_nibbles(uint8_t *out, size_t len, uint64_t seed);

#endif
