#include "transporter/source/stat_cache.h"

#include "common/base/alloc.h"
#include "common/base/file.h"
#include "transporter/source/stat_cache_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

static bool stage_open(struct stat_cache *cache, const char *dir, struct err *err)
{
    AUTO(free) char *path = xasprintf("%s/stage", dir);
    cache->stage_fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    return cache->stage_fd >= 0 ? true : err_sys(err, errno, "cannot create '%s'", path);
}

bool stat_cache_read_state(struct stat_cache *cache, struct err *err)
{
    uint64_t run;
    MDB_txn *txn = cache->db.snapshots[0].txn;
    buf_clear(&cache->sparse);
    if (!cache_db_number(txn, cache->db.meta, "run", &run, err)) return false;
    cache->run = (uint32_t)run;
    MDB_val key = cache_db_val(span_str(SPARSE_NAME)), value;
    if (mdb_get(txn, cache->db.meta, &key, &value) == 0)
        buf_put(&cache->sparse, value.mv_data, value.mv_size);
    return true;
}

bool stat_cache_open(const char *dir, const struct hash *binding, struct stat_cache **out,
                     enum cache_found *found, struct err *err)
{
    if (!dir_make(dir, 0700, err)) return false;
    AUTO(stat_cache) struct stat_cache *cache = xcalloc(1, sizeof(*cache));
    cache->stage_fd = -1;
    cache->binding = *binding;
    (void)pthread_mutex_init(&cache->stage_mutex, NULL);
    enum cache_found state;
    if (!cache_db_open(&cache->db, dir, binding, &state, err)) return false;
    if (!stage_open(cache, dir, err) || !stat_cache_read_state(cache, err)) return false;
    *found = state;
    *out = cache;
    cache = NULL;
    return true;
}

void stat_cache_close(struct stat_cache *cache)
{
    if (!cache) return;
    cache_db_close(&cache->db);
    if (cache->stage_fd >= 0) (void)close(cache->stage_fd);
    buf_deinit(&cache->stage);
    buf_deinit(&cache->sparse);
    (void)pthread_mutex_destroy(&cache->stage_mutex);
    free(cache);
}

bool stat_cache_reset(struct stat_cache *cache, struct err *err)
{
    return stage_empty(cache, err) && cache_db_reset(&cache->db, &cache->binding, err) &&
           stat_cache_read_state(cache, err);
}

/* Opens the part dir->part; at its damage or absence the record ends. */
static bool open_part(struct stat_cache_dir *dir)
{
    struct span value;
    part_key_set(&dir->key, dir->part);
    if (!cache_db_get(&dir->cache->db, dir->cache->db.dirs, span_of(dir->key.bytes, PART_KEY_LEN), &value))
        return false;
    dir->reader = reader_of(value);
    dir->last = reader_u8(&dir->reader) != 0;
    return true;
}

void stat_cache_dir_step(struct stat_cache_dir *dir)
{
    dir->has_child = cached_child_next(&dir->reader, &dir->child);
    while (!dir->has_child && reader_done(&dir->reader) && !dir->last) {
        dir->part++;
        if (!open_part(dir)) return;
        dir->has_child = cached_child_next(&dir->reader, &dir->child);
    }
}

struct stat_cache_dir *stat_cache_dir_get(struct stat_cache *cache, struct span dir_path)
{
    struct stat_cache_dir dir = {.cache = cache, .key = part_key_of(dir_path)};
    if (!open_part(&dir)) return NULL;
    stat_cache_dir_step(&dir);
    struct stat_cache_dir *out = xmalloc(sizeof(*out));
    *out = dir;
    return out;
}

void stat_cache_dir_free(struct stat_cache_dir *dir)
{
    free(dir);
}

struct span stat_cache_dir_find(struct stat_cache_dir *dir, struct span name, const struct stat_key *key)
{
    while (dir->has_child) {
        int order = span_cmp(dir->child.name, name);
        if (order > 0) break;
        if (order == 0) {
            bool same = cached_child_is_unchanged(&dir->child, key);
            return same ? dir->child.encoded : span_of(NULL, 0);
        }
        stat_cache_dir_step(dir);
    }
    return span_of(NULL, 0);
}

struct span stat_cache_dir_named(const struct stat_cache_dir *dir, struct span name)
{
    bool is_it = dir->has_child && span_eq(dir->child.name, name);
    return is_it ? dir->child.encoded : span_of(NULL, 0);
}

bool stat_cache_content(struct stat_cache *cache, const struct hash *file_hash, struct ref *out)
{
    struct span value;
    if (!cache_db_get(&cache->db, cache->db.contents, span_of(file_hash->bytes, HASH_LEN), &value))
        return false;
    struct ref ref;
    if (!cache_content_read(value, cache->run, &ref)) return false;
    if (cache_bundles_among(buf_span(&cache->sparse), ref.content.bytes)) return false;
    *out = ref;
    return true;
}

bool stat_cache_entry_content(struct span encoded, const struct hash *file_hash, struct ref *out)
{
    struct cached_child child = {.encoded = encoded};
    const uint8_t *ref = cached_child_ref(&child);
    if (!ref || memcmp(encoded.data + CACHED_FILE_HASH, file_hash->bytes, HASH_LEN) != 0) return false;
    struct reader reader = reader_of(span_of(ref, REF_LEN));
    struct err err;
    return ref_decode(&reader, out, &err);
}

bool stat_cache_wants_anew(const struct stat_cache *cache, struct span encoded)
{
    if (cache->sparse.len == 0) return false;
    struct cached_child child = {.encoded = encoded};
    const uint8_t *ref = cached_child_ref(&child);
    return ref && cache_bundles_among(buf_span(&cache->sparse), ref);
}
