/* Making and opening rewraps (docs/format.md section 3). Whoever signed one need not be believed: what it
 * opens to must have the commit value of the envelope, which the seal's writer signed. */
#ifndef SEALIFT_CRYPTO_SEAL_REWRAP_KEY_H
#define SEALIFT_CRYPTO_SEAL_REWRAP_KEY_H

#include "common/crypto/rewrap.h"
#include "common/crypto/seal/envelope_key.h"

/* Opens the envelope with an earlier S of the half, and seals its run key to the half's own. `signer` will
 * sign. As envelope_open; ERR_PROTOCOL on a zero shared secret. */
bool rewrap_make(struct span envelope, const struct read_half *half, const uint8_t signer[static SIGN_PK_LEN],
                 uint8_t out[static REWRAP_LEN], struct err *err) MUST_CHECK;
/* The run key, with S or any earlier S of the half. `signer` is who signed it. ERR_WRONG_KEY (no S fits its
 * key id), ERR_DAMAGED (it is of another envelope; tag or commit value), and as envelope_parse, rewrap_parse.
 */
bool rewrap_open(struct span rewrap, const uint8_t signer[static SIGN_PK_LEN], struct span envelope,
                 const struct read_half *half, struct run_key **out, struct err *err) MUST_CHECK;

#endif
