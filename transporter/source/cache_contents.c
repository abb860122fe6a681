#include "transporter/source/cache_contents.h"

#include "common/base/alloc.h"
#include "transporter/source/cache_db.h"

#include <string.h>

#define VALUE_LEN (8 + REF_LEN)

bool cache_content_read(struct span value, uint32_t last_run, struct ref *out)
{
    struct reader reader = reader_of(value);
    struct err err;
    uint32_t uses = reader_u32(&reader);
    uint32_t run = reader_u32(&reader);
    return (uses > 0 || run == last_run) && ref_decode(&reader, out, &err);
}

void content_changes_deinit(struct content_changes *changes)
{
    free(changes->list);
    *changes = (struct content_changes){0};
}

static struct content_change *add_change(struct content_changes *changes, struct span hash)
{
    if (changes->count == changes->cap) {
        changes->cap = changes->cap ? changes->cap * 2 : 1024;
        changes->list = xreallocarray(changes->list, changes->cap, sizeof(*changes->list));
    }
    struct content_change *change = &changes->list[changes->count++];
    *change = (struct content_change){0};
    memcpy(change->hash.bytes, hash.data, HASH_LEN);
    return change;
}

void content_changes_place(struct content_changes *changes, struct span hash, struct span ref)
{
    struct content_change *change = add_change(changes, hash);
    change->placed = true;
    memcpy(change->ref, ref.data, REF_LEN);
}

/* The file hash of a child whose content is one reference to a data chunk; else empty. */
static struct span bundled(const struct cached_child *child)
{
    if (!cached_child_ref(child)) return span_of(NULL, 0);
    return span_of(child->encoded.data + CACHED_FILE_HASH, HASH_LEN);
}

/* A cursor over a part's children. */
struct children {
    struct reader reader;
    bool has;
    struct cached_child child;
};

static void step(struct children *children)
{
    children->has = cached_child_next(&children->reader, &children->child);
}

static struct children children_of(struct span part)
{
    struct children children = {.reader = reader_of(part)};
    (void)reader_u8(&children.reader);
    step(&children);
    return children;
}

static void count_child(struct content_changes *changes, const struct cached_child *child, int by)
{
    struct span hash = bundled(child);
    if (hash.len > 0) add_change(changes, hash)->uses = by;
}

void content_changes_replace(struct content_changes *changes, struct span old_part, struct span new_part)
{
    struct children old = children_of(old_part), new = children_of(new_part);
    while (old.has || new.has) {
        int order = !new.has ? -1 : !old.has ? 1 : span_cmp(old.child.name, new.child.name);
        bool same = order == 0 && span_eq(bundled(&old.child), bundled(&new.child));
        if (order >= 0 && !same) count_child(changes, &new.child, 1);
        if (order <= 0 && !same) count_child(changes, &old.child, -1);
        if (order >= 0) step(&new);
        if (order <= 0) step(&old);
    }
}

static int by_hash(const void *a, const void *b)
{
    const struct content_change *left = a, *right = b;
    return hash_cmp(&left->hash, &right->hash);
}

static void merge(struct content_change *into, const struct content_change *other)
{
    into->uses += other->uses;
    if (!other->placed) return;
    into->placed = true;
    memcpy(into->ref, other->ref, REF_LEN);
}

void content_changes_sort(struct content_changes *changes)
{
    size_t kept = 0;
    if (changes->count == 0) return;
    qsort(changes->list, changes->count, sizeof(*changes->list), by_hash);
    for (size_t i = 1; i < changes->count; i++) {
        if (hash_eq(&changes->list[kept].hash, &changes->list[i].hash))
            merge(&changes->list[kept], &changes->list[i]);
        else
            changes->list[++kept] = changes->list[i];
    }
    changes->count = kept + 1;
}

static uint32_t changed_uses(uint32_t uses, int32_t by)
{
    int64_t sum = (int64_t)uses + by;
    return sum < 0 ? 0 : sum > UINT32_MAX ? UINT32_MAX : (uint32_t)sum;
}

/* `before` and `after`: a content's values; `before` is zeros if there was none. */
static void tell_bundles(struct bundle_changes *bundles, const uint8_t *before, const uint8_t *after)
{
    bool was_used = le32_get(before) > 0, is_used = le32_get(after) > 0;
    bool moved = memcmp(before + 8, after + 8, REF_LEN) != 0;
    if (was_used && (moved || !is_used)) bundle_changes_use(bundles, before + 8, -1);
    if (is_used && (moved || !was_used)) bundle_changes_use(bundles, after + 8, 1);
}

bool content_change_apply(const struct content_change *change, MDB_txn *txn, MDB_dbi dbi, uint32_t run,
                          struct bundle_changes *bundles, struct err *err)
{
    MDB_val key = cache_db_val(span_of(change->hash.bytes, HASH_LEN)), old;
    uint8_t before[VALUE_LEN] = {0}, value[VALUE_LEN];
    int code = mdb_get(txn, dbi, &key, &old);
    if (code && code != MDB_NOTFOUND) return cache_db_failed(err, code);
    bool found = !code && old.mv_size == VALUE_LEN;
    /* used, and never placed: a content that is no part of a bundle */
    if (!found && !change->placed) return true;
    if (found) memcpy(before, old.mv_data, VALUE_LEN);
    memcpy(value, before, VALUE_LEN);
    if (change->placed) {
        le32_put(value + 4, run);
        memcpy(value + 8, change->ref, REF_LEN);
    }
    le32_put(value, changed_uses(le32_get(value), change->uses));
    tell_bundles(bundles, before, value);
    MDB_val v = cache_db_val(span_of(value, VALUE_LEN));
    code = mdb_put(txn, dbi, &key, &v, 0);
    return code ? cache_db_failed(err, code) : true;
}

static bool is_unused(const MDB_val *value, uint32_t run)
{
    const uint8_t *bytes = value->mv_data;
    return value->mv_size != VALUE_LEN || (le32_get(bytes) == 0 && le32_get(bytes + 4) != run);
}

static int sweep(void *arg, MDB_cursor *cursor, MDB_val *key, const MDB_val *value)
{
    const uint32_t *run = arg;
    (void)key;
    return is_unused(value, *run) ? mdb_cursor_del(cursor, 0) : 0;
}

bool cache_contents_sweep(MDB_txn *txn, MDB_dbi dbi, uint32_t run, struct buf *from, size_t most,
                          struct err *err)
{
    const struct cache_db_visit visit = {.see = sweep, .arg = &run};
    return cache_db_page(txn, dbi, from, most, &visit, err);
}
