#include "transporter/pipeline/file_content.h"

/* The bundle never grows beyond this, whatever files do between walk and reading. */
enum { BUNDLE_MOST = 2 * SEGMENT_BYTES_MOST };

static size_t index_of(struct segment *segment, const struct item *item)
{
    return (size_t)(item - segment_item(segment, 0));
}

/* Room at the bundle's end for the whole file. */
static bool make_room(struct worker *worker, struct segment *segment, struct item *item, size_t len,
                      struct err *err)
{
    if (worker->bundle.len + len > BUNDLE_MOST &&
        !worker_close_bundle(worker, segment, index_of(segment, item), err))
        return false;
    if (worker->bundle.cap == 0) worker->bundle = chunk_pool_get(worker->attempt->pool, SEGMENT_BYTES_MOST);
    buf_reserve(&worker->bundle, len);
    return true;
}

static void warn_inexact(struct worker *worker, const struct walk_entry *entry)
{
    struct err what = {0};
    (void)err_set(&what, ERR_FAILED, "changed while it was read: the copy may mix old and new content");
    attempt_warn(worker->attempt, entry->path, &what);
}

/* The content is known to be in the repository, under the same name or whatever other. */
static bool find_content(struct worker *worker, const struct walk_entry *entry,
                         const struct metadata_content *content, struct ref *ref)
{
    struct stat_cache *cache = worker->attempt->options->cache;
    if (!cache) return false;
    if (!stat_cache_entry_content(entry->previous, &content->file_hash, ref) &&
        !stat_cache_content(cache, &content->file_hash, ref))
        return false;
    if (ref->kind != REF_DATA || ref->length != content->size) return false;
    worker->attempt->unread_bytes += content->size;
    return true;
}

/* The bytes are at the bundle's end from `start`; they stay there only if they have to be sent. */
static void encode_small(struct worker *worker, struct segment *segment, struct item *item,
                         const struct file_reader *reader, struct metadata_content *content, size_t start)
{
    struct ref ref = {.length = content->size, .offset = (uint32_t)start};
    bool bundled = content->size > 0 && !find_content(worker, item->entry, content, &ref);
    buf_clear(&worker->refs);
    if (content->size > 0) {
        ref_encode(&ref, &worker->refs);
        content->refs = buf_span(&worker->refs);
        content->ref_count = 1;
    }
    bool encoded = worker_encode(worker, segment, item, reader->fd, &reader->entry, content);
    if (!encoded || !bundled) {
        worker->bundle.len = start;
        return;
    }
    item->state = ITEM_BUNDLED;
    item->file_hash = content->file_hash;
    item->bundle_offset = (uint32_t)start;
}

/* Reads the opened file into the bundle, at `*start`. */
static enum reading read_small(struct worker *worker, struct segment *segment, struct item *item,
                               const struct file_reader *reader, struct metadata_content *content,
                               size_t *start, struct err *err)
{
    size_t len = (size_t)reader->entry.key.size;
    if (!make_room(worker, segment, item, len, err)) return READING_FAILED;
    *start = worker->bundle.len;
    size_t got;
    if (len == 0)
        got = 0;
    else if (!file_reader_read(reader, 0, worker->bundle.data + *start, len, &got, err))
        return READING_LOST;
    worker->attempt->progress->read_bytes += got;
    worker->bundle.len += got;
    content->size = got;
    content->file_hash = hash_of(span_of(worker->bundle.data + *start, got));
    return READING_DONE;
}

static enum reading read_once(struct worker *worker, struct segment *segment, struct item *item,
                              const struct file_reader *reader, struct metadata_content *content,
                              size_t *start, struct err *err)
{
    if (reader->entry.key.size <= SEGMENT_SMALL_FILE)
        return read_small(worker, segment, item, reader, content, start, err);
    bool known;
    enum reading reading = known_file_read(worker, reader, item->entry->previous, content, &known, err);
    if (reading != READING_DONE || known) return reading;
    buf_clear(&worker->refs);
    reading = large_file_read(worker, reader, &worker->refs, content, err);
    content->refs = buf_span(&worker->refs);
    return reading;
}

static void encode_read(struct worker *worker, struct segment *segment, struct item *item,
                        const struct file_reader *reader, struct metadata_content *content, size_t start)
{
    if (reader->entry.key.size <= SEGMENT_SMALL_FILE)
        encode_small(worker, segment, item, reader, content, start);
    else
        (void)worker_encode(worker, segment, item, reader->fd, &reader->entry, content);
}

/* Reads a small file that the walk described and that has stood still since. *done = false: nothing has come
 * of it, for whatever reason, which a reading that asks first will find. */
static enum reading read_unchanged(struct worker *worker, struct segment *segment, struct item *item,
                                   bool *done, struct err *err)
{
    AUTO(file_reader) struct file_reader reader = {.fd = -1};
    struct metadata_content content = {0};
    struct err why;
    size_t start = worker->bundle.len;
    enum file_state state;
    *done = false;
    if (!file_reader_open(item->entry, READER_TRUSTS, &reader, &why)) return READING_DONE;
    enum reading reading = read_small(worker, segment, item, &reader, &content, &start, err);
    if (reading == READING_FAILED) return reading;
    *done = reading == READING_DONE && content.size == reader.entry.key.size &&
            file_reader_state(&reader, &state, &why) && state == FILE_SAME;
    if (*done)
        encode_small(worker, segment, item, &reader, &content, start);
    else
        worker->bundle.len = start;
    return READING_DONE;
}

/* One opening, reading and asking whether the file stood still. *again: it did not, and has one more
 * chance. */
static enum reading try_read(struct worker *worker, struct segment *segment, struct item *item, bool *again,
                             struct err *err)
{
    AUTO(file_reader) struct file_reader reader = {.fd = -1};
    if (!file_reader_open(item->entry, READER_ASKS, &reader, err)) return READING_LOST;
    struct metadata_content content = {0};
    size_t start = worker->bundle.len; /* where the bundle ends without this file */
    enum reading reading = read_once(worker, segment, item, &reader, &content, &start, err);
    if (reading != READING_DONE) return reading;
    enum file_state state;
    bool told = file_reader_state(&reader, &state, err);
    bool changed = told && (state == FILE_CHANGED || content.size != reader.entry.key.size);
    bool read_again = changed && *again && reader.entry.key.size <= FILE_READ_AGAIN_MOST;
    if (!told || read_again) {
        worker->bundle.len = start;
        return told ? READING_DONE : READING_LOST;
    }
    *again = false;
    if (changed) {
        content.flags |= ENTRY_INEXACT;
        reader.entry.cacheable = false;
        warn_inexact(worker, &reader.entry);
    }
    encode_read(worker, segment, item, &reader, &content, start);
    return READING_DONE;
}

bool file_content_read(struct worker *worker, struct segment *segment, struct item *item, struct err *err)
{
    bool again = true;
    bool done = false;
    struct err why = {0};
    enum reading reading = READING_DONE;
    if (item->entry->key.size <= SEGMENT_SMALL_FILE)
        reading = read_unchanged(worker, segment, item, &done, &why);
    if (reading == READING_DONE && !done) reading = try_read(worker, segment, item, &again, &why);
    if (reading == READING_DONE && !done && again) {
        again = false;
        reading = try_read(worker, segment, item, &again, &why);
    }
    if (reading == READING_DONE) return true;
    if (reading == READING_FAILED || worker_is_fatal(&why)) {
        *err = why;
        return false;
    }
    worker_lose(worker, item, &why);
    return true;
}
