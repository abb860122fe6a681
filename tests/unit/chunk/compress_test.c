#include "common/chunk/compress.h"

#include "common/base/alloc.h"
#include "tests/unit/chunk/sample.h"

#include <criterion/criterion.h>
#include <string.h>

/* What the formats' own command line tools made of eight times "sealift ". */
static const uint8_t golden_zstd[] = {
    0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58, 0x75, 0x00, 0x00, 0x40, 0x73, 0x65,
    0x61, 0x6c, 0x69, 0x66, 0x74, 0x20, 0x01, 0x00, 0xdd, 0x59, 0xb8,
};
static const uint8_t golden_lz4[] = {
    0x8f, 0x73, 0x65, 0x61, 0x6c, 0x69, 0x66, 0x74, 0x20,
    0x08, 0x00, 0x20, 0x50, 0x6c, 0x69, 0x66, 0x74, 0x20,
};

static const char *const specs[] = {"none", "lz4", "zstd", "zstd:1", "zstd:5", "zstd:19"};

static struct compress_spec spec_of(const char *text)
{
    struct compress_spec spec;
    struct err err = {0};

    cr_assert(compress_spec_parse(text, &spec, &err), "%s", err.text);
    return spec;
}

static struct compressor *new_compressor(const char *text)
{
    struct compress_spec spec = spec_of(text);
    struct compressor *compressor = NULL;
    struct err err = {0};

    cr_assert(compressor_new(&spec, &compressor, &err), "%s", err.text);
    return compressor;
}

static struct decompressor *new_decompressor(void)
{
    struct decompressor *decompressor = NULL;
    struct err err = {0};

    cr_assert(decompressor_new(&decompressor, &err), "%s", err.text);
    return decompressor;
}

/* into `scratch`, which is made large enough */
static struct compressed compress(struct compressor *compressor, struct span in, struct buf *scratch)
{
    struct compressed out;
    struct err err = {0};

    buf_clear(scratch);
    (void)buf_grow(scratch, compress_bound(in.len));
    cr_assert(compress_chunk(compressor, in, scratch->data, scratch->len, &out, &err), "%s", err.text);
    return out;
}

/* With guard bytes behind the output, which must stay as they are. */
static bool decompress(struct decompressor *decompressor, uint8_t method, struct span in, size_t raw_len,
                       struct buf *out, struct err *err)
{
    static const uint8_t guard[16] = "guard guard gua";

    buf_clear(out);
    (void)buf_grow(out, raw_len);
    buf_put(out, guard, sizeof(guard));
    bool done = decompress_chunk(decompressor, method, in, out->data, raw_len, err);
    cr_assert(memcmp(out->data + raw_len, guard, sizeof(guard)) == 0, "wrote beyond the end");
    out->len = raw_len;
    return done;
}

static void expect_damaged(struct decompressor *decompressor, uint8_t method, struct span in, size_t raw_len,
                           const char *text)
{
    AUTO(buf) struct buf out = {0};
    struct err err = {0};

    cr_assert_not(decompress(decompressor, method, in, raw_len, &out, &err), "%s", text);
    cr_assert_eq(err.code, ERR_DAMAGED);
    cr_assert_str_eq(err.text, text);
}

static void expect_round_trip(struct compressor *compressor, struct decompressor *decompressor,
                              struct span in, const char *what)
{
    AUTO(buf) struct buf scratch = {0};
    AUTO(buf) struct buf out = {0};
    struct err err = {0};
    struct compressed made = compress(compressor, in, &scratch);

    cr_assert(made.method == COMPRESS_NONE ? made.bytes.len == in.len : made.bytes.len < in.len, "%s", what);
    cr_assert(decompress(decompressor, (uint8_t)made.method, made.bytes, in.len, &out, &err), "%s: %s", what,
              err.text);
    cr_assert(span_eq(buf_span(&out), in), "%s", what);
}

Test(compress_spec, parses_the_names_and_levels)
{
    static const struct {
        const char *text;
        enum compress_method method;
        int level;
    } rows[] = {
        {"none", COMPRESS_NONE, 0},   {"lz4", COMPRESS_LZ4, 0},       {"zstd", COMPRESS_ZSTD, 3},
        {"zstd:1", COMPRESS_ZSTD, 1}, {"zstd:10", COMPRESS_ZSTD, 10}, {"zstd:19", COMPRESS_ZSTD, 19},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct compress_spec spec = spec_of(rows[i].text);
        cr_assert_eq(spec.method, rows[i].method);
        cr_assert_eq(spec.level, rows[i].level);
    }
}

