#include "common/chunk/compress.h"

#include "common/base/alloc.h"

#include <assert.h>
#include <lz4.h>
#include <string.h>
#include <zstd.h>

enum {
    SLOW_LEVEL = 5,        /* zstd levels from here on stop skipping what does not compress */
    PROBE_ACCELERATION = 8 /* of LZ4 */
};

struct compressor {
    struct compress_spec spec;
    void *lz4;       /* for lz4, and the probe of slow zstd levels */
    ZSTD_CCtx *zstd; /* NULL unless the method is zstd */
};

struct decompressor {
    ZSTD_DCtx *zstd;
};

static bool parse_level(const char *text, int *out, struct err *err)
{
    size_t digits = strspn(text, "0123456789");
    int level = 0;

    for (size_t i = 0; i < digits && digits <= 2; i++)
        level = 10 * level + (text[i] - '0');
    if (text[digits] != 0 || text[0] == '0' || level < 1 || level > COMPRESS_ZSTD_LEVEL_MOST)
        return err_set(err, ERR_USAGE, "no such level of zstd: '%s' (1 to %d)", text,
                       COMPRESS_ZSTD_LEVEL_MOST);
    *out = level;
    return true;
}

bool compress_spec_parse(const char *text, struct compress_spec *out, struct err *err)
{
    struct compress_spec spec = {.method = COMPRESS_NONE};

    if (strcmp(text, "lz4") == 0) {
        spec.method = COMPRESS_LZ4;
    } else if (strcmp(text, "zstd") == 0) {
        spec = (struct compress_spec){.method = COMPRESS_ZSTD, .level = COMPRESS_ZSTD_LEVEL};
    } else if (strncmp(text, "zstd:", 5) == 0) {
        spec.method = COMPRESS_ZSTD;
        if (!parse_level(text + 5, &spec.level, err)) return false;
    } else if (strcmp(text, "none") != 0) {
        return err_set(err, ERR_USAGE, "unknown compression '%s' (lz4, zstd, zstd:1 to zstd:%d, none)", text,
                       COMPRESS_ZSTD_LEVEL_MOST);
    }
    *out = spec;
    return true;
}

static bool set_parameter(ZSTD_CCtx *zstd, ZSTD_cParameter parameter, int value, struct err *err)
{
    size_t rc = ZSTD_CCtx_setParameter(zstd, parameter, value);

    return ZSTD_isError(rc) ? err_set(err, ERR_FAILED, "cannot set up zstd: %s", ZSTD_getErrorName(rc))
                            : true;
}

bool compressor_new(const struct compress_spec *spec, struct compressor **out, struct err *err)
{
    AUTO(compressor) struct compressor *compressor = xcalloc(1, sizeof(*compressor));

    compressor->spec = *spec;
    if (spec->method != COMPRESS_NONE) compressor->lz4 = xmalloc((size_t)LZ4_sizeofState());
    if (spec->method == COMPRESS_ZSTD) {
        compressor->zstd = ZSTD_createCCtx();
        if (!compressor->zstd) return err_set(err, ERR_FAILED, "no memory for zstd");
        /* the sealed frame around it has the length and its own authentication */
        if (!set_parameter(compressor->zstd, ZSTD_c_contentSizeFlag, 0, err) ||
            !set_parameter(compressor->zstd, ZSTD_c_checksumFlag, 0, err) ||
            !set_parameter(compressor->zstd, ZSTD_c_compressionLevel, spec->level, err))
            return false;
    }
    *out = compressor;
    compressor = NULL;
    return true;
}

void compressor_free(struct compressor *compressor)
{
    if (!compressor) return;
    free(compressor->lz4);
    (void)ZSTD_freeCCtx(compressor->zstd);
    free(compressor);
}

size_t compress_bound(size_t len)
{
    assert(len <= COMPRESS_INPUT_MOST);
    size_t lz4 = (size_t)LZ4_compressBound((int)len);
    size_t zstd = ZSTD_compressBound(len);

    return lz4 > zstd ? lz4 : zstd;
}

/* The compressed length, 0 if it would not be below that of the input. */
static size_t lz4_length(struct compressor *compressor, struct span in, void *scratch, int acceleration)
{
    /* one byte less than the input is room enough, and lets LZ4 give up early */
    return (size_t)LZ4_compress_fast_extState(compressor->lz4, (const char *)in.data, scratch, (int)in.len,
                                              (int)in.len - 1, acceleration);
}

static bool zstd_length(struct compressor *compressor, struct span in, void *scratch, size_t scratch_size,
                        size_t *out, struct err *err)
{
    size_t len = ZSTD_compress2(compressor->zstd, scratch, scratch_size, in.data, in.len);

    if (ZSTD_isError(len)) return err_set(err, ERR_FAILED, "cannot compress: %s", ZSTD_getErrorName(len));
    *out = len < in.len ? len : 0;
    return true;
}

