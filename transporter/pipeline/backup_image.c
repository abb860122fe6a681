#include "transporter/pipeline/backup_image.h"

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/chunk/chunker.h"
#include "transporter/pipeline/cancel_watch.h"
#include "transporter/pipeline/closing.h"
#include "transporter/pipeline/engine.h"
#include "transporter/pipeline/image_cutter.h"
#include "transporter/pipeline/image_regions.h"

enum {
    WORKERS_LEAST = 5,    /* some wait for the disk, or for an answer */
    AHEAD_PER_WORKER = 4, /* regions */
};

/* One run of backup_image. */
struct imaging {
    const struct backup_options *options;
    const struct image_source *source;
    uint64_t started_ns;
    struct attempt attempt;
    struct image_reader reader;
    struct image_extents extents;
    struct image_regions *regions;
    struct cancel_watch *watch;
    pthread_t threads[ENGINE_WORKERS_MOST];
    unsigned started;

    /* the ordering thread's */
    struct refs_writer *refs;
    struct hasher hasher; /* of the references */
    uint64_t hole;        /* holes that follow one another are one reference */
    struct buf scratch;
};

/* --- threads --- */

static bool cut_regions(struct imaging *imaging, struct err *err)
{
    AUTO(image_cutter) struct image_cutter *cutter = NULL;
    AUTO(buf) struct buf refs = {0};
    uint64_t index;
    if (!image_cutter_new(&imaging->attempt, &imaging->extents, &cutter, err)) return false;
    while (image_regions_take(imaging->regions, &index)) {
        if (!image_cutter_region(cutter, index * IMAGE_REGION, &refs, err)) return false;
        image_regions_done(imaging->regions, index, &refs);
    }
    return attempt_stopped(&imaging->attempt) || image_cutter_flush(cutter, err);
}

static void *worker_thread(void *arg)
{
    struct imaging *imaging = arg;
    struct err err = {0};
    if (cut_regions(imaging, &err)) return NULL;
    attempt_fail(&imaging->attempt, &err);
    image_regions_stop(imaging->regions);
    return NULL;
}

static bool start_threads(struct imaging *imaging, struct err *err)
{
    uint64_t size = imaging->reader.size;
    uint64_t count = size / IMAGE_REGION + (size % IMAGE_REGION > 0);
    unsigned workers = engine_workers(imaging->options, WORKERS_LEAST);
    if (workers > count) workers = (unsigned)count;
    imaging->regions = image_regions_new(count, (size_t)AHEAD_PER_WORKER * (workers > 0 ? workers : 1));
    for (; imaging->started < workers; imaging->started++) {
        int failed = pthread_create(&imaging->threads[imaging->started], NULL, worker_thread, imaging);
        if (failed) return err_sys(err, failed, "cannot start a thread");
    }
    return true;
}

static void join_threads(struct imaging *imaging)
{
    for (; imaging->started > 0; imaging->started--)
        (void)pthread_join(imaging->threads[imaging->started - 1], NULL);
}

/* --- references in order --- */

static bool put_ref(struct imaging *imaging, const struct ref *ref, struct err *err)
{
    buf_clear(&imaging->scratch);
    ref_encode(ref, &imaging->scratch);
    hasher_add(&imaging->hasher, imaging->scratch.data, imaging->scratch.len);
    return refs_add(imaging->refs, ref, err);
}

static bool end_hole(struct imaging *imaging, struct err *err)
{
    const struct ref hole = {.length = imaging->hole, .kind = REF_HOLE};
    imaging->hole = 0;
    return hole.length == 0 || put_ref(imaging, &hole, err);
}

static bool add_ref(struct imaging *imaging, const struct ref *ref, struct err *err)
{
    if (ref->kind == REF_HOLE) {
        imaging->hole += ref->length;
        return true;
    }
    return end_hole(imaging, err) && put_ref(imaging, ref, err);
}

/* The error that stopped the others, in place of the one that it caused here. */
static bool fail(struct imaging *imaging, struct err *err)
{
    attempt_fail(&imaging->attempt, err);
    (void)attempt_failure(&imaging->attempt, err);
    return false;
}

