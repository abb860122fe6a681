/* SipHash-2-4 (Aumasson and Bernstein, 2012): where in a table a key lies that a stranger has chosen. */
#ifndef SEALIFT_PROXY_SIPHASH_H
#define SEALIFT_PROXY_SIPHASH_H

#include "common/base/bytes.h"

#define SIPHASH_KEY_LEN 16

uint64_t siphash(const uint8_t key[static SIPHASH_KEY_LEN], struct span bytes);

#endif
