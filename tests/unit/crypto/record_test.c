#include "common/crypto/record.h"

#include "fixture.h"
#include "golden.h"

#include <criterion/criterion.h>
#include <string.h>

static bool parses(struct span bytes, const void *context, struct err *err)
{
    struct record_view view;
    return record_parse(bytes, &view, err);
}
static const struct subject subject = {parses, NULL};

Test(record, bytes_are_those_of_the_format)
{
    static const uint8_t no_entries[8];
    AUTO(buf) struct buf frame = golden("frame", "aes_data");
    AUTO(buf) struct buf frame_record = golden("record", "frame");
    AUTO(buf) struct buf trailer_record = golden("record", "empty_trailer");
    AUTO(buf) struct buf built = {0};
    record_append(&built, RECORD_FRAME, buf_span(&frame));
    cr_assert(span_eq(buf_span(&built), buf_span(&frame_record)));
    record_append(&built, RECORD_TRAILER, span_of(no_entries, sizeof(no_entries)));
    cr_assert(span_eq(span_of(built.data + frame_record.len, built.len - frame_record.len),
                      buf_span(&trailer_record)));
}

Test(record, parse_takes_the_first_and_leaves_the_rest)
{
    AUTO(buf) struct buf bytes = {0};
    record_append(&bytes, RECORD_LIST, span_str("first"));
    record_append(&bytes, RECORD_FRAME, span_str("second, longer"));
    struct record_view view;
    struct err err;
    cr_assert(record_parse(buf_span(&bytes), &view, &err), "%s", err.text);
    cr_assert_eq(view.kind, RECORD_LIST);
    cr_assert(span_eq(view.payload, span_str("first")));
    cr_assert_eq(view.total_len, RECORD_HEADER_LEN + strlen("first"));
    struct hash expected = hash_of(span_str("first"));
    cr_assert(hash_eq(&view.payload_hash, &expected));

    struct span rest = span_of(bytes.data + view.total_len, bytes.len - view.total_len);
    cr_assert(record_parse(rest, &view, &err), "%s", err.text);
    cr_assert_eq(view.kind, RECORD_FRAME);
    cr_assert_eq(view.total_len, rest.len);
}

Test(record, an_empty_payload_is_a_record)
{
    AUTO(buf) struct buf bytes = {0};
    record_append(&bytes, RECORD_ENVELOPE, span_of(NULL, 0));
    cr_assert_eq(bytes.len, (size_t)RECORD_HEADER_LEN);
    struct record_view view;
    struct err err;
    cr_assert(record_parse(buf_span(&bytes), &view, &err), "%s", err.text);
    cr_assert_eq(view.payload.len, 0);
}

Test(record, parse_refuses_every_prefix_as_truncated)
{
    AUTO(buf) struct buf bytes = golden("record", "frame");
    check_every_prefix(&subject, buf_span(&bytes), ERR_TRUNCATED);
}

/* A longer length looks like a record that ends early; everything else is damage. */
Test(record, parse_notices_every_bit_of_header_and_payload)
{
    static const enum err_code codes[] = {ERR_DAMAGED, ERR_TRUNCATED, ERR_NONE};
    AUTO(buf) struct buf bytes = golden("record", "frame");
    check_every_bit(&subject, buf_span(&bytes), codes);
}

Test(record, parse_refuses_kinds_and_lengths_outside_the_format)
{
    AUTO(buf) struct buf bytes = {0};
    struct err err;
    for (unsigned kind = 0; kind < 256; kind++) {
        buf_clear(&bytes);
        record_append(&bytes, kind, span_str("payload"));
        cr_assert_eq(subject_accepts(&subject, buf_span(&bytes), &err), kind >= 1 && kind <= 5, "kind %u",
                     kind);
    }
    uint8_t header[RECORD_HEADER_LEN] = {RECORD_FRAME};
    le32_put(header + 4, RECORD_MAX_PAYLOAD + 1);
    cr_assert(!subject_accepts(&subject, span_of(header, sizeof(header)), &err));
    cr_assert_eq(err.code, ERR_DAMAGED);
    le32_put(header + 4, RECORD_MAX_PAYLOAD);
    cr_assert(!subject_accepts(&subject, span_of(header, sizeof(header)), &err));
    cr_assert_eq(err.code, ERR_TRUNCATED);
}

Test(record, a_payload_of_the_largest_length_is_read_back)
{
    AUTO(buf) struct buf payload = {0};
    AUTO(buf) struct buf bytes = {0};
    memset(buf_grow(&payload, RECORD_MAX_PAYLOAD), 0x5a, RECORD_MAX_PAYLOAD);
    record_append(&bytes, RECORD_FRAME, buf_span(&payload));
    struct err err;
    cr_assert(subject_accepts(&subject, buf_span(&bytes), &err), "%s", err.text);
}

Test(record, a_failed_parse_leaves_the_view_alone)
{
    struct record_view view = {.total_len = 77};
    struct err err;
    cr_assert(!record_parse(span_of(NULL, 0), &view, &err));
    cr_assert_eq(view.total_len, 77);
}

Test(record, split_reads_the_header_and_leaves_the_check_to_others)
{
    AUTO(buf) struct buf bytes = {0};
    struct record_view view;
    struct err err;
    record_append(&bytes, RECORD_FRAME, span_str("payload"));
    bytes.data[bytes.len - 1] ^= 1;
    cr_assert_not(record_parse(buf_span(&bytes), &view, &err));
    cr_assert(record_split(buf_span(&bytes), &view, &err), "%s", err.text);
    cr_assert(view.kind == RECORD_FRAME && view.payload.len == 7 && view.total_len == bytes.len);
    cr_assert_eq(view.payload.data, bytes.data + RECORD_HEADER_LEN);
    cr_assert(hash_is_zero(&view.payload_hash));
    for (size_t len = 0; len < bytes.len; len++) {
        cr_assert_not(record_split(span_of(bytes.data, len), &view, &err));
        cr_assert_eq(err.code, ERR_TRUNCATED);
    }
}