static bool order_refs(struct imaging *imaging, struct err *err)
{
    AUTO(buf) struct buf refs = {0};
    uint64_t size = imaging->reader.size;
    for (uint64_t at = 0; at < size; at += IMAGE_REGION) {
        if (attempt_stopped(&imaging->attempt) || !image_regions_await(imaging->regions, &refs))
            return err_set(err, ERR_CANCELLED, "stopped");
        const struct ref *ref = (const struct ref *)(const void *)refs.data;
        for (size_t i = 0; i < refs.len / sizeof(*ref); i++)
            if (!add_ref(imaging, &ref[i], err)) return false;
        buf_clear(&refs);
        if (size - at <= IMAGE_REGION) break; /* `at` would overflow for the largest sizes */
    }
    return end_hole(imaging, err);
}

/* --- the entry --- */

static void warn_inexact(struct imaging *imaging)
{
    struct err what = {0};
    (void)err_set(&what, ERR_FAILED, "changed while it was read: the copy may mix old and new content");
    attempt_warn(&imaging->attempt, span_str(imaging->source->path + 1), &what);
}

static void note_live(struct imaging *imaging)
{
    struct err what = {0};
    (void)err_set(&what, ERR_FAILED,
                  "in use while it was read, without a 'before' script that stills it: the copy is "
                  "crash-consistent only");
    attempt_note(&imaging->attempt, span_str(imaging->source->path + 1), &what);
}

/* After reading: did it stand still? */
static bool judge_state(struct imaging *imaging, struct metadata_content *content, struct err *err)
{
    struct image_reader *reader = &imaging->reader;
    enum file_state state;
    if (!image_reader_state(reader, &state, err)) return false;
    if (state == FILE_CHANGED && reader->kind == IMAGE_DEVICE)
        return err_set(err, ERR_FAILED, "'%s' changed its size while it was read", reader->path);
    bool live = reader->in_use && imaging->source->moment == IMAGE_LIVE;
    if (state == FILE_CHANGED) warn_inexact(imaging);
    if (live) note_live(imaging);
    if (state == FILE_CHANGED || live) content->flags |= ENTRY_INEXACT;
    if (state == FILE_CHANGED) reader->entry.cacheable = false;
    return true;
}

/* A device node's own attributes say nothing about the image. */
static bool encode_device(const struct imaging *imaging, const struct metadata_content *content,
                          struct buf *out, struct err *err)
{
    const struct walk_entry *walked = &imaging->reader.entry;
    const struct entry entry = {
        .type = ENTRY_FILE,
        .flags = content->flags,
        .depth = walked->depth,
        .mode = walked->mode,
        .mtime_ns = walked->key.mtime_ns,
        .size = content->size,
        .name = walked->name,
        .file_hash = content->file_hash,
        .ref_count = content->ref_count,
        .refs = content->refs,
    };
    return entry_encode(&entry, out, err);
}

static bool encode(struct imaging *imaging, const struct metadata_content *content, struct buf *out,
                   struct err *err)
{
    struct image_reader *reader = &imaging->reader;
    struct err warning = {0};
    if (reader->kind == IMAGE_DEVICE) return encode_device(imaging, content, out, err);
    if (!metadata_encode(imaging->attempt.names, reader->fd, &reader->entry, content, out, &warning, err))
        return err_wrap(err, "'%s'", reader->path);
    if (warning.code != ERR_NONE)
        attempt_warn(&imaging->attempt, span_str(imaging->source->path + 1), &warning);
    /* what has more attributes than an entry holds is told by each run */
    if (warning.code == ERR_LIMIT) reader->entry.cacheable = false;
    return true;
}

static bool read_image(struct imaging *imaging, struct buf *encoded, struct err *err)
{
    AUTO(buf) struct buf refs = {0};
    struct metadata_content content = {.size = imaging->reader.size};
    imaging->refs = refs_writer_new(attempt_put_node, &imaging->attempt);
    hasher_init(&imaging->hasher);
    if (!start_threads(imaging, err) || !order_refs(imaging, err)) return false;
    if (!refs_finish(imaging->refs, &refs, &content.ref_count, &content.flags, err)) return false;
    content.refs = buf_span(&refs);
    content.file_hash = hasher_result(&imaging->hasher);
    return judge_state(imaging, &content, err) && encode(imaging, &content, encoded, err);
}

