#include "transporter/source/cache_bundles.h"

#include "common/base/alloc.h"
#include "transporter/source/cache_db.h"

#include <string.h>

#define VALUE_LEN 16

void bundle_changes_deinit(struct bundle_changes *changes)
{
    free(changes->list);
    *changes = (struct bundle_changes){0};
}

static struct bundle_change *add_change(struct bundle_changes *changes, const uint8_t *ref)
{
    if (changes->count == changes->cap) {
        changes->cap = changes->cap ? changes->cap * 2 : 1024;
        changes->list = xreallocarray(changes->list, changes->cap, sizeof(*changes->list));
    }
    struct bundle_change *change = &changes->list[changes->count++];
    /* an allocation that fails ends the process: NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
    *change = (struct bundle_change){0};
    memcpy(change->key, ref, BUNDLE_KEY_LEN);
    return change;
}

static uint32_t clamp(uint64_t bytes)
{
    return bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)bytes;
}

static uint32_t length_of(const uint8_t *ref)
{
    return clamp(le64_get(ref + HASH_LEN));
}

void bundle_changes_use(struct bundle_changes *changes, const uint8_t ref[REF_LEN], int sign)
{
    add_change(changes, ref)->alive = sign * (int64_t)length_of(ref);
}

void bundle_changes_place(struct bundle_changes *changes, const uint8_t ref[REF_LEN])
{
    uint32_t end = clamp((uint64_t)le32_get(ref + HASH_LEN + 8) + length_of(ref));
    struct bundle_change *last = changes->count > 0 ? &changes->list[changes->count - 1] : NULL;
    if (!last || memcmp(last->key, ref, BUNDLE_KEY_LEN) != 0) last = add_change(changes, ref);
    if (end > last->end) last->end = end;
}

static int by_key(const void *a, const void *b)
{
    const struct bundle_change *left = a, *right = b;
    return memcmp(left->key, right->key, BUNDLE_KEY_LEN);
}

void bundle_changes_sort(struct bundle_changes *changes)
{
    size_t kept = 0;
    if (changes->count == 0) return;
    qsort(changes->list, changes->count, sizeof(*changes->list), by_key);
    for (size_t i = 1; i < changes->count; i++) {
        struct bundle_change *into = &changes->list[kept];
        const struct bundle_change *other = &changes->list[i];
        if (by_key(into, other) != 0) {
            changes->list[++kept] = *other;
            continue;
        }
        into->alive += other->alive;
        if (other->end > into->end) into->end = other->end;
    }
    changes->count = kept + 1;
}

static uint32_t changed(uint32_t alive, int64_t by)
{
    int64_t sum = (int64_t)alive + by;
    return sum < 0 ? 0 : clamp((uint64_t)sum);
}

bool bundle_change_apply(const struct bundle_change *change, MDB_txn *txn, MDB_dbi dbi, uint32_t run,
                         struct err *err)
{
    MDB_val key = cache_db_val(span_of(change->key, BUNDLE_KEY_LEN)), old;
    uint8_t value[VALUE_LEN] = {0};
    int code = mdb_get(txn, dbi, &key, &old);
    if (code && code != MDB_NOTFOUND) return cache_db_failed(err, code);
    if (!code && old.mv_size == VALUE_LEN)
        memcpy(value, old.mv_data, VALUE_LEN);
    else if (change->end == 0)
        return true; /* given up */
    le32_put(value, changed(le32_get(value), change->alive));
    if (change->end > le32_get(value + 4)) le32_put(value + 4, change->end);
    if (change->end > 0) {
        le32_put(value + 8, run);
        le32_put(value + 12, 0);
    }
    MDB_val v = cache_db_val(span_of(value, VALUE_LEN));
    code = mdb_put(txn, dbi, &key, &v, 0);
    return code ? cache_db_failed(err, code) : true;
}

struct survey {
    uint32_t run;
    struct buf *sparse;
};

/* One bundle. What seems dead is kept for one run more: files with the same content as others may be in it,
 * of which only the others are counted. */
static int look_at(void *arg, MDB_cursor *cursor, MDB_val *key, const MDB_val *found)
{
    const struct survey *survey = arg;
    uint8_t value[VALUE_LEN];
    if (found->mv_size != VALUE_LEN || key->mv_size != BUNDLE_KEY_LEN) return mdb_cursor_del(cursor, 0);
    memcpy(value, found->mv_data, VALUE_LEN);
    uint32_t alive = le32_get(value), total = le32_get(value + 4);
    if (le32_get(value + 8) == survey->run || alive >= total - total / 2) return 0;
    bool tried = le32_get(value + 12) != 0;
    if (tried && alive == 0) return mdb_cursor_del(cursor, 0);
    if (survey->sparse->len >= BUNDLES_SPARSE_MAX * BUNDLE_KEY_LEN) return 0;
    buf_put(survey->sparse, key->mv_data, BUNDLE_KEY_LEN);
    if (tried) return 0;
    le32_put(value + 12, 1);
    MDB_val v = cache_db_val(span_of(value, VALUE_LEN));
    return mdb_cursor_put(cursor, key, &v, MDB_CURRENT);
}

bool cache_bundles_survey(MDB_txn *txn, MDB_dbi dbi, uint32_t run, struct buf *from, size_t most,
                          struct buf *sparse, struct err *err)
{
    struct survey survey = {.run = run, .sparse = sparse};
    const struct cache_db_visit visit = {.see = look_at, .arg = &survey};
    return cache_db_page(txn, dbi, from, most, &visit, err);
}

bool cache_bundles_among(struct span sparse, const uint8_t *content_hash)
{
    size_t low = 0, high = sparse.len / BUNDLE_KEY_LEN;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = memcmp(sparse.data + middle * BUNDLE_KEY_LEN, content_hash, BUNDLE_KEY_LEN);
        if (order == 0) return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}
