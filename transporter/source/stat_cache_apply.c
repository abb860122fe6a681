/* After the commit: the staging file becomes the database's. */
#include "transporter/source/stat_cache_parts.h"

#include "common/base/alloc.h"
#include "common/base/file.h"

#include <string.h>

/* Of one transaction, roughly: LMDB holds all pages that it changes in memory until it is committed. */
#define BATCH_BYTES ((size_t)16 * 1024 * 1024)
#define ITEM_COST 4096u
#define WINDOW ((size_t)1024 * 1024)
#define SWEEP_FROM 10000u /* contents */
#define SWEEP_BATCH 4096u

struct apply {
    struct stat_cache *cache;
    MDB_txn *txn;
    size_t batch; /* bytes in it */
    uint32_t run;
    struct buf old; /* a part that is being replaced */
    struct content_changes changes;
    struct bundle_changes bundles;
    /* the staging file, read ahead */
    uint64_t pos;
    struct buf bytes;
    struct reader reader;
};

static void apply_deinit(struct apply *apply)
{
    if (apply->txn) mdb_txn_abort(apply->txn);
    buf_deinit(&apply->bytes);
    buf_deinit(&apply->old);
    content_changes_deinit(&apply->changes);
    bundle_changes_deinit(&apply->bundles);
}
DEFINE_AUTO_IN_PLACE(apply, struct apply, apply_deinit)

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

static bool flush_bundles(struct apply *apply, struct err *err)
{
    struct bundle_changes *bundles = &apply->bundles;
    bundle_changes_sort(bundles);
    for (size_t i = 0; i < bundles->count; i++) {
        if (!bundle_change_apply(&bundles->list[i], apply->txn, apply->cache->db.bundles, apply->run, err))
            return false;
        if (!count_item(apply, 0, err)) return false;
    }
    bundles->count = 0;
    return true;
}

static bool flush_changes(struct apply *apply, struct err *err)
{
    struct content_changes *changes = &apply->changes;
    content_changes_sort(changes);
    for (size_t i = 0; i < changes->count; i++) {
        if (!content_change_apply(&changes->list[i], apply->txn, apply->cache->db.contents, apply->run,
                                  &apply->bundles, err))
            return false;
        if (!count_item(apply, 0, err)) return false;
    }
    changes->count = 0;
    return flush_bundles(apply, err);
}

static bool flush_if_full(struct apply *apply, struct err *err)
{
    return apply->changes.count < CONTENT_CHANGES_MAX || flush_changes(apply, err);
}

/* Counts what a part uses that comes instead of the one stored under this key; an empty one: of none. */
static bool replace_uses(struct apply *apply, struct span key, struct span part, bool *existed,
                         struct err *err)
{
    if (!flush_if_full(apply, err)) return false;
    MDB_val k = cache_db_val(key), v;
    int code = mdb_get(apply->txn, apply->cache->db.dirs, &k, &v);
    if (code && code != MDB_NOTFOUND) return cache_db_failed(err, code);
    *existed = code == 0;
    buf_clear(&apply->old);
    if (*existed) buf_put(&apply->old, v.mv_data, v.mv_size);
    content_changes_replace(&apply->changes, buf_span(&apply->old), part);
    return true;
}

