#include "transporter/pipeline/image_cutter.h"

#include "common/base/alloc.h"
#include "common/chunk/chunker.h"

#include <assert.h>
#include <string.h>

enum {
    STEP = 4 * IMAGE_GRANULE, /* read at once: stays in the processor's cache */
    CHUNK_ROOM = 1024 * 1024, /* enough for most chunks; a buffer grows for the others */
    SAMPLE = 16,              /* bytes that tell most granules with data */
};

struct image_cutter {
    const struct image_reader *reader;
    struct image_extents *extents;
    struct attempt *attempt;
    struct packer *packer;
    struct chunker chunker;
    struct extent extent; /* the one read from last */
    struct buf chunk;     /* the chunk at hand */
    uint64_t hole;        /* zeros before it, not among the references yet */
    struct buf *refs;
    uint8_t step[STEP];
};

bool image_cutter_new(struct attempt *attempt, struct image_extents *extents, struct image_cutter **out,
                      struct err *err)
{
    AUTO(image_cutter) struct image_cutter *cutter = xcalloc(1, sizeof(*cutter));
    cutter->reader = extents->reader;
    cutter->extents = extents;
    cutter->attempt = attempt;
    if (!chunker_init(&cutter->chunker, &chunker_images, err)) return false;
    if (!packer_new(attempt->sealing, attempt->pool, PACK_DATA, &cutter->packer, err)) return false;
    *out = cutter;
    cutter = NULL;
    return true;
}

void image_cutter_free(struct image_cutter *cutter)
{
    if (!cutter) return;
    packer_free(cutter->packer);
    chunk_pool_put(cutter->attempt->pool, &cutter->chunk);
    free(cutter);
}

static void put_ref(struct image_cutter *cutter, const struct ref *ref)
{
    buf_put(cutter->refs, ref, sizeof(*ref));
}

static void end_hole(struct image_cutter *cutter)
{
    const struct ref ref = {.length = cutter->hole, .kind = REF_HOLE};
    if (cutter->hole > 0) put_ref(cutter, &ref);
    cutter->hole = 0;
}

static bool end_chunk(struct image_cutter *cutter, struct err *err)
{
    chunker_restart(&cutter->chunker);
    if (cutter->chunk.len == 0) return true;
    const struct ref ref = {.content = hash_of(buf_span(&cutter->chunk)), .length = cutter->chunk.len};
    put_ref(cutter, &ref);
    return packer_put(cutter->packer, &cutter->chunk, &ref.content, err);
}

static bool add_hole(struct image_cutter *cutter, uint64_t length, struct err *err)
{
    if (!end_chunk(cutter, err)) return false;
    cutter->hole += length;
    return true;
}

static bool add_data(struct image_cutter *cutter, const uint8_t *bytes, size_t len, struct err *err)
{
    end_hole(cutter);
    while (len > 0) {
        size_t cut = chunker_next(&cutter->chunker, bytes, len);
        size_t taken = cut > 0 ? cut : len;
        if (cutter->chunk.cap == 0) cutter->chunk = chunk_pool_get(cutter->attempt->pool, CHUNK_ROOM);
        buf_put(&cutter->chunk, bytes, taken);
        if (cut > 0 && !end_chunk(cutter, err)) return false;
        bytes += taken;
        len -= taken;
    }
    return true;
}

static bool is_zero(const uint8_t *bytes, size_t len)
{
    static const uint8_t zeros[SAMPLE];
    if (len <= SAMPLE) return memcmp(bytes, zeros, len) == 0;
    return memcmp(bytes, zeros, SAMPLE) == 0 && memcmp(bytes, bytes + SAMPLE, len - SAMPLE) == 0;
}

/* Reads from `at`, which starts a granule, to `end`. */
static bool cut_step(struct image_cutter *cutter, uint64_t at, uint64_t end, struct err *err)
{
    size_t len = (size_t)(end - at);
    if (!image_reader_read(cutter->reader, at, cutter->step, len, err)) return false;
    cutter->attempt->progress->read_bytes += len;
    for (size_t from = 0; from < len; from += IMAGE_GRANULE) {
        size_t granule = len - from < IMAGE_GRANULE ? len - from : IMAGE_GRANULE;
        bool fine = is_zero(cutter->step + from, granule)
                        ? add_hole(cutter, granule, err)
                        : add_data(cutter, cutter->step + from, granule, err);
        if (!fine) return false;
    }
    return true;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Up to where the next step goes, and whether it is a hole throughout. Holes count from granule to granule:
 * what a file has beside them is read. */
static bool plan_step(struct image_cutter *cutter, uint64_t at, uint64_t end, uint64_t *until, bool *hole,
                      struct err *err)
{
    struct extent *extent = &cutter->extent;
    bool known = extent->offset <= at && at < extent->offset + extent->length;
    if (!known && !image_extents_find(cutter->extents, at, extent, err)) return false;
    uint64_t extent_end = least(extent->offset + extent->length, end);
    uint64_t beyond = extent_end % IMAGE_GRANULE;
    *hole = extent->kind == EXTENT_HOLE;
    *until = extent_end;
    if (*hole && extent_end < end) *until -= beyond;
    if (*hole && *until > at) return true;
    *hole = false;
    if (beyond > 0) *until = least(extent_end - beyond + IMAGE_GRANULE, end);
    *until = least(*until, at + STEP);
    return true;
}

bool image_cutter_region(struct image_cutter *cutter, uint64_t offset, struct buf *refs, struct err *err)
{
    assert(offset % IMAGE_REGION == 0 && offset < cutter->reader->size);
    uint64_t end =
        cutter->reader->size - offset > IMAGE_REGION ? offset + IMAGE_REGION : cutter->reader->size;
    cutter->refs = refs;
    /* it may have been written to since */
    if (cutter->extent.kind == EXTENT_HOLE) cutter->extent = (struct extent){0};
    for (uint64_t at = offset, until; at < end; at = until) {
        bool hole;
        if (attempt_stopped(cutter->attempt)) return err_set(err, ERR_CANCELLED, "stopped");
        if (!plan_step(cutter, at, end, &until, &hole, err)) return false;
        if (!(hole ? add_hole(cutter, until - at, err) : cut_step(cutter, at, until, err))) return false;
        if (hole) cutter->attempt->progress->hole_bytes += until - at;
        attempt_publish(cutter->attempt);
    }
    end_hole(cutter);
    return end_chunk(cutter, err);
}

bool image_cutter_flush(struct image_cutter *cutter, struct err *err)
{
    return packer_flush(cutter->packer, NULL, err);
}
