#include "common/base/bytes.h"

#include <criterion/criterion.h>
#include <string.h>

Test(bytes, spans_compare_by_content)
{
    cr_assert(span_eq(span_str("abc"), span_of("abcd", 3)));
    cr_assert(!span_eq(span_str("abc"), span_str("abd")));
    cr_assert(!span_eq(span_str("abc"), span_str("ab")));
    cr_assert(span_eq(span_of(NULL, 0), span_str("")));
}

Test(bytes, order_is_bytewise_and_a_prefix_comes_first)
{
    cr_assert_lt(span_cmp(span_str("ab"), span_str("abc")), 0);
    cr_assert_gt(span_cmp(span_str("b"), span_str("abc")), 0);
    cr_assert_eq(span_cmp(span_str("abc"), span_str("abc")), 0);
    cr_assert_gt(span_cmp(span_str("\xff"), span_str("\x01")), 0);
    cr_assert_eq(span_cmp(span_of(NULL, 0), span_of(NULL, 0)), 0);
    cr_assert_lt(span_cmp(span_of(NULL, 0), span_str("a")), 0);
}

Test(bytes, integers_are_little_endian)
{
    static const uint8_t golden[] = {0x01, 0x03, 0x02, 0x07, 0x06, 0x05, 0x04, 0x0f,
                                     0x0e, 0x0d, 0x0c, 0x0b, 0x0a, 0x09, 0x88};
    AUTO(buf) struct buf buf = {0};
    buf_put_u8(&buf, 0x01);
    buf_put_u16(&buf, 0x0203);
    buf_put_u32(&buf, 0x04050607);
    buf_put_u64(&buf, UINT64_C(0x88090a0b0c0d0e0f));
    cr_assert(span_eq(buf_span(&buf), span_of(golden, sizeof(golden))));

    struct reader reader = reader_of(buf_span(&buf));
    cr_assert_eq(reader_u8(&reader), 0x01);
    cr_assert_eq(reader_u16(&reader), 0x0203);
    cr_assert_eq(reader_u32(&reader), 0x04050607);
    cr_assert_eq(reader_u64(&reader), UINT64_C(0x88090a0b0c0d0e0f));
    cr_assert(reader_done(&reader));
}

/* Reads the structure {u8, u16, u32, u64, 3 bytes, 2 bytes copied}. */
static bool read_all(struct span bytes)
{
    uint8_t copy[2];
    struct reader reader = reader_of(bytes);
    (void)reader_u8(&reader);
    (void)reader_u16(&reader);
    (void)reader_u32(&reader);
    (void)reader_u64(&reader);
    (void)reader_bytes(&reader, 3);
    reader_copy(&reader, copy, sizeof(copy));
    return reader_done(&reader);
}

Test(bytes, a_structure_cut_at_any_length_fails)
{
    for (size_t len = 0; len <= 21; len++) {
        /* exact size on the heap, so that a read past the end is seen by the sanitizer */
        uint8_t *bytes = calloc(len ? len : 1, 1);
        cr_assert_eq(read_all(span_of(bytes, len)), len == 20, "length %zu", len);
        free(bytes);
    }
}

Test(bytes, after_one_failed_read_everything_fails_and_yields_zeros)
{
    struct reader reader = reader_of(span_str("\x01\x02\x03\x04"));
    cr_assert_eq(reader_u64(&reader), 0);
    cr_assert(!reader_ok(&reader));
    cr_assert_eq(reader_u8(&reader), 0, "the bytes that are there must not be read as another field");
    cr_assert_eq(reader_bytes(&reader, 1).len, 0);
    uint8_t copy[2] = {9, 9};
    reader_copy(&reader, copy, 2);
    cr_assert_eq(copy[0] | copy[1], 0);
    cr_assert(!reader_done(&reader));
}

Test(bytes, a_length_near_the_end_of_memory_does_not_wrap)
{
    struct reader reader = reader_of(span_str("abcd"));
    (void)reader_u8(&reader);
    cr_assert_eq(reader_bytes(&reader, SIZE_MAX).len, 0);
    cr_assert(!reader_ok(&reader));
}

Test(bytes, nothing_can_be_read_from_nothing)
{
    struct reader reader = reader_of(span_of(NULL, 0));
    cr_assert_eq(reader_bytes(&reader, 0).len, 0);
    cr_assert(reader_done(&reader));
    cr_assert_eq(reader_u8(&reader), 0);
    cr_assert(!reader_ok(&reader));
}

Test(bytes, left_counts_what_is_not_read)
{
    struct reader reader = reader_of(span_str("abcd"));
    (void)reader_u8(&reader);
    cr_assert_eq(reader_left(&reader), 3);
    cr_assert(!reader_done(&reader));
}

Test(bytes, a_buffer_grows_and_keeps_its_content)
{
    AUTO(buf) struct buf buf = {0};
    for (unsigned i = 0; i < 10000; i++)
        buf_put_u32(&buf, i);
    cr_assert_eq(buf.len, 40000);
    for (unsigned i = 0; i < 10000; i++)
        cr_assert_eq(le32_get(buf.data + 4 * (size_t)i), i);
}

Test(bytes, empty_puts_change_nothing)
{
    AUTO(buf) struct buf buf = {0};
    buf_put(&buf, NULL, 0);
    buf_put_span(&buf, span_of(NULL, 0));
    buf_put_str(&buf, "");
    buf_printf(&buf, "%s", "");
    cr_assert_eq(buf.len, 0);
    cr_assert_str_empty(buf_cstr(&buf));
}

Test(bytes, text_is_formatted_behind_what_is_there)
{
    AUTO(buf) struct buf buf = {0};
    buf_put_str(&buf, "run ");
    buf_printf(&buf, "%d of %s", 3, "nine");
    cr_assert_str_eq(buf_cstr(&buf), "run 3 of nine");
    cr_assert_eq(buf.len, strlen("run 3 of nine"));
    for (int i = 0; i < 100; i++)
        buf_printf(&buf, "%08d", i);
    cr_assert_eq(buf.len, strlen("run 3 of nine") + 800);
}

Test(bytes, clear_keeps_the_room)
{
    AUTO(buf) struct buf buf = {0};
    buf_put_str(&buf, "abc");
    size_t cap = buf.cap;
    buf_clear(&buf);
    cr_assert_eq(buf.len, 0);
    cr_assert_eq(buf.cap, cap);
}

Test(bytes, checked_arithmetic_refuses_overflow_and_leaves_the_output)
{
    uint64_t out = 77;
    cr_assert(!add_u64(UINT64_MAX, 1, &out));
    cr_assert(!mul_u64(UINT64_C(1) << 32, UINT64_C(1) << 32, &out));
    cr_assert_eq(out, 77);
    cr_assert(add_u64(UINT64_MAX - 1, 1, &out));
    cr_assert_eq(out, UINT64_MAX);
    cr_assert(mul_u64(UINT64_MAX, 1, &out));
    cr_assert_eq(out, UINT64_MAX);
}
