/* The input is a signed rewrap as it is stored: decoded, and opened with the key that the seeds are sealed
 * to; and its payload signed anew, so that what stands behind the signature is reached as well. */
#include "common/crypto/seal/rewrap_key.h"
#include "common/wire/stored.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds) abort();
}

static void fill_run(uint8_t *out, uint8_t first, size_t len)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(first + i);
}

/* The later S and the pre-shared secret of tests/golden/crypto.py */
static struct read_half *golden_half(void)
{
    uint8_t s[KEY_SECRET_LEN];
    fill_run(s, 0x30, sizeof(s));
    struct read_half *half = read_half_new(s);
    fill_run(half->psk->data, 0x40, half->psk->len);
    return half;
}

static void open_payload(struct span payload, const uint8_t *signer, const struct read_half *half)
{
    AUTO(run_key) struct run_key *run = NULL;
    struct rewrap_view view;
    struct err err;
    uint8_t envelope[352] = {1};
    bool parses = rewrap_parse(payload, &view, &err);
    check(!rewrap_open(payload, signer, span_of(envelope, sizeof(envelope)), half, &run, &err));
    check(!parses || view.bytes == payload.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(read_half) struct read_half *half = golden_half();
    struct span payload;
    uint8_t signer[SIGN_PK_LEN] = {0};
    struct err err;
    if (stored_verify(span_of(data, size), REWRAP_SIGNATURE_NAME, &payload, signer, &err))
        open_payload(payload, signer, half);
    open_payload(span_of(data, size), signer, half);
    return 0;
}
