#include "transporter/kms/ttlv.h"

#include <criterion/criterion.h>
#include <string.h>

enum { TAG = 0x420078, INNER = 0x42000d };

/* A structure with one of each type that is written. */
static void sample(struct buf *out)
{
    size_t at = ttlv_begin(out, TAG);
    ttlv_put_integer(out, INNER, -2);
    ttlv_put_enumeration(out, 0x42005c, 0x1f);
    ttlv_put_text(out, 0x420094, span_str("abc"));
    ttlv_put_bytes(out, 0x4200c2, span_str("12345678"));
    ttlv_end(out, ttlv_begin(out, 0x420079));
    ttlv_end(out, at);
}

static void expect_refused(struct span bytes, const char *says)
{
    struct ttlv item = {0};
    struct err err = {0};
    cr_assert_not(ttlv_parse(bytes, &item, &err), "%s", says);
    cr_assert_eq(err.code, ERR_PROTOCOL);
    cr_assert_str_eq(err.text, says);
    cr_assert_eq(item.tag, 0);
}

/* The examples of section 9.1.2 of the specification. */
Test(ttlv, is_written_as_the_specification_shows)
{
    static const uint8_t integer[] = {0x42, 0, 0x20, 2, 0, 0, 0, 4, 0, 0, 0, 8, 0, 0, 0, 0};
    static const uint8_t enumeration[] = {0x42, 0, 0x20, 5, 0, 0, 0, 4, 0, 0, 0, 0xff, 0, 0, 0, 0};
    static const uint8_t text[] = {0x42, 0,   0x20, 7,   0,   0,   0,   0x0b, 'H', 'e', 'l', 'l',
                                   'o',  ' ', 'W',  'o', 'r', 'l', 'd', 0,    0,   0,   0,   0};
    static const uint8_t bytes[] = {0x42, 0, 0x20, 8, 0, 0, 0, 3, 1, 2, 3, 0, 0, 0, 0, 0};
    static const uint8_t structure[] = {0x42, 0, 0x20, 1, 0, 0,    0, 0x20, 0x42, 0, 4,    5, 0, 0,
                                        0,    4, 0,    0, 0, 0xfe, 0, 0,    0,    0, 0x42, 0, 5, 2,
                                        0,    0, 0,    4, 0, 0,    0, 0xff, 0,    0, 0,    0};
    AUTO(buf) struct buf out = {0};
    ttlv_put_integer(&out, 0x420020, 8);
    cr_assert(span_eq(buf_span(&out), span_of(integer, sizeof(integer))));
    buf_clear(&out);
    ttlv_put_enumeration(&out, 0x420020, 255);
    cr_assert(span_eq(buf_span(&out), span_of(enumeration, sizeof(enumeration))));
    buf_clear(&out);
    ttlv_put_text(&out, 0x420020, span_str("Hello World"));
    cr_assert(span_eq(buf_span(&out), span_of(text, sizeof(text))));
    buf_clear(&out);
    ttlv_put_bytes(&out, 0x420020, span_str("\1\2\3"));
    cr_assert(span_eq(buf_span(&out), span_of(bytes, sizeof(bytes))));
    buf_clear(&out);
    size_t at = ttlv_begin(&out, 0x420020);
    ttlv_put_enumeration(&out, 0x420004, 254);
    ttlv_put_integer(&out, 0x420005, 255);
    ttlv_end(&out, at);
    cr_assert(span_eq(buf_span(&out), span_of(structure, sizeof(structure))));
}

Test(ttlv, is_read_as_it_was_written)
{
    AUTO(buf) struct buf out = {0};
    struct ttlv whole, item;
    struct err err = {0};
    sample(&out);
    cr_assert(ttlv_parse(buf_span(&out), &whole, &err), "%s", err.text);
    cr_assert(whole.tag == TAG && whole.type == TTLV_STRUCTURE);
    cr_assert(ttlv_field(&whole, INNER, TTLV_INTEGER, "x", &item, &err));
    cr_assert_eq((int32_t)ttlv_number(&item), -2);
    cr_assert(ttlv_field(&whole, 0x420094, TTLV_TEXT, "x", &item, &err));
    cr_assert(span_eq(item.value, span_str("abc")));
    cr_assert(ttlv_has(&whole, 0x420079) && !ttlv_has(&whole, 0x42ffff));
    unsigned count = 0;
    for (struct span rest = whole.value; ttlv_next(&rest, &item);)
        count++;
    cr_assert_eq(count, 5);
    size_t len = 0;
    cr_assert(ttlv_message_len(out.data, TAG, &len, &err) && len == out.len);
}

Test(ttlv, names_the_field_that_is_missing_doubled_or_of_another_type)
{
    AUTO(buf) struct buf out = {0};
    struct ttlv whole, item = {0};
    struct err err = {0};
    size_t at = ttlv_begin(&out, TAG);
    ttlv_put_integer(&out, INNER, 1);
    ttlv_put_integer(&out, INNER, 1);
    ttlv_put_integer(&out, 0x420005, 1);
    ttlv_end(&out, at);
    cr_assert(ttlv_parse(buf_span(&out), &whole, &err), "%s", err.text);
    cr_assert_not(ttlv_field(&whole, INNER, TTLV_INTEGER, "the count", &item, &err));
    cr_assert_str_eq(err.text, "the count stands there twice");
    cr_assert_not(ttlv_field(&whole, 0x420005, TTLV_TEXT, "the count", &item, &err));
    cr_assert_str_eq(err.text, "the count is of another type");
    cr_assert_not(ttlv_field(&whole, 0x420006, TTLV_TEXT, "the count", &item, &err));
    cr_assert_str_eq(err.text, "the count is missing");
    cr_assert_eq(item.tag, 0);
}