/* --- the cache: one record with one child --- */

static bool recall(struct imaging *imaging, struct buf *encoded)
{
    const struct walk_entry *entry = &imaging->reader.entry;
    if (!imaging->options->cache || !entry->cacheable) return false;
    AUTO(stat_cache_dir)
    struct stat_cache_dir *known = stat_cache_dir_get(imaging->options->cache, (struct span){0});
    if (!known) return false;
    struct span cached = stat_cache_dir_find(known, entry->name, &entry->key);
    buf_put_span(encoded, cached);
    return cached.len > 0;
}

static bool remember(struct imaging *imaging, struct span encoded, struct err *err)
{
    const struct walk_entry *entry = &imaging->reader.entry;
    if (!imaging->options->cache) return true;
    AUTO(stat_cache_record)
    struct stat_cache_record *record = stat_cache_record_new(imaging->options->cache, (struct span){0});
    if (entry->cacheable && !stat_cache_record_add(record, entry->name, &entry->key, encoded, err))
        return false;
    return stat_cache_record_end(record, err);
}

/* --- the whole --- */

static bool run(struct imaging *imaging, struct backup_result *result, struct err *err)
{
    AUTO(buf) struct buf encoded = {0};
    struct backup_progress *progress = imaging->attempt.progress;
    uint64_t size = imaging->reader.size;
    struct closing closing = {
        .object = OBJECT_IMAGE,
        .counts = {.entries = 1, .files = 1, .content_bytes = size},
        .started_ns = imaging->started_ns,
        .crash_consistent = imaging->source->moment == IMAGE_LIVE,
    };
    progress->entries++;
    progress->files++;
    progress->content_bytes += size;
    progress->total_bytes += size;
    if (recall(imaging, &encoded)) {
        imaging->attempt.unread_bytes += size;
    } else if (!read_image(imaging, &encoded, err)) {
        return false;
    }
    if (!closing_describe(&imaging->attempt, &chunker_images, span_str(imaging->source->path + 1),
                          buf_span(&encoded), &closing, err) ||
        !attempt_flush_nodes(&imaging->attempt, err))
        return false;
    join_threads(imaging);
    if (attempt_failure(&imaging->attempt, err)) return false;
    return remember(imaging, buf_span(&encoded), err) &&
           closing_commit(&imaging->attempt, &closing, result, err);
}

static void imaging_deinit(struct imaging *imaging)
{
    if (imaging->regions) image_regions_stop(imaging->regions);
    join_threads(imaging);
    cancel_watch_free(imaging->watch);
    refs_writer_free(imaging->refs);
    image_regions_free(imaging->regions);
    image_extents_deinit(&imaging->extents);
    image_reader_close(&imaging->reader);
    buf_deinit(&imaging->scratch);
    attempt_deinit(&imaging->attempt);
}
DEFINE_AUTO_IN_PLACE(imaging, struct imaging, imaging_deinit)

bool backup_image(const struct backup_options *options, const struct image_source *image,
                  struct backup_result *result, struct err *err)
{
    AUTO(imaging)
    struct imaging imaging = {
        .options = options, .source = image, .started_ns = clock_real_ns(), .reader = {.fd = -1}};
    struct backup_result done = {0};
    uint64_t now_ns = options->walk.now_ns ? options->walk.now_ns : imaging.started_ns;
    if (!image_reader_open(image->path, image->links, now_ns, &imaging.reader, err)) return false;
    image_extents_init(&imaging.extents, &imaging.reader);
    if (!attempt_init(&imaging.attempt, options, 1, 1, err)) return false;
    if (!cancel_watch_new(&imaging.attempt, options->cancelled, &imaging.watch, err)) return false;
    if (!run(&imaging, &done, err)) return fail(&imaging, err);
    *result = done;
    return true;
}
