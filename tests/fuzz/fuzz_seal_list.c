/* The input is a seal list: as it is, and with writer and signature replaced by ours. What parses must
 * be the very bytes that encoding its fields gives. */
#include "common/crypto/seal_list.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct seal_list_view view;
    struct err err;
    if (seal_list_parse(span_of(data, size), &view, &err))
        check(size == SEAL_LIST_FIXED_LEN + HASH_LEN * view.count);
    if (size < SEAL_LIST_FIXED_LEN) return 0;

    const uint8_t seed[SIGN_SEED_LEN] = {1};
    AUTO(sign_pair) struct sign_pair *writer = sign_pair_new(seed);
    AUTO(buf) struct buf ours = {0};
    AUTO(buf) struct buf again = {0};
    size_t signed_len = size - SIGNATURE_LEN;
    buf_put(&ours, data, size);
    memcpy(ours.data + 24, writer->pk, SIGN_PK_LEN);
    sign_bytes(writer, "list", span_of(ours.data, signed_len), ours.data + signed_len);
    if (!seal_list_parse(buf_span(&ours), &view, &err)) return 0;
    seal_list_encode(writer, view.class_, &view.seal, view.number, (const struct hash *)view.hashes,
                     view.count, &again);
    check(span_eq(buf_span(&again), buf_span(&ours)));
    return 0;
}
