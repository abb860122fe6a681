/* The seal envelope (docs/format.md section 3) as machines without keys see it: parsed, its writer's
 * signature verified. Making and opening one is in common/crypto/seal/envelope_key.h. */
#ifndef SEALIFT_CRYPTO_ENVELOPE_H
#define SEALIFT_CRYPTO_ENVELOPE_H

#include "common/base/err.h"
#include "common/crypto/hash.h"

#define ENVELOPE_LEN 352

struct envelope_view {
    struct id seal;
    struct hash key_id;
    struct hash domain;
    uint8_t writer[32];    /* Ed25519 public key */
    uint8_t unlock_pk[32];
    const uint8_t *bytes;  /* ENVELOPE_LEN, borrowed */
};

/* Parses and verifies the writer's signature. Whether the writer is admitted is the caller's question.
 * ERR_TRUNCATED, ERR_VERSION, ERR_DAMAGED (reserved fields), ERR_NOT_AUTHENTIC. */
bool envelope_parse(struct span bytes, struct envelope_view *out, struct err *err) MUST_CHECK;

#endif
