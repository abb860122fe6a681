/* The input is an envelope: as it is, and signed anew by a writer of ours, so that what stands behind
 * the signature is reached as well. The key is the one that the seeds are sealed to. */
#include "common/crypto/seal/envelope_key.h"

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

/* S, dedup and pre-shared secret of tests/golden/crypto.py */
static struct read_half *golden_half(void)
{
    uint8_t s[KEY_SECRET_LEN];
    fill_run(s, 0x00, sizeof(s));
    struct read_half *half = read_half_new(s);
    fill_run(half->psk->data, 0x40, half->psk->len);
    return half;
}

static void open_bytes(struct span bytes, const struct read_half *half)
{
    AUTO(run_key) struct run_key *run = NULL;
    struct envelope_view view;
    struct err err;
    bool parses = envelope_parse(bytes, &view, &err);
    bool opens = envelope_open(bytes, half, &run, &err);
    check(parses || !opens);
    check(opens == (run != NULL));
    if (opens) check(id_eq(&run->seal, &view.seal) && hash_eq(&view.key_id, &half->key_id));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(read_half) struct read_half *half = golden_half();
    open_bytes(span_of(data, size), half);
    if (size < ENVELOPE_LEN) return 0;

    uint8_t seed[SIGN_SEED_LEN];
    uint8_t envelope[ENVELOPE_LEN];
    fill_run(seed, 0x60, sizeof(seed));
    AUTO(sign_pair) struct sign_pair *writer = sign_pair_new(seed);
    memcpy(envelope, data, sizeof(envelope));
    memcpy(envelope + ENVELOPE_AT_WRITER, writer->pk, SIGN_PK_LEN);
    sign_bytes(writer, "envelope", span_of(envelope, ENVELOPE_AT_SIGNATURE),
               envelope + ENVELOPE_AT_SIGNATURE);
    open_bytes(span_of(envelope, sizeof(envelope)), half);
    return 0;
}
