/* After the commit: the staging file becomes the database's. */
#include "transporter/source/stat_cache_parts.h"

#include "common/base/alloc.h"
#include "common/base/file.h"

#include <string.h>

/* Of one transaction, roughly: LMDB holds all pages that it changes in memory until it is committed. */
#define BATCH_BYTES ((size_t)16 * 1024 * 1024)
#define ITEM_COST 4096u
#define WINDOW ((size_t)1024 * 1024)

struct apply {
    struct stat_cache *cache;
    MDB_txn *txn;
    size_t batch; /* bytes in it */
    /* the staging file, read ahead */
    uint64_t pos;
    struct buf bytes;
    struct reader reader;
};

static void apply_deinit(struct apply *apply)
{
    if (apply->txn) mdb_txn_abort(apply->txn);
    buf_deinit(&apply->bytes);
}
DEFINE_AUTO_IN_PLACE(apply, struct apply, apply_deinit)

static MDB_val val_of(struct span bytes)
{
    return (MDB_val){.mv_data = (void *)(uintptr_t)bytes.data, .mv_size = bytes.len};
}

/* Makes at least `need` bytes readable. */
static bool fill(struct apply *apply, size_t need, struct err *err)
{
    size_t kept = reader_left(&apply->reader);
    if (kept >= need) return true;
    uint64_t left = apply->cache->stage_len - apply->pos;
    size_t more = need - kept > WINDOW ? need - kept : WINDOW;
    if (more > left) more = (size_t)left;
    if (kept + more < need) return err_set(err, ERR_TRUNCATED, "the stage file is cut short");
    AUTO(buf) struct buf fresh = {0};
    buf_put(&fresh, apply->reader.data + apply->reader.pos, kept);
    if (!fd_pread_all(apply->cache->stage_fd, buf_grow(&fresh, more), more, apply->pos, "stage", err))
        return false;
    apply->pos += more;
    struct buf old = apply->bytes;
    apply->bytes = fresh;
    fresh = old;
    apply->reader = reader_of(buf_span(&apply->bytes));
    return true;
}

static bool put(struct apply *apply, MDB_dbi dbi, struct span key, struct span value, struct err *err)
{
    MDB_val k = val_of(key), v = val_of(value);
    int code = mdb_put(apply->txn, dbi, &k, &v, 0);
    return code ? cache_db_failed(err, code) : true;
}

static bool next_batch(struct apply *apply, struct err *err)
{
    apply->batch = 0;
    if (apply->txn && !cache_db_commit(&apply->cache->db, &apply->txn, err)) return false;
    return cache_db_begin(&apply->cache->db, &apply->txn, err);
}

static bool count_item(struct apply *apply, size_t len, struct err *err)
{
    apply->batch += ITEM_COST + len;
    return apply->batch < BATCH_BYTES || next_batch(apply, err);
}

/* Deletes this part and those behind it. */
static bool trim(struct apply *apply, struct part_key key, uint32_t part, struct err *err)
{
    for (;; part++) {
        if (!count_item(apply, 0, err)) return false;
        part_key_set(&key, part);
        MDB_val k = val_of(span_of(key.bytes, PART_KEY_LEN));
        int code = mdb_del(apply->txn, apply->cache->db.dirs, &k, NULL);
        if (code == MDB_NOTFOUND) return true;
        if (code) return cache_db_failed(err, code);
    }
}

static bool apply_trim(struct apply *apply, struct span payload, struct err *err)
{
    struct part_key key;
    if (payload.len != PART_KEY_LEN) return err_set(err, ERR_DAMAGED, "the stage file is damaged");
    memcpy(key.bytes, payload.data, PART_KEY_LEN);
    uint32_t part = 0;
    for (size_t i = PART_KEY_LEN - 4; i < PART_KEY_LEN; i++)
        part = part << 8 | key.bytes[i];
    return trim(apply, key, part, err);
}

