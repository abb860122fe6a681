/* Making and opening seal envelopes (docs/format.md section 3). */
#ifndef SEALIFT_CRYPTO_SEAL_ENVELOPE_KEY_H
#define SEALIFT_CRYPTO_SEAL_ENVELOPE_KEY_H

#include "common/crypto/envelope.h"
#include "common/crypto/seal/key.h"
#include "common/crypto/sign.h"

/* The single-use key of one attempt. */
struct run_key {
    struct id seal;
    struct secret *key;    /* 32 */
    struct secret *frames; /* 32: the frame subkey */
};

/* random seal id and run key */
struct run_key *run_key_new(void);
void run_key_free(struct run_key *run);
DEFINE_AUTO(run_key, struct run_key *, run_key_free)

/* Seals the run key to the key and signs. ERR_PROTOCOL on a zero shared secret. */
bool envelope_seal(const struct run_key *run, const struct write_half *half, const struct sign_pair *writer,
                   uint8_t out[static ENVELOPE_LEN], struct err *err) MUST_CHECK;
/* Opens with S or any earlier S of the half. ERR_NOT_AUTHENTIC (signature), ERR_WRONG_KEY (no S fits
 * the envelope's key id), ERR_DAMAGED (tag or commit value). */
bool envelope_open(struct span bytes, const struct read_half *half, struct run_key **out,
                   struct err *err) MUST_CHECK;
/* Takes the key if the envelope, which is parsed, commits to it: ERR_DAMAGED. For who came to it otherwise.
 */
bool envelope_commits(struct span bytes, struct secret **key, struct run_key **out,
                      struct err *err) MUST_CHECK;

#endif
