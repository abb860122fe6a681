#include "common/crypto/record.h"

#include <assert.h>
#include <string.h>

#define CHECKED_LEN 8 /* header bytes before the check, which the check covers */
#define CHECK_LEN 8

static struct hash check_of(const uint8_t header[static CHECKED_LEN], const struct hash *payload_hash)
{
    const struct span parts[] = {{header, CHECKED_LEN}, {payload_hash->bytes, HASH_LEN}};
    return hash_of_parts(parts, 2);
}

void record_header(enum record_kind kind, size_t payload_len, const struct hash *payload_hash,
                   uint8_t out[static RECORD_HEADER_LEN])
{
    assert(payload_len <= RECORD_MAX_PAYLOAD);
    memset(out, 0, CHECKED_LEN);
    out[0] = (uint8_t)kind;
    le32_put(out + 4, (uint32_t)payload_len);
    struct hash check = check_of(out, payload_hash);
    memcpy(out + CHECKED_LEN, check.bytes, CHECK_LEN);
}

void record_append(struct buf *out, enum record_kind kind, struct span payload)
{
    struct hash payload_hash = hash_of(payload);
    buf_reserve(out, RECORD_HEADER_LEN + payload.len);
    record_header(kind, payload.len, &payload_hash, buf_grow(out, RECORD_HEADER_LEN));
    buf_put_span(out, payload);
}

bool record_split(struct span bytes, struct record_view *out, struct err *err)
{
    if (bytes.len < RECORD_HEADER_LEN)
        return err_set(err, ERR_TRUNCATED, "record: ends in its header, after %zu bytes", bytes.len);
    const uint8_t *header = bytes.data;
    if (header[0] < RECORD_ENVELOPE || header[0] > RECORD_REWRAP || header[1] | header[2] | header[3])
        return err_set(err, ERR_DAMAGED, "record: no record header");
    size_t len = le32_get(header + 4);
    if (len > RECORD_MAX_PAYLOAD)
        return err_set(err, ERR_DAMAGED, "record: payload of %zu bytes is over the limit", len);
    if (bytes.len - RECORD_HEADER_LEN < len)
        return err_set(err, ERR_TRUNCATED, "record: ends after %zu of %zu payload bytes",
                       bytes.len - RECORD_HEADER_LEN, len);
    *out = (struct record_view){.kind = header[0],
                                .payload = span_of(header + RECORD_HEADER_LEN, len),
                                .total_len = RECORD_HEADER_LEN + len};
    return true;
}

bool record_parse(struct span bytes, struct record_view *out, struct err *err)
{
    struct record_view view;
    if (!record_split(bytes, &view, err)) return false;
    view.payload_hash = hash_of(view.payload);
    struct hash check = check_of(bytes.data, &view.payload_hash);
    if (memcmp(check.bytes, bytes.data + CHECKED_LEN, CHECK_LEN) != 0)
        return err_set(err, ERR_DAMAGED, "record: its check does not fit");
    *out = view;
    return true;
}
