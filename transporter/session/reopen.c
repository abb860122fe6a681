#include "transporter/session/reopen.h"

#include "common/base/alloc.h"
#include "common/chunk/compress.h"
#include "common/crypto/seal/frame_key.h"

#include <string.h>

/* A chunk id that is fetched, and the content hash that was asked for. */
struct wanted {
    struct hash id;
    struct hash content;
};

struct reopen {
    struct repository *repository;
    struct opener *opener;
    struct opener_thread *thread;
    struct compressor *compressor;
    struct frame_sealer *sealer; /* without a cipher */
    struct hash root;
    struct buf plain, scratch, frame;

    const struct fetch_sink *sink;
    enum frame_type type;
    struct wanted *wanted; /* ascending by id */
    size_t wanted_count;
    struct buf absent; /* contents that are not there as this type: struct hash each */
    struct buf bad;    /* contents whose copy did not open: struct hash each */
    unsigned skip;     /* copies of each that did not open */
};

bool reopen_new(struct repository *repository, struct opener *opener, const struct hash *root,
                struct reopen **out, struct err *err)
{
    static const struct compress_spec compress = {.method = COMPRESS_LZ4};
    AUTO(reopen) struct reopen *reopen = xcalloc(1, sizeof(*reopen));
    reopen->repository = repository;
    reopen->opener = opener;
    reopen->root = *root;
    reopen->wanted = xcalloc(FETCH_MAX_IDS, sizeof(*reopen->wanted));
    if (!opener_thread_new(opener, &reopen->thread, err) ||
        !compressor_new(&compress, &reopen->compressor, err) ||
        !frame_sealer_new(NULL, CIPHER_NONE, PADDING_NONE, &reopen->sealer, err))
        return false;
    *out = reopen;
    reopen = NULL;
    return true;
}

static void wipe_buf(struct buf *buf)
{
    wipe(buf->data, buf->cap);
    buf_deinit(buf);
}

void reopen_free(struct reopen *reopen)
{
    if (!reopen) return;
    opener_thread_free(reopen->thread);
    compressor_free(reopen->compressor);
    frame_sealer_free(reopen->sealer);
    wipe_buf(&reopen->plain);
    wipe_buf(&reopen->scratch);
    wipe_buf(&reopen->frame);
    buf_deinit(&reopen->absent);
    buf_deinit(&reopen->bad);
    free(reopen->wanted);
    free(reopen);
}

static int by_id(const void *a, const void *b)
{
    return hash_cmp(&((const struct wanted *)a)->id, &((const struct wanted *)b)->id);
}

static const struct hash *content_of(const struct reopen *reopen, const struct hash *id)
{
    struct wanted key = {.id = *id};
    const struct wanted *found = bsearch(&key, reopen->wanted, reopen->wanted_count, sizeof(key), by_id);
    return found ? &found->content : NULL;
}

/* --- one pass: everything as data, and then what was not there as nodes; of each copy after copy --- */

static bool on_envelope(void *arg, struct span envelope, struct err *err)
{
    struct reopen *reopen = arg;
    return opener_take_envelope(reopen->opener, envelope, err);
}

static bool on_rewrap(void *arg, struct span envelope, struct span object, struct err *err)
{
    struct reopen *reopen = arg;
    return opener_rewrap(reopen->opener, envelope, object, err);
}

static bool tell_plain(struct reopen *reopen, const struct hash *content, struct err *err)
{
    struct span plain = buf_span(&reopen->plain);
    struct compressed compressed;
    buf_clear(&reopen->scratch);
    buf_reserve(&reopen->scratch, compress_bound(plain.len));
    if (!compress_chunk(reopen->compressor, plain, reopen->scratch.data, reopen->scratch.cap, &compressed,
                        err))
        return false;
    struct frame_input input = {.type = reopen->type,
                                .chunk = *content,
                                .raw_len = (uint32_t)plain.len,
                                .compression = (uint8_t)compressed.method,
                                .stored = compressed.bytes};
    buf_clear(&reopen->frame);
    uint8_t *frame = buf_grow(&reopen->frame, frame_sealed_len(reopen->sealer, &input));
    return frame_seal(reopen->sealer, &input, frame, err) &&
           reopen->sink->frame(reopen->sink->arg, content, buf_span(&reopen->frame), err);
}

