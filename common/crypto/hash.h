/* BLAKE3 (O'Connor, Aumasson, Neves, Wilcox-O'Hearn, 2020): content hashes, keyed ids, derivations.
 * Every derivation has a context string of its own, listed in docs/format.md section 1. Any thread. */
#ifndef SEALIFT_CRYPTO_HASH_H
#define SEALIFT_CRYPTO_HASH_H

#include "common/base/bytes.h"

#define HASH_LEN 32
#define ID_LEN 16

struct hash {
    uint8_t bytes[HASH_LEN];
};

/* 16 random bytes that name a thing: site, repository, point, run, seal, session. */
struct id {
    uint8_t bytes[ID_LEN];
};

struct hash hash_of(struct span bytes);
/* of the concatenation */
struct hash hash_of_parts(const struct span *parts, size_t count);
struct hash hash_keyed(const uint8_t key[static HASH_LEN], struct span bytes);
/* derive_key mode over the concatenation of the parts */
void hash_derive(const char *context, const struct span *parts, size_t count, uint8_t out[static HASH_LEN]);

bool hash_eq(const struct hash *a, const struct hash *b);
int hash_cmp(const struct hash *a, const struct hash *b);
bool hash_is_zero(const struct hash *hash);
bool id_eq(const struct id *a, const struct id *b);
bool id_is_zero(const struct id *id);
struct id id_random(void);

/* Incremental hashing; a value, no heap, about 1.9 KiB. */
struct hasher {
    _Alignas(64) uint8_t state[1920];
};
void hasher_init(struct hasher *hasher);
void hasher_add(struct hasher *hasher, const void *data, size_t len);
struct hash hasher_result(const struct hasher *hasher);

/* Ids of chunks: KEYED(dedup key, type || H). */
enum frame_type { FRAME_DATA = 1, FRAME_NODE = 2 };
struct hash chunk_id(const uint8_t dedup_key[static HASH_LEN], enum frame_type type,
                     const struct hash *content);
/* The public constant that plaintext repositories use in the place of a dedup key. */
void plaintext_dedup_key(uint8_t out[static HASH_LEN]);
/* The domain's public id of its dedup key. */
struct hash domain_id(const uint8_t dedup_key[static HASH_LEN]);

#endif
