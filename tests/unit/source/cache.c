#include "cache.h"

#include <criterion/criterion.h>
#include <string.h>

const struct hash binding = {{1, 2, 3}};
const struct stat_key some_key = {.inode = 7, .size = 100, .mtime_ns = -5, .ctime_ns = 1000};

struct stat_cache *open_cache(const struct tree *tree, bool expect_fresh)
{
    struct stat_cache *cache = NULL;
    enum cache_found found;
    struct err err;
    cr_assert(stat_cache_open(tree->path, &binding, &cache, &found, &err), "%s", err.text);
    cr_assert_eq(found != CACHE_KEPT, expect_fresh);
    return cache;
}

void encode(const char *name, enum entry_type type, uint32_t mode, struct buf *out)
{
    const struct entry entry = {.type = type, .depth = 1, .mode = mode, .name = span_str(name)};
    struct err err;
    buf_clear(out);
    cr_assert(entry_encode(&entry, out, &err), "%s", err.text);
}

void add_child(struct stat_cache_record *record, const char *name, enum entry_type type, uint32_t mode)
{
    AUTO(buf) struct buf encoded = {0};
    struct err err;
    encode(name, type, mode, &encoded);
    cr_assert(stat_cache_record_add(record, span_str(name), &some_key, buf_span(&encoded), &err), "%s",
              err.text);
}

/* Stages the record of a subdirectory as it is, without its own subdirectories' records. */
static void visit(struct stat_cache *cache, const char *dir, const char *name)
{
    AUTO(buf) struct buf path = {0};
    buf_printf(&path, "%s/%s", dir, name);
    AUTO(stat_cache_dir) struct stat_cache_dir *before = stat_cache_dir_get(cache, buf_span(&path));
    AUTO(stat_cache_record) struct stat_cache_record *record = stat_cache_record_new(cache, buf_span(&path));
    struct err err;
    for (; before && before->has_child; stat_cache_dir_step(before)) {
        const struct cached_child *child = &before->child;
        cr_assert(stat_cache_record_add(record, child->name, &child->key, child->encoded, &err), "%s",
                  err.text);
    }
    cr_assert(stat_cache_record_end(record, &err), "%s", err.text);
}

void stage_record(struct stat_cache *cache, const char *dir, const char *children, uint32_t mode)
{
    AUTO(stat_cache_record) struct stat_cache_record *record = stat_cache_record_new(cache, span_str(dir));
    char copy[256], *rest = NULL;
    struct err err;
    (void)snprintf(copy, sizeof(copy), "%s", children);
    for (char *name = strtok_r(copy, " ", &rest); name; name = strtok_r(NULL, " ", &rest)) {
        size_t len = strlen(name);
        bool unknown = name[len - 1] == '?';
        bool is_directory = name[len - 1] == '/';
        if (unknown || is_directory) name[len - 1] = 0;
        if (unknown)
            visit(cache, dir, name);
        else
            add_child(record, name, is_directory ? ENTRY_DIRECTORY : ENTRY_FILE, mode);
    }
    cr_assert(stat_cache_record_end(record, &err), "%s", err.text);
}

void apply(struct stat_cache *cache)
{
    struct err err;
    cr_assert(stat_cache_apply(cache, &err), "%s", err.text);
}

int look_up(struct stat_cache *cache, const char *dir, const char *name, const struct stat_key *key)
{
    AUTO(stat_cache_dir) struct stat_cache_dir *found = stat_cache_dir_get(cache, span_str(dir));
    if (!found) return -1;
    struct span encoded = stat_cache_dir_find(found, span_str(name), key);
    if (encoded.len == 0) return -1;
    struct reader reader = reader_of(encoded);
    struct entry entry;
    struct err err;
    cr_assert(entry_decode(&reader, &entry, &err), "%s", err.text);
    cr_assert(span_eq(entry.name, span_str(name)));
    return (int)entry.mode;
}

bool has_record(struct stat_cache *cache, const char *dir)
{
    AUTO(stat_cache_dir) struct stat_cache_dir *found = stat_cache_dir_get(cache, span_str(dir));
    return found != NULL;
}

off_t staged_bytes(struct stat_cache *cache)
{
    return (off_t)(cache->stage_len + cache->stage.len);
}

void stage_nested(struct stat_cache *cache)
{
    stage_record(cache, "a", "b/ n/ z", 0644);
    stage_record(cache, "a/b", "c/ y", 0644);
    stage_record(cache, "a/b/c", "x", 0644);
    stage_record(cache, "a/n", "x", 0644);
    apply(cache);
}
