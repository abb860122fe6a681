/* The input is a row of records, as in a journal: as it is, and with the check of the first one made to
 * fit. What parses must be the very bytes that appending its payload gives. */
#include "common/crypto/record.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds) abort();
}

static void walk(struct span bytes)
{
    struct record_view view;
    struct err err;
    while (record_parse(bytes, &view, &err)) {
        AUTO(buf) struct buf again = {0};
        check(view.total_len <= bytes.len && view.payload.len == view.total_len - RECORD_HEADER_LEN);
        record_append(&again, view.kind, view.payload);
        check(span_eq(buf_span(&again), span_of(bytes.data, view.total_len)));
        bytes = span_of(bytes.data + view.total_len, bytes.len - view.total_len);
    }
    check(err.code == ERR_TRUNCATED || err.code == ERR_DAMAGED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    walk(span_of(data, size));
    if (size < RECORD_HEADER_LEN) return 0;
    size_t len = le32_get(data + 4);
    if (len > RECORD_MAX_PAYLOAD || len > size - RECORD_HEADER_LEN) return 0;
    AUTO(buf) struct buf ours = {0};
    struct hash payload_hash = hash_of(span_of(data + RECORD_HEADER_LEN, len));
    buf_put(&ours, data, size);
    record_header(data[0], len, &payload_hash, ours.data);
    walk(buf_span(&ours));
    return 0;
}
