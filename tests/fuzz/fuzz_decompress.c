/* The first byte is the method, the next three the raw length (little-endian), the rest what is
 * said to be compressed. What does decompress must compress and decompress again to itself. */
#include "common/base/alloc.h"
#include "common/chunk/compress.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RAW_MOST = 4 << 20 };

static void check(bool holds)
{
    if (!holds) abort();
}

static void check_round_trip(struct decompressor *decompressor, enum compress_method method, struct span raw)
{
    struct compress_spec spec = {.method = method, .level = method == COMPRESS_ZSTD ? 1 : 0};
    AUTO(compressor) struct compressor *compressor = NULL;
    AUTO(free) uint8_t *scratch = xmalloc(compress_bound(raw.len));
    AUTO(free) uint8_t *again = xmalloc(raw.len + 1);
    struct compressed made;
    struct err err = {0};

    check(compressor_new(&spec, &compressor, &err));
    check(compress_chunk(compressor, raw, scratch, compress_bound(raw.len), &made, &err));
    check(decompress_chunk(decompressor, (uint8_t)made.method, made.bytes, again, raw.len, &err));
    check(span_eq(raw, span_of(again, raw.len)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader reader = reader_of(span_of(data, size));
    uint8_t method = reader_u8(&reader);
    size_t raw_len = reader_u16(&reader);
    struct err err = {0};

    raw_len |= (size_t)reader_u8(&reader) << 16;
    if (!reader_ok(&reader) || raw_len > RAW_MOST) return 0;

    AUTO(decompressor) struct decompressor *decompressor = NULL;
    AUTO(free) uint8_t *raw = xmalloc(raw_len + !raw_len); /* no byte to spare: the sanitizer watches */
    check(decompressor_new(&decompressor, &err));
    struct span in = reader_bytes(&reader, reader_left(&reader));
    if (decompress_chunk(decompressor, method, in, raw, raw_len, &err))
        check_round_trip(decompressor, (enum compress_method)method, span_of(raw, raw_len));
    else
        check(err.code == ERR_DAMAGED);
    return 0;
}