/* Deletes this part and those behind it. */
static bool trim(struct apply *apply, struct part_key key, uint32_t part, struct err *err)
{
    for (;; part++) {
        bool existed = false;
        if (!count_item(apply, 0, err)) return false;
        part_key_set(&key, part);
        struct span bytes = span_of(key.bytes, PART_KEY_LEN);
        if (!replace_uses(apply, bytes, span_of(NULL, 0), &existed, err)) return false;
        if (!existed) return true;
        MDB_val k = cache_db_val(bytes);
        int code = mdb_del(apply->txn, apply->cache->db.dirs, &k, NULL);
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

/* A directory whose record goes when all that lies below it has gone. */
struct going {
    size_t path_len;
    uint32_t part; /* of its record, and where in it its next child stands */
    size_t pos;
};

static void go_into(struct buf *way, const struct buf *path)
{
    const struct going going = {.path_len = path->len, .pos = 1};
    buf_put(way, &going, sizeof(going));
}

static struct going *innermost(const struct buf *way)
{
    return (struct going *)(void *)(way->data + way->len - sizeof(struct going));
}

/* Puts the name of its next subdirectory behind the path. */
static bool next_subdirectory(const struct apply *apply, struct going *going, struct buf *path, bool *found,
                              struct err *err)
{
    struct part_key key = part_key_of(buf_span(path));
    *found = false;
    for (;; going->part++, going->pos = 1) {
        part_key_set(&key, going->part);
        MDB_val k = cache_db_val(span_of(key.bytes, PART_KEY_LEN)), v;
        int code = mdb_get(apply->txn, apply->cache->db.dirs, &k, &v);
        if (code == MDB_NOTFOUND) return true;
        if (code) return cache_db_failed(err, code);
        struct reader reader = reader_of(span_of(v.mv_data, v.mv_size));
        struct cached_child child;
        (void)reader_bytes(&reader, going->pos);
        while (cached_child_next(&reader, &child)) {
            going->pos = reader.pos;
            if (!cached_child_is_directory(&child)) continue;
            if (path->len > 0) buf_put_u8(path, '/');
            buf_put_span(path, child.name);
            *found = true;
            return true;
        }
    }
}

/* The records of a directory that is no more, and of everything below it, from below: no more is held than
 * the way to where it is, however many there are. */
static bool apply_gone(struct apply *apply, struct span payload, struct err *err)
{
    AUTO(buf) struct buf way = {0}; /* struct going each */
    AUTO(buf) struct buf path = {0};
    buf_put_span(&path, payload);
    go_into(&way, &path);
    while (way.len > 0) {
        struct going *going = innermost(&way);
        bool deeper;
        path.len = going->path_len;
        if (!next_subdirectory(apply, going, &path, &deeper, err)) return false;
        if (deeper) {
            go_into(&way, &path);
            continue;
        }
        if (!trim(apply, part_key_of(buf_span(&path)), 0, err)) return false;
        way.len -= sizeof(*going);
    }
    return true;
}

static bool apply_part(struct apply *apply, struct span payload, struct err *err)
{
    struct reader reader = reader_of(payload);
    struct span key = reader_bytes(&reader, PART_KEY_LEN);
    struct span part = reader_bytes(&reader, reader_left(&reader));
    bool existed = false;
    if (!reader_ok(&reader)) return err_set(err, ERR_DAMAGED, "the stage file is damaged");
    if (!replace_uses(apply, key, part, &existed, err)) return false;
    MDB_val k = cache_db_val(key), v = cache_db_val(part);
    int code = mdb_put(apply->txn, apply->cache->db.dirs, &k, &v, 0);
    return code ? cache_db_failed(err, code) : true;
}

static bool apply_content(struct apply *apply, struct span payload, struct err *err)
{
    struct reader reader = reader_of(payload);
    struct span hash = reader_bytes(&reader, HASH_LEN);
    struct span ref = reader_bytes(&reader, reader_left(&reader));
    if (ref.len != REF_LEN) return err_set(err, ERR_DAMAGED, "the stage file is damaged");
    content_changes_place(&apply->changes, hash, ref);
    bundle_changes_place(&apply->bundles, ref.data);
    return flush_if_full(apply, err);
}

static bool apply_item(struct apply *apply, enum stage_kind kind, struct span payload, struct err *err)
{
    switch (kind) {
    case STAGE_TRIM:
        return apply_trim(apply, payload, err);
    case STAGE_GONE:
        return apply_gone(apply, payload, err);
    case STAGE_PART:
        return apply_part(apply, payload, err);
    case STAGE_CONTENT:
        return apply_content(apply, payload, err);
    }
    return err_set(err, ERR_DAMAGED, "the stage file is damaged");
}

enum pass { PASS_CONTENTS, PASS_RECORDS };

/* Contents come before the records that use them. */
static bool apply_pass(struct apply *apply, enum pass pass, struct err *err)
{
    apply->pos = 0;
    apply->reader = reader_of(span_of(NULL, 0));
    while (reader_left(&apply->reader) > 0 || apply->pos < apply->cache->stage_len) {
        if (!fill(apply, STAGE_HEAD_LEN, err)) return false;
        enum stage_kind kind = (enum stage_kind)reader_u8(&apply->reader);
        size_t len = reader_u32(&apply->reader);
        if (!fill(apply, len, err)) return false;
        struct span payload = reader_bytes(&apply->reader, len);
        if ((kind == STAGE_CONTENT) != (pass == PASS_CONTENTS)) continue;
        if (!apply_item(apply, kind, payload, err) || !count_item(apply, len, err)) return false;
    }
    return true;
}

/* Rids the contents of those that nothing uses, once they may be half of them. */
static bool sweep(struct apply *apply, struct err *err)
{
    struct cache_db *db = &apply->cache->db;
    MDB_stat stat;
    int code = mdb_stat(apply->txn, db->contents, &stat);
    if (code) return cache_db_failed(err, code);
    uint64_t swept = 0;
    if (!cache_db_number(apply->txn, db->meta, "swept", &swept, err)) return false;
    if (stat.ms_entries < 2 * swept + SWEEP_FROM) return true;
    AUTO(buf) struct buf from = {0};
    do {
        if (!cache_contents_sweep(apply->txn, db->contents, apply->run, &from, SWEEP_BATCH, err))
            return false;
        if (from.len > 0 && !next_batch(apply, err)) return false;
    } while (from.len > 0);
    code = mdb_stat(apply->txn, db->contents, &stat);
    if (code) return cache_db_failed(err, code);
    return cache_db_set_number(apply->txn, db->meta, "swept", stat.ms_entries, err);
}

/* Which bundles the next run shall store anew. */
static bool survey(struct apply *apply, struct err *err)
{
    struct cache_db *db = &apply->cache->db;
    AUTO(buf) struct buf from = {0}, sparse = {0};
    do {
        if (!cache_bundles_survey(apply->txn, db->bundles, apply->run, &from, SWEEP_BATCH, &sparse, err))
            return false;
        if (from.len > 0 && !next_batch(apply, err)) return false;
    } while (from.len > 0);
    MDB_val k = cache_db_val(span_str(SPARSE_NAME)), v = cache_db_val(buf_span(&sparse));
    int code = mdb_put(apply->txn, db->meta, &k, &v, 0);
    return code ? cache_db_failed(err, code) : true;
}

static bool apply_all(struct stat_cache *cache, struct err *err)
{
    AUTO(apply) struct apply apply = {.cache = cache, .run = cache->run + 1};
    if (!next_batch(&apply, err)) return false;
    if (!cache_db_set_number(apply.txn, cache->db.meta, "run", apply.run, err)) return false;
    if (!apply_pass(&apply, PASS_CONTENTS, err) || !apply_pass(&apply, PASS_RECORDS, err)) return false;
    if (!flush_changes(&apply, err)) return false;
    return sweep(&apply, err) && survey(&apply, err) && cache_db_commit(&cache->db, &apply.txn, err);
}

bool stat_cache_apply(struct stat_cache *cache, struct err *err)
{
    if (!stage_flush(cache, err)) return false;
    if (cache->stage_len == 0) return true;
    struct err inner;
    bool applied = apply_all(cache, err);
    /* what was applied of it is true; what was not costs a re-read */
    struct err *second = applied ? err : &inner;
    bool refreshed = cache_db_refresh(&cache->db, second) && stat_cache_read_state(cache, second);
    bool emptied = stage_empty(cache, applied && refreshed ? err : &inner);
    return applied && refreshed && emptied;
}