Test(compress_spec, refuses_anything_else_by_name)
{
    static const struct {
        const char *text, *message;
    } rows[] = {
        {"gzip", "unknown compression 'gzip' (lz4, zstd, zstd:1 to zstd:19, none)"},
        {"", "unknown compression '' (lz4, zstd, zstd:1 to zstd:19, none)"},
        {"LZ4", "unknown compression 'LZ4' (lz4, zstd, zstd:1 to zstd:19, none)"},
        {"lz4:9", "unknown compression 'lz4:9' (lz4, zstd, zstd:1 to zstd:19, none)"},
        {"zstd ", "unknown compression 'zstd ' (lz4, zstd, zstd:1 to zstd:19, none)"},
        {"none:1", "unknown compression 'none:1' (lz4, zstd, zstd:1 to zstd:19, none)"},
        {"zstd:", "no such level of zstd: '' (1 to 19)"},
        {"zstd:0", "no such level of zstd: '0' (1 to 19)"},
        {"zstd:03", "no such level of zstd: '03' (1 to 19)"},
        {"zstd:20", "no such level of zstd: '20' (1 to 19)"},
        {"zstd:-1", "no such level of zstd: '-1' (1 to 19)"},
        {"zstd:3x", "no such level of zstd: '3x' (1 to 19)"},
        {"zstd:4294967299", "no such level of zstd: '4294967299' (1 to 19)"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct compress_spec spec = {.method = COMPRESS_LZ4, .level = 77};
        struct err err = {0};
        cr_assert_not(compress_spec_parse(rows[i].text, &spec, &err), "%s", rows[i].text);
        cr_assert_eq(err.code, ERR_USAGE);
        cr_assert_str_eq(err.text, rows[i].message);
        cr_assert(spec.method == COMPRESS_LZ4 && spec.level == 77);
    }
}

Test(compress, every_method_gives_back_what_it_took)
{
    static const size_t lengths[] = {0, 1, 2, 12, 13, 64, 1000, 65536, 65537, 1 << 20};
    AUTO(decompressor) struct decompressor *decompressor = new_decompressor();
    AUTO(free) uint8_t *bytes = xmalloc(1 << 20);

    for (size_t s = 0; s < sizeof(specs) / sizeof(specs[0]); s++) {
        AUTO(compressor) struct compressor *compressor = new_compressor(specs[s]);
        for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
            struct span in = span_of(bytes, lengths[i]);
            sample_noise(bytes, in.len, 21);
            expect_round_trip(compressor, decompressor, in, "noise");
            sample_words(bytes, in.len, 22);
            expect_round_trip(compressor, decompressor, in, "words");
            sample_nibbles(bytes, in.len, 23);
            expect_round_trip(compressor, decompressor, in, "nibbles");
            memset(bytes, 0, in.len);
            expect_round_trip(compressor, decompressor, in, "zeros");
        }
    }
}

Test(compress, what_gets_smaller_is_told_by_its_method)
{
    AUTO(free) uint8_t *bytes = xmalloc(65536);
    AUTO(buf) struct buf scratch = {0};

    sample_words(bytes, 65536, 24);
    for (size_t s = 0; s < sizeof(specs) / sizeof(specs[0]); s++) {
        AUTO(compressor) struct compressor *compressor = new_compressor(specs[s]);
        struct compressed made = compress(compressor, span_of(bytes, 65536), &scratch);
        cr_assert_eq(made.method, spec_of(specs[s]).method);
        cr_assert(made.method == COMPRESS_NONE || made.bytes.len < 65536 / 2);
    }
}

Test(compress, what_does_not_get_smaller_is_stored_as_it_is)
{
    static const size_t lengths[] = {0, 1, 2, 5, 100, 4096, 1 << 20};
    AUTO(free) uint8_t *bytes = xmalloc(1 << 20);
    AUTO(buf) struct buf scratch = {0};

    sample_noise(bytes, 1 << 20, 25);
    for (size_t s = 0; s < sizeof(specs) / sizeof(specs[0]); s++) {
        AUTO(compressor) struct compressor *compressor = new_compressor(specs[s]);
        for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
            struct compressed made = compress(compressor, span_of(bytes, lengths[i]), &scratch);
            cr_assert_eq(made.method, COMPRESS_NONE, "%s, %zu bytes", specs[s], lengths[i]);
            cr_assert(made.bytes.data == bytes && made.bytes.len == lengths[i]);
        }
    }
}