/* Paths still to be dropped, the last first: {path, length (4)} each. */
static void push_path(struct buf *stack, struct span dir, struct span name)
{
    buf_put_span(stack, dir);
    if (dir.len > 0 && name.len > 0) buf_put_u8(stack, '/');
    buf_put_span(stack, name);
    buf_put_u32(stack, (uint32_t)(dir.len + (dir.len > 0 && name.len > 0) + name.len));
}

static void pop_path(struct buf *stack, struct buf *out)
{
    size_t len = le32_get(stack->data + stack->len - 4);
    buf_clear(out);
    buf_put(out, stack->data + stack->len - 4 - len, len);
    stack->len -= len + 4;
}

static bool push_subdirectories(struct apply *apply, struct span path, struct buf *stack, struct err *err)
{
    struct part_key key = part_key_of(path);
    for (uint32_t part = 0;; part++) {
        part_key_set(&key, part);
        MDB_val k = val_of(span_of(key.bytes, PART_KEY_LEN)), v;
        int code = mdb_get(apply->txn, apply->cache->db.dirs, &k, &v);
        if (code == MDB_NOTFOUND) return true;
        if (code) return cache_db_failed(err, code);
        struct reader reader = reader_of(span_of(v.mv_data, v.mv_size));
        (void)reader_u8(&reader);
        struct cached_child child;
        while (cached_child_next(&reader, &child))
            if (cached_child_is_directory(&child)) push_path(stack, path, child.name);
    }
}

/* The records of a directory that is no more, and of everything below it. */
static bool apply_gone(struct apply *apply, struct span payload, struct err *err)
{
    AUTO(buf) struct buf stack = {0}, path = {0};
    push_path(&stack, payload, span_of(NULL, 0));
    while (stack.len > 0) {
        pop_path(&stack, &path);
        if (!push_subdirectories(apply, buf_span(&path), &stack, err)) return false;
        if (!trim(apply, part_key_of(buf_span(&path)), 0, err)) return false;
    }
    return true;
}

static bool apply_item(struct apply *apply, enum stage_kind kind, struct span payload, struct err *err)
{
    size_t key_len = kind == STAGE_PART ? PART_KEY_LEN : HASH_LEN;
    struct span key = span_of(payload.data, key_len);
    switch (kind) {
    case STAGE_TRIM:
        return apply_trim(apply, payload, err);
    case STAGE_GONE:
        return apply_gone(apply, payload, err);
    case STAGE_PART:
    case STAGE_CONTENT:
        if (payload.len < key_len) break;
        return put(apply, kind == STAGE_PART ? apply->cache->db.dirs : apply->cache->db.contents, key,
                   span_of(payload.data + key_len, payload.len - key_len), err);
    }
    return err_set(err, ERR_DAMAGED, "the stage file is damaged");
}

static bool apply_all(struct stat_cache *cache, struct err *err)
{
    AUTO(apply) struct apply apply = {.cache = cache};
    if (!next_batch(&apply, err)) return false;
    while (reader_left(&apply.reader) > 0 || apply.pos < cache->stage_len) {
        if (!fill(&apply, STAGE_HEAD_LEN, err)) return false;
        enum stage_kind kind = (enum stage_kind)reader_u8(&apply.reader);
        size_t len = reader_u32(&apply.reader);
        if (!fill(&apply, len, err)) return false;
        if (!apply_item(&apply, kind, reader_bytes(&apply.reader, len), err)) return false;
        if (!count_item(&apply, len, err)) return false;
    }
    return cache_db_commit(&cache->db, &apply.txn, err);
}

bool stat_cache_apply(struct stat_cache *cache, struct err *err)
{
    if (!stage_flush(cache, err)) return false;
    if (cache->stage_len == 0) return true;
    struct err inner;
    bool applied = apply_all(cache, err);
    /* what was applied of it is true; what was not costs a re-read */
    bool refreshed = cache_db_refresh(&cache->db, applied ? err : &inner);
    bool emptied = stage_empty(cache, applied && refreshed ? err : &inner);
    return applied && refreshed && emptied;
}