Test(ttlv, cut_at_any_length_is_refused)
{
    AUTO(buf) struct buf out = {0};
    sample(&out);
    for (size_t len = 0; len < out.len; len++) {
        AUTO(free) uint8_t *exact = malloc(len ? len : 1);
        struct ttlv item;
        struct err err = {0};
        memcpy(exact, out.data, len);
        cr_assert_not(ttlv_parse(span_of(exact, len), &item, &err), "%zu", len);
        cr_assert_eq(err.code, ERR_PROTOCOL);
    }
    buf_put_u64(&out, 0);
    expect_refused(buf_span(&out), "TTLV: more bytes after the item");
}

/* Walks all of it: what was taken has no item that reaches out of it. */
static void walk(struct span value, int depth)
{
    struct ttlv item;
    cr_assert_leq(depth, TTLV_DEPTH_MAX);
    while (ttlv_next(&value, &item))
        if (item.type == TTLV_STRUCTURE) walk(item.value, depth + 1);
    cr_assert_eq(value.len, 0, "an item that was not checked");
}

Test(ttlv, with_any_bit_flipped_is_refused_or_still_whole)
{
    AUTO(buf) struct buf out = {0};
    sample(&out);
    for (size_t bit = 0; bit < out.len * 8; bit++) {
        struct ttlv item;
        struct err err = {0};
        out.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (ttlv_parse(buf_span(&out), &item, &err))
            walk(item.type == TTLV_STRUCTURE ? item.value : span_of(NULL, 0), 1);
        else
            cr_assert_eq(err.code, ERR_PROTOCOL);
        out.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

Test(ttlv, refuses_foreign_tags_types_lengths_and_padding)
{
    static const struct {
        uint8_t bytes[16];
        const char *says;
    } rows[] = {
        {{0x41, 0, 0x20, 2, 0, 0, 0, 4}, "TTLV: 0x410020 is no tag"},
        {{0x42, 0, 0x20, 0, 0, 0, 0, 8}, "TTLV: item 0x420020 is of the unknown type 0"},
        {{0x42, 0, 0x20, 11, 0, 0, 0, 8}, "TTLV: item 0x420020 is of the unknown type 11"},
        {{0x42, 0, 0x20, 2, 0, 0, 0, 8}, "TTLV: item 0x420020 has 8 bytes instead of 4"},
        {{0x42, 0, 0x20, 9, 0, 0, 0, 4}, "TTLV: item 0x420020 has 4 bytes instead of 8"},
        {{0x42, 0, 0x20, 6, 0, 0, 0, 4}, "TTLV: item 0x420020 has 4 bytes instead of 8"},
        {{0x42, 0, 0x20, 2, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 1},
         "TTLV: item 0x420020 is not padded with zeros"},
        {{0x42, 0, 0x20, 8, 0, 0, 0, 9}, "TTLV: item 0x420020 is cut off"},
        {{0x42, 0, 0x20, 8, 0xff, 0xff, 0xff, 0xff}, "TTLV: item 0x420020 is cut off"},
        {{0x42, 0, 0x20, 8, 0xff, 0xff, 0xff, 0xf8}, "TTLV: item 0x420020 is cut off"},
        {{0x42, 0, 0x20, 8, 0, 0, 0, 0}, "TTLV: more bytes after the item"},
        {{0x42, 0, 0x20, 1, 0, 0, 0, 4}, "TTLV: an item is cut off"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        expect_refused(span_of(rows[i].bytes, 16), rows[i].says);
}

Test(ttlv, has_a_limit_of_depth_and_of_length)
{
    AUTO(buf) struct buf out = {0};
    size_t at[TTLV_DEPTH_MAX + 2];
    struct ttlv item;
    struct err err = {0};
    for (int levels = TTLV_DEPTH_MAX; levels <= TTLV_DEPTH_MAX + 1; levels++) {
        buf_clear(&out);
        for (int i = 0; i < levels; i++)
            at[i] = ttlv_begin(&out, TAG);
        for (int i = levels; i > 0; i--)
            ttlv_end(&out, at[i - 1]);
        cr_assert_eq(ttlv_parse(buf_span(&out), &item, &err), levels == TTLV_DEPTH_MAX);
    }
    cr_assert_str_eq(err.text, "TTLV: more than 8 structures in each other");
    buf_clear(&out);
    memset(buf_grow(&out, TTLV_LEN_MAX + 8), 0, TTLV_LEN_MAX + 8);
    expect_refused(buf_span(&out), "TTLV: 65544 bytes are too many");
}

Test(ttlv, tells_how_long_a_message_is_before_it_is_read)
{
    static const struct {
        uint8_t header[8];
        const char *says;
    } rows[] = {
        {{0x42, 0, 0x78, 2, 0, 0, 0, 8}, "TTLV: no message begins with 0x42007802"},
        {{0x42, 0, 0x79, 1, 0, 0, 0, 8}, "TTLV: no message begins with 0x42007901"},
        {{'H', 'T', 'T', 'P', '/', '1', '.', '1'}, "TTLV: no message begins with 0x48545450"},
        {{0x42, 0, 0x78, 1, 0xff, 0xff, 0xff, 0xf8}, "TTLV: a message of 4294967288 bytes"},
        {{0x42, 0, 0x78, 1, 0, 1, 0, 0}, "TTLV: a message of 65536 bytes"},
        {{0x42, 0, 0x78, 1, 0, 0, 0, 4}, "TTLV: a message of 4 bytes"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t len = 7;
        struct err err = {0};
        cr_assert_not(ttlv_message_len(rows[i].header, TAG, &len, &err));
        cr_assert_str_eq(err.text, rows[i].says);
        cr_assert_eq(len, 7);
    }
}
