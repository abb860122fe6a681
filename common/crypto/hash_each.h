/* Many small contents, each with a BLAKE3 hash of its own, hashed side by side.
 *
 * BLAKE3 is fast where a processor hashes 16 chunks of 1 KiB in one go. A file of some KiB does not have
 * them; several files together do. Any thread. */
#ifndef SEALIFT_CRYPTO_HASH_EACH_H
#define SEALIFT_CRYPTO_HASH_EACH_H

#include "common/crypto/hash.h"

/* out[i] = hash_of(contents[i]), for each of them. */
void hash_each(const struct span *contents, size_t count, struct hash *out);

#endif