/* No copy is left: as data it may be a node. */
static bool tell_absent(struct reopen *reopen, const struct hash *content, const struct err *why,
                        struct err *err)
{
    if (reopen->type == FRAME_NODE) return reopen->sink->missing(reopen->sink->arg, content, why, err);
    buf_put(&reopen->absent, content->bytes, HASH_LEN);
    return true;
}

static bool on_frame(void *arg, const struct hash *id, struct span frame, struct err *err)
{
    struct reopen *reopen = arg;
    const struct hash *content = content_of(reopen, id);
    struct err why = {0};
    if (!content) return err_set(err, ERR_FAILED, "a frame that was not asked for");
    if (opener_frame(reopen->thread, id, frame, &reopen->plain, &why))
        return tell_plain(reopen, content, err);
    if (reopen->skip + 1 == FETCH_PLACES) return tell_absent(reopen, content, &why, err);
    buf_put(&reopen->bad, content->bytes, HASH_LEN);
    return true;
}

static bool on_missing(void *arg, const struct hash *id, const struct err *why, struct err *err)
{
    struct reopen *reopen = arg;
    return tell_absent(reopen, content_of(reopen, id), why, err);
}

static bool fetch_copies(struct reopen *reopen, enum frame_type type, const struct hash *contents,
                         size_t count, struct err *err)
{
    struct fetch_sink sink = {.envelope = on_envelope,
                              .rewrap = on_rewrap,
                              .frame = on_frame,
                              .missing = on_missing,
                              .arg = reopen,
                              .domain = reopen->sink->domain,
                              .skip = reopen->skip};
    AUTO(free) struct hash *ids = xcalloc(count + 1, sizeof(*ids));
    reopen->type = type;
    reopen->wanted_count = count;
    for (size_t i = 0; i < count; i++) {
        bool root = type == FRAME_NODE && hash_is_zero(&contents[i]);
        ids[i] = root ? reopen->root : opener_chunk_id(reopen->opener, type, &contents[i]);
        reopen->wanted[i] = (struct wanted){.id = ids[i], .content = contents[i]};
    }
    qsort(reopen->wanted, count, sizeof(*reopen->wanted), by_id);
    return count == 0 || repository_fetch(reopen->repository, ids, count, FETCH_FRAMES, &sink, err);
}

static bool pass(struct reopen *reopen, enum frame_type type, const struct hash *contents, size_t count,
                 struct err *err)
{
    AUTO(buf) struct buf again = {0};
    reopen->skip = 0;
    buf_clear(&reopen->bad);
    if (!fetch_copies(reopen, type, contents, count, err)) return false;
    while (reopen->bad.len > 0) {
        buf_clear(&again);
        buf_put_span(&again, buf_span(&reopen->bad));
        buf_clear(&reopen->bad);
        reopen->skip++;
        if (!fetch_copies(reopen, type, (const struct hash *)(const void *)again.data, again.len / HASH_LEN,
                          err))
            return false;
    }
    return true;
}

/* What did not open here has no copy that does. */
static bool tell_all_missing(const struct hash *contents, size_t count, const struct fetch_sink *sink,
                             struct err *err)
{
    struct err why = {0};
    (void)err_set(&why, ERR_DAMAGED, "no other copy opens");
    for (size_t i = 0; i < count; i++)
        if (!sink->missing(sink->arg, &contents[i], &why, err)) return false;
    return true;
}

bool reopen_fetch(struct reopen *reopen, const struct hash *contents, size_t count,
                  const struct fetch_sink *sink, struct err *err)
{
    if (sink->skip > 0) return tell_all_missing(contents, count, sink, err);
    reopen->sink = sink;
    buf_clear(&reopen->absent);
    if (!pass(reopen, FRAME_DATA, contents, count, err)) return false;
    AUTO(buf) struct buf nodes = {0};
    buf_put_span(&nodes, buf_span(&reopen->absent));
    return pass(reopen, FRAME_NODE, (const struct hash *)(const void *)nodes.data, nodes.len / HASH_LEN, err);
}
