/* A rewrap (docs/format.md section 3): another way to the run key of a seal, for who has a later S of the
 * same key, as machines without keys see it. It stands beside the envelope and never in its place. Making and
 * opening one is in common/crypto/seal/rewrap_key.h. */
#ifndef SEALIFT_CRYPTO_REWRAP_H
#define SEALIFT_CRYPTO_REWRAP_H

#include "common/base/err.h"
#include "common/crypto/hash.h"

#define REWRAP_VERSION 1
#define REWRAP_LEN 224
#define REWRAP_SIGNATURE_NAME "rewrap" /* of the Signed message around it */

/* Where the fields stand. */
enum rewrap_offset {
    REWRAP_AT_VERSION = 0,
    REWRAP_AT_RESERVED = 1,
    REWRAP_AT_SEAL = 8,
    REWRAP_AT_ENVELOPE = 24, /* HASH of the envelope */
    REWRAP_AT_KEY_ID = 56,
    REWRAP_AT_UNLOCK_PK = 88,
    REWRAP_AT_EPH_PK = 120,
    REWRAP_AT_SEALED = 152, /* nonce, run key, tag; what stands before is associated data, with the signer */
};

struct rewrap_view {
    struct id seal;
    struct hash envelope;
    struct hash key_id;
    uint8_t unlock_pk[32];
    const uint8_t *bytes; /* REWRAP_LEN, borrowed */
};

/* The signature around it is the caller's to verify. ERR_TRUNCATED, ERR_VERSION; ERR_DAMAGED: longer than a
 * rewrap, reserved fields set, no seal id, or a key id that is not that of its unlock key. */
bool rewrap_parse(struct span bytes, struct rewrap_view *out, struct err *err) MUST_CHECK;

#endif
