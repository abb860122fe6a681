#include "transporter/pipeline/worker.h"

#include "transporter/pipeline/file_content.h"

#include <errno.h>

/* Bundles with fewer bytes are joined with those of the segments that follow. */
enum { BUNDLE_ALONE = 64 * 1024 };

bool worker_init(struct worker *worker, struct attempt *attempt, struct err *err)
{
    struct packer *data = NULL;
    if (!packer_new(attempt->sealing, attempt->pool, PACK_DATA, &data, err)) return false;
    *worker = (struct worker){.attempt = attempt, .data = data};
    return true;
}

void worker_deinit(struct worker *worker)
{
    packer_free(worker->data);
    buf_deinit(&worker->bundle);
    buf_deinit(&worker->refs);
    *worker = (struct worker){0};
}

bool worker_is_fatal(const struct err *err)
{
    return err->sys == EMFILE || err->sys == ENFILE || err->sys == ENOMEM;
}

/* It was to be read for the sake of the repository alone, and what is stored of it is still good. */
static bool fall_back(struct item *item, const struct err *why)
{
    bool is_there = why->code == ERR_SYSTEM;
    if (item->entry->fallback.len == 0 || !is_there) return false;
    item->state = ITEM_ENCODED;
    item->cached = item->entry->fallback;
    item->key = item->entry->key;
    item->cacheable = item->entry->cacheable;
    item->size = item->entry->key.size;
    return true;
}

void worker_lose(struct worker *worker, struct item *item, const struct err *why)
{
    if (fall_back(item, why)) return;
    item->state = ITEM_LOST;
    attempt_warn(worker->attempt, item->entry->path, why);
}

bool worker_encode(struct worker *worker, struct segment *segment, struct item *item, int fd,
                   const struct walk_entry *entry, const struct metadata_content *content)
{
    struct err warning = {0};
    struct err err = {0};
    size_t start = segment->encoded.len;
    if (!metadata_encode(worker->attempt->names, fd, entry, content, &segment->encoded, &warning, &err)) {
        segment->encoded.len = start;
        if (worker_is_fatal(&err)) attempt_fail(worker->attempt, &err);
        worker_lose(worker, item, &err);
        return false;
    }
    if (warning.code != ERR_NONE) attempt_warn(worker->attempt, entry->path, &warning);
    item->encoded = start;
    item->encoded_len = segment->encoded.len - start;
    item->key = entry->key;
    /* what has more attributes than an entry holds is told by each run */
    item->cacheable = entry->cacheable && warning.code != ERR_LIMIT;
    item->size = content ? content->size : 0;
    item->state = ITEM_ENCODED;
    return true;
}

/* Remembers where a small content lies, for files of any name in later runs. */
static bool place_item(struct worker *worker, struct segment *segment, struct item *item,
                       const struct ref *ref, struct err *err)
{
    struct stat_cache *cache = worker->attempt->options->cache;
    item_place(segment, item, ref);
    return !cache || stat_cache_stage_content(cache, &item->file_hash, ref, err);
}

bool worker_place_all(struct worker *worker, struct segment *segment, size_t first, size_t end,
                      const struct hash *content, uint64_t base, struct err *err)
{
    for (size_t i = first; i < end; i++) {
        struct item *item = segment_item(segment, i);
        if (item->state != ITEM_BUNDLED) continue;
        struct ref ref = {
            .content = *content, .length = item->size, .offset = (uint32_t)(base + item->bundle_offset)};
        if (!place_item(worker, segment, item, &ref, err)) return false;
    }
    return true;
}

bool worker_close_bundle(struct worker *worker, struct segment *segment, size_t end, struct err *err)
{
    size_t first = worker->bundle_first;
    worker->bundle_first = end;
    if (worker->bundle.len == 0) return true;
    struct hash content = hash_of(buf_span(&worker->bundle));
    return worker_place_all(worker, segment, first, end, &content, 0, err) &&
           packer_put(worker->data, &worker->bundle, &content, err);
}

static void release_directory(struct worker *worker)
{
    if (worker->dir) dir_handle_put(worker->dir);
    worker->dir = NULL;
}

/* Whoever uses the directory opens it anyway: one that cannot be opened is his to tell. */
static void hold_directory(struct worker *worker, struct dir_handle *dir)
{
    struct err err;
    int fd;
    if (worker->dir == dir) return;
    release_directory(worker);
    if (dir_handle_get(dir, &fd, &err)) worker->dir = dir;
}

static bool read_item(struct worker *worker, struct segment *segment, struct item *item, struct err *err)
{
    if (item->type == ENTRY_FILE) return file_content_read(worker, segment, item, err);
    (void)worker_encode(worker, segment, item, -1, item->entry, NULL);
    return true;
}

static bool read_items(struct worker *worker, struct segment *segment, size_t count, struct err *err)
{
    bool fine = true;
    worker->bundle_first = 0;
    for (size_t i = 0; i < count && fine; i++) {
        struct item *item = segment_item(segment, i);
        if (item->state != ITEM_TO_DO) continue;
        if (attempt_stopped(worker->attempt)) {
            fine = err_set(err, ERR_CANCELLED, "stopped");
            break;
        }
        hold_directory(worker, item->entry->dir);
        fine = read_item(worker, segment, item, err);
        if (fine) work_queue_added(worker->attempt->queue, segment);
    }
    release_directory(worker);
    return fine;
}

bool worker_segment(struct worker *worker, struct segment *segment, struct err *err)
{
    size_t count = segment_count(segment);
    if (!read_items(worker, segment, count, err)) return false;
    if (worker->bundle.len >= BUNDLE_ALONE) return worker_close_bundle(worker, segment, count, err);
    buf_put_span(&segment->leftover, buf_span(&worker->bundle));
    buf_clear(&worker->bundle);
    return true;
}

bool worker_chunk(struct worker *worker, struct chunk_job *job, struct err *err)
{
    if (job->slot) {
        job->content = hash_of(buf_span(&job->bytes));
        work_queue_slot_done(worker->attempt->queue, job->slot, &job->content);
        job->slot = NULL;
    }
    bool packed = packer_put(worker->data, &job->bytes, &job->content, err);
    chunk_pool_put(worker->attempt->pool, &job->bytes);
    return packed;
}

static bool work_once(struct worker *worker, bool *more, struct err *err)
{
    struct segment *segment = NULL;
    struct chunk_job job = {0};
    *more = true;
    switch (work_queue_take(worker->attempt->queue, &segment, &job)) {
    case WORK_CHUNK:
        return worker_chunk(worker, &job, err);
    case WORK_SEGMENT:
        if (!worker_segment(worker, segment, err)) return false;
        work_queue_segment_done(worker->attempt->queue, segment);
        return true;
    case WORK_END:
        break;
    }
    *more = false;
    return true;
}

void worker_run(struct worker *worker)
{
    struct err err = {0};
    bool more = true;
    bool fine = true;
    while (fine && more)
        fine = work_once(worker, &more, &err);
    if (fine && !attempt_stopped(worker->attempt)) fine = packer_flush(worker->data, NULL, &err);
    if (!fine) attempt_fail(worker->attempt, &err);
}