/* Slow levels spend their full time on encrypted files and films. A fast LZ4 pass finds repeats, a
 * zstd pass at level 1 finds skewed bytes; both run through hopeless data at several GB/s. The
 * order of the passes, and that they are worth it, is OpenZFS's finding ("zstd early abort"). */
static bool worth_slow_level(struct compressor *compressor, struct span in, void *scratch,
                             size_t scratch_size, bool *out, struct err *err)
{
    if (lz4_length(compressor, in, scratch, PROBE_ACCELERATION) > 0) {
        *out = true;
        return true;
    }
    size_t fast = 0;
    if (!set_parameter(compressor->zstd, ZSTD_c_compressionLevel, 1, err) ||
        !zstd_length(compressor, in, scratch, scratch_size, &fast, err) ||
        !set_parameter(compressor->zstd, ZSTD_c_compressionLevel, compressor->spec.level, err))
        return false;
    *out = fast > 0;
    return true;
}

bool compress_chunk(struct compressor *compressor, struct span in, void *scratch, size_t scratch_size,
                    struct compressed *out, struct err *err)
{
    enum compress_method method = in.len > 1 ? compressor->spec.method : COMPRESS_NONE;
    size_t len = 0;
    bool worth = true;

    assert(scratch_size >= compress_bound(in.len));
    switch (method) {
    case COMPRESS_NONE:
        break;
    case COMPRESS_LZ4:
        len = lz4_length(compressor, in, scratch, 1);
        break;
    case COMPRESS_ZSTD:
        if (compressor->spec.level >= SLOW_LEVEL &&
            !worth_slow_level(compressor, in, scratch, scratch_size, &worth, err))
            return false;
        if (worth && !zstd_length(compressor, in, scratch, scratch_size, &len, err)) return false;
        break;
    }
    *out = len > 0 ? (struct compressed){.method = method, .bytes = span_of(scratch, len)}
                   : (struct compressed){.method = COMPRESS_NONE, .bytes = in};
    return true;
}

bool decompressor_new(struct decompressor **out, struct err *err)
{
    AUTO(decompressor) struct decompressor *decompressor = xcalloc(1, sizeof(*decompressor));

    decompressor->zstd = ZSTD_createDCtx();
    if (!decompressor->zstd) return err_set(err, ERR_FAILED, "no memory for zstd");
    *out = decompressor;
    decompressor = NULL;
    return true;
}

void decompressor_free(struct decompressor *decompressor)
{
    if (!decompressor) return;
    (void)ZSTD_freeDCtx(decompressor->zstd);
    free(decompressor);
}

static bool copy_stored(struct span in, void *out, size_t raw_len, struct err *err)
{
    if (in.len != raw_len)
        return err_set(err, ERR_DAMAGED, "stored chunk has %zu bytes where %zu are due", in.len, raw_len);
    if (raw_len > 0) memcpy(out, in.data, raw_len);
    return true;
}

static bool lz4_decompress(struct span in, void *out, size_t raw_len, struct err *err)
{
    int len = LZ4_decompress_safe((const char *)in.data, out, (int)in.len, (int)raw_len);

    if (len < 0 || (size_t)len != raw_len)
        return err_set(err, ERR_DAMAGED, "chunk does not decompress as lz4 to %zu bytes", raw_len);
    return true;
}

/* zstd would also take several frames in a row, frames to skip, and formats of its past. */
static bool is_one_frame(struct span in)
{
    return in.len >= 4 && le32_get(in.data) == ZSTD_MAGICNUMBER &&
           ZSTD_findFrameCompressedSize(in.data, in.len) == in.len;
}

static bool zstd_decompress(struct decompressor *decompressor, struct span in, void *out, size_t raw_len,
                            struct err *err)
{
    if (!is_one_frame(in)) return err_set(err, ERR_DAMAGED, "chunk is not one zstd frame");

    size_t len = ZSTD_decompressDCtx(decompressor->zstd, out, raw_len, in.data, in.len);
    if (ZSTD_isError(len) || len != raw_len)
        return err_set(err, ERR_DAMAGED, "chunk does not decompress as zstd to %zu bytes", raw_len);
    return true;
}

bool decompress_chunk(struct decompressor *decompressor, uint8_t method, struct span in, void *out,
                      size_t raw_len, struct err *err)
{
    if (method > COMPRESS_ZSTD)
        return err_set(err, ERR_DAMAGED, "chunk has the unknown compression %u", method);
    if (in.len > COMPRESS_INPUT_MOST || raw_len > COMPRESS_INPUT_MOST)
        return err_set(err, ERR_DAMAGED, "chunk is larger than any chunk");
    if (method == COMPRESS_NONE) return copy_stored(in, out, raw_len, err);
    /* whoever compresses stores what does not get smaller, above all nothing, as it is */
    if (in.len >= raw_len)
        return err_set(err, ERR_DAMAGED, "chunk of %zu bytes is said to be compressed to %zu", raw_len,
                       in.len);
    return method == COMPRESS_LZ4 ? lz4_decompress(in, out, raw_len, err)
                                  : zstd_decompress(decompressor, in, out, raw_len, err);
}
