/* Any bytes as a stored object: what decodes encodes to the same bytes. The first byte chooses. */
#include "common/wire/stored.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same(bool encoded, const struct buf *again, struct span bytes)
{
    if (!encoded || !span_eq(buf_span(again), bytes)) abort();
}

static void fuzz_signed(struct span bytes)
{
    struct err err;
    struct span payload;
    uint8_t signer[SIGN_PK_LEN];
    if (!stored_verify(bytes, "log", &payload, signer, &err)) return;
    if (payload.data < bytes.data || payload.data + payload.len > bytes.data + bytes.len) abort();
}

static void fuzz_log(struct span bytes)
{
    struct err err;
    AUTO(stored_log) Sealift__LogEntry *entry = NULL;
    AUTO(buf) struct buf again = {0};
    if (stored_log_decode(bytes, &entry, &err)) same(stored_log_encode(entry, &again, &err), &again, bytes);
}

static void fuzz_body(struct span bytes)
{
    struct err err;
    AUTO(stored_body) Sealift__PointBody *body = NULL;
    AUTO(buf) struct buf again = {0};
    if (stored_body_decode(bytes, &body, &err)) same(stored_body_encode(body, &again, &err), &again, bytes);
}

static void fuzz_point(struct span bytes)
{
    struct err err;
    AUTO(stored_point) Sealift__PointFile *file = NULL;
    AUTO(stored_body) Sealift__PointBody *body = NULL;
    AUTO(buf) struct buf again = {0};
    if (!stored_point_decode(bytes, &file, &err)) return;
    same(stored_point_encode(file, &again, &err), &again, bytes);
    (void)!stored_point_open(file, &body, &err);
}

static void fuzz_unlock(struct span bytes)
{
    struct err err;
    AUTO(stored_unlock) Sealift__UnlockSection *unlock = NULL;
    AUTO(buf) struct buf again = {0};
    if (stored_unlock_decode(bytes, &unlock, &err))
        same(stored_unlock_encode(unlock, &again, &err), &again, bytes);
}

static void fuzz_kms(struct span bytes)
{
    struct err err;
    AUTO(stored_kms) Sealift__KmsWrap *wrap = NULL;
    AUTO(buf) struct buf again = {0};
    if (stored_kms_decode(bytes, &wrap, &err)) same(stored_kms_encode(wrap, &again, &err), &again, bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const targets[])(struct span bytes) = {fuzz_signed, fuzz_log,    fuzz_body,
                                                         fuzz_point,  fuzz_unlock, fuzz_kms};
    if (size == 0) return 0;
    targets[data[0] % 6](span_of(data + 1, size - 1));
    return 0;
}