Test(compress, slow_levels_still_find_bytes_without_repeats)
{
    AUTO(compressor) struct compressor *compressor = new_compressor("zstd:9");
    AUTO(free) uint8_t *bytes = xmalloc(1 << 18);
    AUTO(buf) struct buf scratch = {0};

    sample_nibbles(bytes, 1 << 18, 26);
    struct compressed made = compress(compressor, span_of(bytes, 1 << 18), &scratch);
    cr_assert_eq(made.method, COMPRESS_ZSTD);
    cr_assert(made.bytes.len < 160000, "%zu", made.bytes.len);
}

/* The probe changes the level and must put it back. */
Test(compress, a_chunk_compresses_alike_whatever_came_before_it)
{
    AUTO(free) uint8_t *noise = xmalloc(1 << 18);
    AUTO(free) uint8_t *words = xmalloc(1 << 18);
    AUTO(buf) struct buf first = {0};
    AUTO(buf) struct buf again = {0};

    sample_noise(noise, 1 << 18, 27);
    sample_words(words, 1 << 18, 28);
    for (size_t s = 0; s < sizeof(specs) / sizeof(specs[0]); s++) {
        AUTO(compressor) struct compressor *compressor = new_compressor(specs[s]);
        struct compressed one = compress(compressor, span_of(words, 1 << 18), &first);
        (void)compress(compressor, span_of(noise, 1 << 18), &again);
        struct compressed two = compress(compressor, span_of(words, 1 << 18), &again);
        cr_assert(one.method == two.method && span_eq(one.bytes, two.bytes), "%s", specs[s]);
    }
}

Test(decompress, reads_what_other_tools_wrote)
{
    AUTO(decompressor) struct decompressor *decompressor = new_decompressor();
    AUTO(buf) struct buf out = {0};
    struct err err = {0};
    const char *want = "sealift sealift sealift sealift sealift sealift sealift sealift ";

    cr_assert(decompress(decompressor, 2, span_of(golden_zstd, sizeof(golden_zstd)), 64, &out, &err), "%s",
              err.text);
    cr_assert(span_eq(buf_span(&out), span_str(want)));
    cr_assert(decompress(decompressor, 1, span_of(golden_lz4, sizeof(golden_lz4)), 64, &out, &err), "%s",
              err.text);
    cr_assert(span_eq(buf_span(&out), span_str(want)));
    cr_assert(decompress(decompressor, 0, span_str(want), 64, &out, &err), "%s", err.text);
    cr_assert(span_eq(buf_span(&out), span_str(want)));
}

Test(decompress, refuses_any_other_length_than_the_true_one)
{
    static const size_t wrong[] = {0, 1, 24, 63, 65, 128, 100000};
    AUTO(decompressor) struct decompressor *decompressor = new_decompressor();
    struct span inputs[3] = {span_str("0123456789012345678901234567890123456789012345678901234567890123"),
                             span_of(golden_lz4, sizeof(golden_lz4)),
                             span_of(golden_zstd, sizeof(golden_zstd))};

    for (uint8_t method = 0; method <= 2; method++)
        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
            AUTO(buf) struct buf out = {0};
            struct err err = {0};
            cr_assert_not(decompress(decompressor, method, inputs[method], wrong[i], &out, &err), "%u to %zu",
                          method, wrong[i]);
            cr_assert_eq(err.code, ERR_DAMAGED);
        }
}

Test(decompress, errors_say_what_is_wrong)
{
    AUTO(decompressor) struct decompressor *decompressor = new_decompressor();
    struct span zstd = span_of(golden_zstd, sizeof(golden_zstd));
    struct span lz4 = span_of(golden_lz4, sizeof(golden_lz4));

    expect_damaged(decompressor, 3, zstd, 64, "chunk has the unknown compression 3");
    expect_damaged(decompressor, 255, span_of(NULL, 0), 0, "chunk has the unknown compression 255");
    expect_damaged(decompressor, 0, zstd, 64, "stored chunk has 23 bytes where 64 are due");
    expect_damaged(decompressor, 1, lz4, 65, "chunk does not decompress as lz4 to 65 bytes");
    expect_damaged(decompressor, 2, zstd, 65, "chunk does not decompress as zstd to 65 bytes");
    expect_damaged(decompressor, 2, lz4, 64, "chunk is not one zstd frame");
    expect_damaged(decompressor, 2, zstd, 23, "chunk of 23 bytes is said to be compressed to 23");
    expect_damaged(decompressor, 1, span_of(NULL, 0), 0, "chunk of 0 bytes is said to be compressed to 0");
}

