/* Large files that are what they were, but for their inode or times. */
#include "transporter/pipeline/file_content.h"

/* A longer file is cut at once: if it has changed, it would be read twice. */
enum { KNOWN_FILE_MOST = 32 * 1024 * 1024, READ_STEP = 256 * 1024 };

/* Holes are told apart by looking for them, which a hash does not. */
static bool is_all_data(struct span refs)
{
    struct reader reader = reader_of(refs);
    struct ref ref;
    struct err err;
    while (reader_left(&reader) > 0)
        if (!ref_decode(&reader, &ref, &err) || ref.kind != REF_DATA) return false;
    return true;
}

static bool may_be_known(const struct file_reader *reader, struct span previous, struct entry *was)
{
    uint64_t size = reader->entry.key.size;
    struct reader bytes = reader_of(previous);
    struct err err;
    if (previous.len == 0 || size > KNOWN_FILE_MOST || reader->entry.blocks < size / 512) return false;
    if (!entry_decode(&bytes, was, &err) || was->type != ENTRY_FILE) return false;
    return was->size == size && was->flags == 0 && is_all_data(was->refs);
}

/* Of the bytes up to the size that it had when opened; *ended: there were not so many. */
static enum reading hash_file(struct worker *worker, const struct file_reader *reader, struct buf *step,
                              struct hash *out, bool *ended, struct err *err)
{
    struct hasher hasher;
    hasher_init(&hasher);
    for (uint64_t at = 0, size = reader->entry.key.size; at < size;) {
        size_t len = size - at < READ_STEP ? (size_t)(size - at) : READ_STEP, got;
        if (attempt_stopped(worker->attempt)) {
            (void)err_set(err, ERR_CANCELLED, "stopped");
            return READING_FAILED;
        }
        if (!file_reader_read(reader, at, step->data, len, &got, err)) return READING_LOST;
        hasher_add(&hasher, step->data, got);
        *ended = got < len;
        if (*ended) return READING_DONE;
        at += got;
    }
    *out = hasher_result(&hasher);
    return READING_DONE;
}

enum reading known_file_read(struct worker *worker, const struct file_reader *reader, struct span previous,
                             struct metadata_content *content, bool *known, struct err *err)
{
    struct entry was;
    struct hash hash = {{0}};
    bool ended = false;
    *known = false;
    if (!may_be_known(reader, previous, &was)) return READING_DONE;
    AUTO(buf) struct buf step = chunk_pool_get(worker->attempt->pool, READ_STEP);
    enum reading reading = hash_file(worker, reader, &step, &hash, &ended, err);
    chunk_pool_put(worker->attempt->pool, &step);
    if (reading != READING_DONE || ended || !hash_eq(&hash, &was.file_hash)) return reading;
    content->size = was.size;
    content->file_hash = was.file_hash;
    content->refs = was.refs;
    content->ref_count = was.ref_count;
    worker->attempt->progress->read_bytes += was.size;
    worker->attempt->unread_bytes += was.size;
    *known = true;
    return READING_DONE;
}
