/* Chunks made smaller before they are sealed: LZ4 blocks, zstd frames, or as they are.
 *
 * The method byte that is stored with a chunk says what was done to this chunk, not what was asked
 * for: what does not get smaller is stored as it is. Compressed bytes come from disks and peers, so
 * decompress takes them as hostile: it writes exactly the length it was told, or fails. */
#ifndef SEALIFT_CHUNK_COMPRESS_H
#define SEALIFT_CHUNK_COMPRESS_H

#include "common/base/auto.h"
#include "common/base/bytes.h"
#include "common/base/err.h"

#include <stddef.h>
#include <stdint.h>

/* Stored with each chunk: these numbers never change. */
enum compress_method {
    COMPRESS_NONE = 0,
    COMPRESS_LZ4 = 1,  /* an LZ4 block */
    COMPRESS_ZSTD = 2, /* one zstd frame, without dictionary */
};

enum {
    COMPRESS_INPUT_MOST = 64 << 20, /* bytes in one call, compressed or not */
    COMPRESS_ZSTD_LEVEL = 3,        /* of "zstd" */
    COMPRESS_ZSTD_LEVEL_MOST = 19,
};

/* What to compress with: the `lz4`, `zstd`, `zstd:LEVEL` and `none` of jobs and command lines. */
struct compress_spec {
    enum compress_method method;
    int level; /* of zstd, 1 to COMPRESS_ZSTD_LEVEL_MOST; else 0 */
};

/* ERR_USAGE names what it does not know. */
bool compress_spec_parse(const char *text, struct compress_spec *out, struct err *err) MUST_CHECK;

/* The state of one worker, reused from chunk to chunk; one thread at a time. About 16 KiB for LZ4,
 * 1 MiB for zstd and up to some tens of MiB at its highest levels. */
struct compressor;

bool compressor_new(const struct compress_spec *spec, struct compressor **out, struct err *err) MUST_CHECK;
void compressor_free(struct compressor *compressor);
DEFINE_AUTO(compressor, struct compressor *, compressor_free)

/* The scratch that compressing `len` bytes needs, whatever the method. */
size_t compress_bound(size_t len);

/* `bytes` is borrowed from the scratch, or is the input itself if the method is COMPRESS_NONE. */
struct compressed {
    enum compress_method method;
    struct span bytes;
};

/* `in` has at most COMPRESS_INPUT_MOST bytes, the scratch at least compress_bound(in.len). What
 * would not get smaller costs little: LZ4 and fast zstd skip through it by themselves, and before
 * the slow levels of zstd two fast passes ask whether there is anything to gain. Fails only for
 * want of memory. */
bool compress_chunk(struct compressor *compressor, struct span in, void *scratch, size_t scratch_size,
                    struct compressed *out, struct err *err) MUST_CHECK;

/* The reading side's state, for every method; one thread at a time. */
struct decompressor;

bool decompressor_new(struct decompressor **out, struct err *err) MUST_CHECK;
void decompressor_free(struct decompressor *decompressor);
DEFINE_AUTO(decompressor, struct decompressor *, decompressor_free)

/* Writes exactly `raw_len` bytes to `out`: a length that the caller has limited before making
 * room. Method, bytes and length are all foreign. ERR_DAMAGED for bytes that do not decompress, or
 * to another length, or are followed by others; `out` may then hold a part. Never reads or writes
 * beyond what it was given. */
bool decompress_chunk(struct decompressor *decompressor, uint8_t method, struct span in, void *out,
                      size_t raw_len, struct err *err) MUST_CHECK;

#endif
