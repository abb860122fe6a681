/* Staging: what a run finds out waits in a flat file for the commit. */
#include "transporter/source/stat_cache_parts.h"

#include "common/base/alloc.h"
#include "common/base/file.h"

#include <errno.h>
#include <string.h>

#define STAGE_BUFFER ((size_t)256 * 1024)

struct stat_cache_record {
    struct stat_cache *cache;
    struct stat_cache_record *older, *newer; /* among the open ones */
    struct buf last;                         /* the name added last */
    struct buf visited;                      /* a subdirectory whose own record was begun; empty: none */
    struct stat_cache_dir *before;           /* the current record, followed child by child; NULL: none */
    struct buf path;
    struct part_key key;
    uint32_t part;
    struct buf value; /* of the part being filled */
};

static bool flush_locked(struct stat_cache *cache, struct err *err)
{
    if (!fd_pwrite_all(cache->stage_fd, buf_span(&cache->stage), cache->stage_len, "stage", err))
        return err_wrap(err, "the cache of this job's runs, in state_dir");
    cache->stage_len += cache->stage.len;
    buf_clear(&cache->stage);
    return true;
}

bool stage_put(struct stat_cache *cache, enum stage_kind kind, struct span first, struct span second,
               struct err *err)
{
    (void)pthread_mutex_lock(&cache->stage_mutex);
    buf_put_u8(&cache->stage, (uint8_t)kind);
    buf_put_u32(&cache->stage, (uint32_t)(first.len + second.len));
    buf_put_span(&cache->stage, first);
    buf_put_span(&cache->stage, second);
    bool ok = cache->stage.len < STAGE_BUFFER || flush_locked(cache, err);
    (void)pthread_mutex_unlock(&cache->stage_mutex);
    return ok;
}

bool stage_flush(struct stat_cache *cache, struct err *err)
{
    (void)pthread_mutex_lock(&cache->stage_mutex);
    bool ok = flush_locked(cache, err);
    (void)pthread_mutex_unlock(&cache->stage_mutex);
    return ok;
}

bool stage_empty(struct stat_cache *cache, struct err *err)
{
    buf_clear(&cache->stage);
    cache->stage_len = 0;
    if (ftruncate(cache->stage_fd, 0) != 0) return err_sys(err, errno, "cannot empty the stage file");
    return true;
}

static struct span parent_of(struct span path, struct span *name)
{
    const uint8_t *slash = path.len ? memrchr(path.data, '/', path.len) : NULL;
    size_t len = slash ? (size_t)(slash - path.data) : 0;
    *name = slash ? span_of(slash + 1, path.len - len - 1) : path;
    return span_of(path.data, len);
}

/* The directory above learns that this one is there, and what lies below it is not to be dropped. */
static void open_add(struct stat_cache *cache, struct stat_cache_record *record)
{
    struct span name, parent = parent_of(buf_span(&record->path), &name);
    (void)pthread_mutex_lock(&cache->stage_mutex);
    struct stat_cache_record *above = record->path.len > 0 ? cache->newest : NULL;
    while (above && !span_eq(buf_span(&above->path), parent))
        above = above->older;
    if (above) {
        buf_clear(&above->visited);
        buf_put_span(&above->visited, name);
    }
    record->older = cache->newest;
    if (record->older) record->older->newer = record;
    cache->newest = record;
    (void)pthread_mutex_unlock(&cache->stage_mutex);
}

static void open_remove(struct stat_cache *cache, struct stat_cache_record *record)
{
    (void)pthread_mutex_lock(&cache->stage_mutex);
    if (record->older) record->older->newer = record->newer;
    *(record->newer ? &record->newer->older : &cache->newest) = record->older;
    (void)pthread_mutex_unlock(&cache->stage_mutex);
}

struct stat_cache_record *stat_cache_record_new(struct stat_cache *cache, struct span dir_path)
{
    struct stat_cache_record *record = xcalloc(1, sizeof(*record));
    record->cache = cache;
    record->before = stat_cache_dir_get(cache, dir_path);
    record->key = part_key_of(dir_path);
    buf_put_span(&record->path, dir_path);
    buf_put_u8(&record->value, 0);
    open_add(cache, record);
    return record;
}

