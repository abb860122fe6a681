#include "transporter/pipeline/raw_batch.h"

#include <criterion/criterion.h>
#include <string.h>

static const uint8_t golden[RAW_CHUNK_HEADER_LEN + 3] = {
    1,    1,    0,    0,    0x10, 0x27, 0,    0,    3,    0,    0,    0,    0xaa, 0xaa, 0xaa, 0xaa,
    0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa,
    0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 'a',  'b',  'c',
};

static struct raw_chunk golden_chunk(void)
{
    struct raw_chunk chunk = {
        .type = FRAME_DATA, .compression = 1, .raw_len = 10000, .stored = span_of("abc", 3)};
    memset(chunk.content.bytes, 0xaa, HASH_LEN);
    return chunk;
}

static bool next(const uint8_t *bytes, size_t len, struct raw_chunk *chunk, bool *found, struct err *err)
{
    struct reader reader = reader_of(span_of(bytes, len));
    return raw_chunk_next(&reader, chunk, found, err);
}

Test(raw_batch, header_has_the_documented_bytes)
{
    struct raw_chunk chunk = golden_chunk();
    uint8_t header[RAW_CHUNK_HEADER_LEN];
    raw_chunk_header(&chunk, header);
    cr_assert_arr_eq(header, golden, sizeof(header));
}

Test(raw_batch, chunks_are_read_back_one_after_the_other)
{
    uint8_t two[2 * sizeof(golden)];
    memcpy(two, golden, sizeof(golden));
    memcpy(two + sizeof(golden), golden, sizeof(golden));
    two[sizeof(golden)] = FRAME_NODE;
    struct reader reader = reader_of(span_of(two, sizeof(two)));
    struct raw_chunk chunk;
    bool found;
    struct err err = {0};
    cr_assert(raw_chunk_next(&reader, &chunk, &found, &err) && found);
    cr_assert(chunk.type == FRAME_DATA && chunk.compression == 1 && chunk.raw_len == 10000);
    cr_assert(span_eq(chunk.stored, span_str("abc")));
    cr_assert(raw_chunk_next(&reader, &chunk, &found, &err) && found && chunk.type == FRAME_NODE);
    cr_assert(raw_chunk_next(&reader, &chunk, &found, &err) && !found);
}

Test(raw_batch, truncation_at_every_length_is_refused)
{
    for (size_t len = 1; len < sizeof(golden); len++) {
        struct raw_chunk chunk;
        bool found = false;
        struct err err = {0};
        cr_assert_not(next(golden, len, &chunk, &found, &err), "length %zu", len);
        cr_assert_eq(err.code, ERR_PROTOCOL);
        cr_assert_not(found);
    }
}

/* Of the header only the content hash may have any bits. */
Test(raw_batch, a_flipped_bit_is_refused_or_changes_a_length_or_hash_only)
{
    for (size_t bit = 0; bit < 12 * 8; bit++) {
        uint8_t bytes[sizeof(golden)];
        memcpy(bytes, golden, sizeof(golden));
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        struct raw_chunk chunk;
        bool found = false;
        struct err err = {0};
        if (!next(bytes, sizeof(bytes), &chunk, &found, &err)) {
            cr_assert_eq(err.code, ERR_PROTOCOL);
            continue;
        }
        cr_assert(bit / 8 == 1 || bit / 8 >= 4, "bit %zu passed", bit);
        cr_assert(chunk.raw_len <= FRAME_MAX_RAW_DATA && chunk.stored.len <= 3);
    }
}

static void assert_refused(struct raw_chunk chunk, size_t have, const char *why)
{
    AUTO(buf) struct buf bytes = {0};
    raw_chunk_header(&chunk, buf_grow(&bytes, RAW_CHUNK_HEADER_LEN));
    memset(buf_grow(&bytes, have), 'x', have);
    struct raw_chunk out;
    bool found = false;
    struct err err = {0};
    cr_assert_not(next(bytes.data, bytes.len, &out, &found, &err), "%s", why);
    cr_assert_eq(err.code, ERR_PROTOCOL, "%s", why);
}

Test(raw_batch, lengths_that_no_writer_sends_are_refused)
{
    struct raw_chunk chunk = golden_chunk();
    chunk.raw_len = 0;
    assert_refused(chunk, 3, "an empty chunk");
    chunk.raw_len = FRAME_MAX_RAW_DATA + 1;
    assert_refused(chunk, 3, "a chunk that is too large");
    chunk.type = FRAME_NODE;
    chunk.raw_len = FRAME_MAX_RAW_NODE + 1;
    assert_refused(chunk, 3, "a node that is too large");
    chunk = golden_chunk();
    chunk.raw_len = 3;
    assert_refused(chunk, 3, "compression that did not help");
    chunk.compression = 0;
    chunk.raw_len = 4;
    assert_refused(chunk, 3, "stored as it is, with another length");
    chunk = golden_chunk();
    chunk.stored.len = 0;
    assert_refused(chunk, 0, "nothing stored");
}
