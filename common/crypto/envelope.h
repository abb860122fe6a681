/* The seal envelope (docs/format.md section 3) as machines without keys see it: parsed, its writer's
 * signature verified. Making and opening one is in common/crypto/seal/envelope_key.h. */
#ifndef SEALIFT_CRYPTO_ENVELOPE_H
#define SEALIFT_CRYPTO_ENVELOPE_H

#include "common/base/err.h"
#include "common/crypto/hash.h"

#define ENVELOPE_VERSION 1
#define ENVELOPE_LEN 352

/* Where the fields stand, for those who make and open envelopes. */
enum envelope_offset {
    ENVELOPE_AT_VERSION = 0,
    ENVELOPE_AT_RESERVED = 1,
    ENVELOPE_AT_SEAL = 8,
    ENVELOPE_AT_KEY_ID = 24,
    ENVELOPE_AT_DOMAIN = 56,
    ENVELOPE_AT_WRITER = 88,
    ENVELOPE_AT_UNLOCK_PK = 120,
    ENVELOPE_AT_EPH_PK = 152,
    ENVELOPE_AT_SEALED = 184, /* nonce, run key, tag; what stands before is associated data */
    ENVELOPE_AT_COMMIT = 256,
    ENVELOPE_AT_SIGNATURE = 288, /* of everything before it */
};

struct envelope_view {
    struct id seal;
    struct hash key_id;
    struct hash domain;
    uint8_t writer[32]; /* Ed25519 public key */
    uint8_t unlock_pk[32];
    const uint8_t *bytes; /* ENVELOPE_LEN, borrowed */
};

/* Parses and verifies the writer's signature. Whether the writer is admitted is the caller's question.
 * ERR_TRUNCATED, ERR_VERSION, ERR_NOT_AUTHENTIC, and ERR_DAMAGED: longer than an envelope, or signed
 * with reserved fields set, without a seal id, or with a key id that is not that of the unlock key. */
bool envelope_parse(struct span bytes, struct envelope_view *out, struct err *err) MUST_CHECK;

#endif
