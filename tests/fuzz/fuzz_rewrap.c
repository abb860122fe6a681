/* The input is a signed rewrap as it is stored: decoded, and opened with the key that the seeds are sealed
 * to; and its payload signed anew, so that what stands behind the signature is reached as well. And it is
 * records of rewraps, as a copy hands them over. */
#include "common/crypto/record.h"
#include "common/crypto/seal/rewrap_key.h"
#include "common/wire/stored.h"
#include "transporter/repository/rewraps.h"

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

struct handed {
    struct span records;
    uint32_t count;
};

static bool take_object(void *arg, struct span object, struct err *err)
{
    struct handed *handed = arg;
    struct span records = handed->records;
    struct rewrap_view view;
    uint8_t signer[SIGN_PK_LEN];
    struct err why;
    check(object.data >= records.data && object.data + object.len <= records.data + records.len);
    (void)!rewrap_object_decode(object, NULL, &view, signer, &why);
    handed->count++;
    return true;
}

static void hand_over(struct span records, uint32_t count)
{
    struct handed handed = {.records = records};
    struct err err;
    if (rewraps_each_record(records, count, take_object, &handed, &err)) check(handed.count == count);
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
    AUTO(buf) struct buf records = {0};
    for (uint32_t count = 0; count < 4; count++)
        hand_over(span_of(data, size), count);
    if (size == 0 || size > REWRAP_OBJECT_MAX) return 0;
    record_append(&records, RECORD_REWRAP, span_of(data, size));
    hand_over(buf_span(&records), 1);
    return 0;
}