void stat_cache_record_free(struct stat_cache_record *record)
{
    if (!record) return;
    open_remove(record->cache, record);
    stat_cache_dir_free(record->before);
    buf_deinit(&record->last);
    buf_deinit(&record->visited);
    buf_deinit(&record->path);
    buf_deinit(&record->value);
    free(record);
}

/* The child that `before` stands at is no directory any more. */
static bool drop_child(struct stat_cache_record *record, struct err *err)
{
    const struct cached_child *child = &record->before->child;
    if (!cached_child_is_directory(child)) return true;
    size_t len = record->path.len;
    if (len > 0) buf_put_u8(&record->path, '/');
    buf_put_span(&record->path, child->name);
    bool ok = stage_put(record->cache, STAGE_GONE, buf_span(&record->path), span_of(NULL, 0), err);
    record->path.len = len;
    return ok;
}

/* Follows the record as it was up to this name; an empty name: to its end. */
static bool follow(struct stat_cache_record *record, struct span name, bool is_directory, struct err *err)
{
    struct stat_cache_dir *before = record->before;
    while (before && before->has_child) {
        int order = name.len > 0 ? span_cmp(before->child.name, name) : -1;
        if (order > 0) return true;
        if ((order < 0 || !is_directory) && !drop_child(record, err)) return false;
        stat_cache_dir_step(before);
    }
    return true;
}

/* Stages the part unless it is already there. */
static bool end_part(struct stat_cache_record *record, struct err *err)
{
    struct cache_db *db = &record->cache->db;
    part_key_set(&record->key, record->part++);
    struct span key = span_of(record->key.bytes, PART_KEY_LEN), value;
    bool same = cache_db_get(db, db->dirs, key, &value) && span_eq(value, buf_span(&record->value));
    bool ok = same || stage_put(record->cache, STAGE_PART, key, buf_span(&record->value), err);
    buf_clear(&record->value);
    buf_put_u8(&record->value, 0);
    return ok;
}

static bool add_child(struct stat_cache_record *record, struct span name, const struct stat_key *key,
                      struct span encoded, struct err *err)
{
    struct cached_child child = {.encoded = encoded};
    if (!follow(record, name, cached_child_is_directory(&child), err)) return false;
    size_t len = encoded.len + name.len;
    if (record->value.len > 1 && record->value.len + len > PART_FULL && !end_part(record, err)) return false;
    cached_child_encode(name, key, encoded, &record->value);
    buf_clear(&record->last);
    buf_put_span(&record->last, name);
    return true;
}

/* A subdirectory that was visited and not added stands in the record without an entry. */
static bool settle_visited(struct stat_cache_record *record, struct err *err)
{
    AUTO(buf) struct buf name = record->visited;
    record->visited = (struct buf){0};
    if (name.len == 0 || span_eq(buf_span(&name), buf_span(&record->last))) return true;
    return add_child(record, buf_span(&name), &(struct stat_key){0}, span_of(NULL, 0), err);
}

bool stat_cache_record_add(struct stat_cache_record *record, struct span name, const struct stat_key *key,
                           struct span encoded, struct err *err)
{
    return settle_visited(record, err) && add_child(record, name, key, encoded, err);
}

bool stat_cache_record_end(struct stat_cache_record *record, struct err *err)
{
    struct cache_db *db = &record->cache->db;
    if (!settle_visited(record, err)) return false;
    if (!follow(record, span_of(NULL, 0), false, err)) return false;
    bool is_empty = record->part == 0 && record->value.len == 1;
    record->value.data[0] = 1;
    if (!is_empty && !end_part(record, err)) return false;
    part_key_set(&record->key, record->part);
    struct span key = span_of(record->key.bytes, PART_KEY_LEN), value;
    if (!cache_db_get(db, db->dirs, key, &value)) return true;
    return stage_put(record->cache, STAGE_TRIM, key, span_of(NULL, 0), err);
}

bool stat_cache_stage_content(struct stat_cache *cache, const struct hash *file_hash, const struct ref *ref,
                              struct err *err)
{
    AUTO(buf) struct buf encoded = {0};
    ref_encode(ref, &encoded);
    return stage_put(cache, STAGE_CONTENT, span_of(file_hash->bytes, HASH_LEN), buf_span(&encoded), err);
}
