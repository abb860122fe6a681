/* Padmé: the length to pad to, so that a length tells little about what has it. Lengths keep as
 * many significant bits as their exponent needs, so a length of up to L bytes takes one of
 * O(log L * log log L) values, at a cost of at most 12 %, less as L grows.
 * K. Nikitin et al., "Reducing Metadata Leakage from Encrypted Files and Communication with
 * PURBs", PETS 2019, section 4. */
#ifndef SEALIFT_CRYPTO_PADME_H
#define SEALIFT_CRYPTO_PADME_H

#include <stdint.h>

/* The padded length: never below `length`, UINT64_MAX where the sum leaves 64 bits. */
uint64_t padme(uint64_t length);

#endif
