/* The gear table: 256 numbers without structure, that anybody can make again. They are the first
 * 2,048 bytes of BLAKE3's extendable output for the 21 bytes "sealift gear table v1", read as
 * little-endian numbers of 64 bits:
 *     printf 'sealift gear table v1' | b3sum --length 2048 --raw
 * A test derives the table and compares. */
#ifndef SEALIFT_CHUNK_GEAR_H
#define SEALIFT_CHUNK_GEAR_H

#include <stdint.h>

#define GEAR_SEED "sealift gear table v1"

extern const uint64_t gear_table[256];

#endif