Test(decompress, refuses_lengths_beyond_any_chunk_before_it_looks)
{
    AUTO(decompressor) struct decompressor *decompressor = new_decompressor();
    struct err err = {0};

    for (uint8_t method = 0; method <= 2; method++) {
        cr_assert_not(decompress_chunk(decompressor, method, span_of(golden_zstd, sizeof(golden_zstd)), NULL,
                                       COMPRESS_INPUT_MOST + 1, &err));
        cr_assert_eq(err.code, ERR_DAMAGED);
        cr_assert_not(
            decompress_chunk(decompressor, method, span_of(NULL, COMPRESS_INPUT_MOST + 1), NULL, 64, &err));
        cr_assert_str_eq(err.text, "chunk is larger than any chunk");
    }
}

Test(decompress, refuses_every_truncation)
{
    AUTO(decompressor) struct decompressor *decompressor = new_decompressor();
    AUTO(free) uint8_t *bytes = xmalloc(3000);
    AUTO(buf) struct buf scratch = {0};
    AUTO(buf) struct buf out = {0};
    struct err err = {0};

    sample_words(bytes, 3000, 29);
    for (size_t s = 0; s < sizeof(specs) / sizeof(specs[0]); s++) {
        AUTO(compressor) struct compressor *compressor = new_compressor(specs[s]);
        struct compressed made = compress(compressor, span_of(bytes, 3000), &scratch);
        for (size_t len = 0; len < made.bytes.len; len++) {
            /* its own allocation, so that the sanitizer sees a read past the end */
            AUTO(free) uint8_t *cut = xmalloc(len + !len);
            if (len) memcpy(cut, made.bytes.data, len);
            cr_assert_not(decompress(decompressor, (uint8_t)made.method, span_of(cut, len), 3000, &out, &err),
                          "%s at %zu", specs[s], len);
            cr_assert_eq(err.code, ERR_DAMAGED);
        }
    }
}

Test(decompress, survives_every_flipped_bit)
{
    AUTO(decompressor) struct decompressor *decompressor = new_decompressor();
    AUTO(free) uint8_t *bytes = xmalloc(1500);
    AUTO(buf) struct buf scratch = {0};
    AUTO(buf) struct buf out = {0};
    struct err err = {0};

    sample_words(bytes, 1500, 30);
    for (size_t s = 1; s < sizeof(specs) / sizeof(specs[0]); s++) {
        AUTO(compressor) struct compressor *compressor = new_compressor(specs[s]);
        struct compressed made = compress(compressor, span_of(bytes, 1500), &scratch);
        size_t refused = 0;
        for (size_t bit = 0; bit < 8 * made.bytes.len; bit++) {
            scratch.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
            /* the seal around it is what notices changed contents; here lengths are at stake */
            if (!decompress(decompressor, (uint8_t)made.method, made.bytes, 1500, &out, &err)) {
                cr_assert_eq(err.code, ERR_DAMAGED);
                refused++;
            }
            scratch.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        cr_assert(refused > 0, "%s", specs[s]);
        cr_assert(decompress(decompressor, (uint8_t)made.method, made.bytes, 1500, &out, &err), "%s",
                  err.text);
    }
}

Test(decompress, refuses_bytes_after_the_end)
{
    static const uint8_t skippable[] = {0x50, 0x2a, 0x4d, 0x18, 0x00, 0x00, 0x00, 0x00};
    AUTO(decompressor) struct decompressor *decompressor = new_decompressor();
    AUTO(buf) struct buf in = {0};

    buf_put(&in, golden_zstd, sizeof(golden_zstd));
    buf_put_u8(&in, 0);
    expect_damaged(decompressor, 2, buf_span(&in), 64, "chunk is not one zstd frame");

    buf_clear(&in);
    buf_put(&in, golden_zstd, sizeof(golden_zstd));
    buf_put(&in, golden_zstd, sizeof(golden_zstd));
    expect_damaged(decompressor, 2, buf_span(&in), 128, "chunk is not one zstd frame");

    buf_clear(&in);
    buf_put(&in, skippable, sizeof(skippable));
    buf_put(&in, golden_zstd, sizeof(golden_zstd));
    expect_damaged(decompressor, 2, buf_span(&in), 64, "chunk is not one zstd frame");

    expect_damaged(decompressor, 2, span_of(skippable, sizeof(skippable)), 64, "chunk is not one zstd frame");

    buf_clear(&in);
    buf_put(&in, golden_lz4, sizeof(golden_lz4));
    buf_put_u8(&in, 0);
    expect_damaged(decompressor, 1, buf_span(&in), 64, "chunk does not decompress as lz4 to 64 bytes");
}
