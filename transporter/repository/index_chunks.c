/* The index's table of chunks, as it is asked: where a frame lies. */
#include "transporter/repository/index_db.h"

#include <stdlib.h>
#include <string.h>

static struct index_location decode_chunk(const uint8_t *bytes)
{
    uint32_t len_and_type = le32_get(bytes + 8);
    return (struct index_location){.pack = le32_get(bytes),
                                   .offset = le32_get(bytes + 4),
                                   .len = len_and_type & 0xffffff,
                                   .type = len_and_type >> 24,
                                   .domain = le32_get(bytes + 12)};
}

static int by_rank(const void *a, const void *b)
{
    const struct index_location *one = a, *other = b;
    bool one_open = one->state == INDEX_OPEN, other_open = other->state == INDEX_OPEN;
    if (one_open != other_open) return one_open ? 1 : -1;
    if (one->pack != other->pack) return one->pack < other->pack ? -1 : 1;
    return (one->offset > other->offset) - (one->offset < other->offset);
}

/* Puts a location where it belongs among the first ones. */
static size_t take_location(const struct index_location *location, struct index_location *out, size_t count)
{
    size_t at = count;
    while (at > 0 && by_rank(location, &out[at - 1]) < 0)
        at--;
    if (at == INDEX_MAX_LOCATIONS) return count;
    size_t kept = count < INDEX_MAX_LOCATIONS ? count : INDEX_MAX_LOCATIONS - 1;
    memmove(&out[at + 1], &out[at], (kept - at) * sizeof(*out));
    out[at] = *location;
    return kept + 1;
}

/* false: it has seen enough */
typedef bool location_fn(void *arg, const struct index_location *location);

struct question {
    const struct hash *id;
    uint32_t domain;
    enum index_use use;
    location_fn *each;
    void *arg;
};

/* false: it has seen enough */
static bool answer(struct index_view *view, const struct question *question, const uint8_t *row)
{
    struct index_pack pack;
    struct index_location location = decode_chunk(row);
    if (question->domain != INDEX_ANY_DOMAIN && location.domain != question->domain) return true;
    if (!index_view_pack(view, location.pack, &pack) || !index_pack_serves(&pack, question->use)) return true;
    location.state = pack.state;
    return question->each(question->arg, &location);
}

/* The first row of the part. */
static int first_row(MDB_cursor *cursor, MDB_val *key, MDB_val *value, const struct index_part *part)
{
    if (!part->begun) return mdb_cursor_get(cursor, key, value, MDB_SET);
    *value = index_val(part->after, sizeof(part->after));
    int code = mdb_cursor_get(cursor, key, value, MDB_GET_BOTH_RANGE);
    bool again = code == 0 && value->mv_size == sizeof(part->after) &&
                 memcmp(value->mv_data, part->after, sizeof(part->after)) == 0;
    return again ? mdb_cursor_get(cursor, key, value, MDB_NEXT_DUP) : code;
}

/* Every location that may be used so, in no order, of at most so many rows. */
static int each_location_of(struct index_view *view, const struct question *question, struct index_part *part,
                            size_t most)
{
    _Static_assert(sizeof(part->after) == INDEX_CHUNK_LEN, "a part goes on behind a row");
    MDB_cursor *cursor;
    MDB_val key = index_val(question->id->bytes, INDEX_ID_LEN);
    MDB_val value;
    int code = mdb_cursor_open(view->txn, view->index->tables[TABLE_CHUNKS], &cursor);
    if (code != 0) return code;
    code = first_row(cursor, &key, &value, part);
    for (size_t rows = 0; code == 0 && rows < most; rows++) {
        if (value.mv_size != INDEX_CHUNK_LEN) {
            code = MDB_CORRUPTED;
            break;
        }
        memcpy(part->after, value.mv_data, INDEX_CHUNK_LEN);
        part->begun = true;
        if (!answer(view, question, value.mv_data)) break;
        code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT_DUP);
    }
    mdb_cursor_close(cursor);
    part->ended = code == MDB_NOTFOUND;
    return part->ended ? 0 : code;
}

static int each_location(struct index_view *view, const struct hash *id, uint32_t domain, enum index_use use,
                         location_fn *each, void *arg)
{
    struct index_part part = {0};
    const struct question question = {.id = id, .domain = domain, .use = use, .each = each, .arg = arg};
    return each_location_of(view, &question, &part, SIZE_MAX);
}

struct first_ones {
    struct index_location *out;
    size_t count;
};

static bool keep_first(void *arg, const struct index_location *location)
{
    struct first_ones *first = arg;
    first->count = take_location(location, first->out, first->count);
    return true;
}

size_t index_locate(struct index_view *view, const struct hash *id, uint32_t domain, enum index_use use,
                    struct index_location out[static INDEX_MAX_LOCATIONS])
{
    struct first_ones first = {.out = out};
    (void)each_location(view, id, domain, use, keep_first, &first);
    return first.count;
}

static bool note_any(void *arg, const struct index_location *location)
{
    bool *found = arg;
    (void)location;
    *found = true;
    return false;
}

bool index_has(struct index_view *view, const struct hash *id, uint32_t domain, enum index_use use)
{
    bool found = false;
    (void)each_location(view, id, domain, use, note_any, &found);
    return found;
}

struct of_type {
    enum frame_type type;
    struct index_location *out;
    bool found;
};

static bool keep_of_type(void *arg, const struct index_location *location)
{
    struct of_type *wanted = arg;
    if (location->type != wanted->type || (wanted->found && by_rank(wanted->out, location) < 0)) return true;
    *wanted->out = *location;
    wanted->found = true;
    return location->state == INDEX_OPEN;
}

bool index_locate_type(struct index_view *view, const struct hash *id, uint32_t domain, enum index_use use,
                       enum frame_type type, struct index_location *out)
{
    struct index_location best;
    struct of_type wanted = {.type = type, .out = &best};
    (void)each_location(view, id, domain, use, keep_of_type, &wanted);
    if (wanted.found) *out = best;
    return wanted.found;
}

static bool keep_all(void *arg, const struct index_location *location)
{
    buf_put(arg, location, sizeof(*location));
    return true;
}

bool index_locate_all(struct index_view *view, const struct hash *id, uint32_t domain, enum index_use use,
                      struct buf *out, struct err *err)
{
    int code = each_location(view, id, domain, use, keep_all, out);
    return code == 0 || index_error(view->index, err, code, "read");
}

bool index_locate_part(struct index_view *view, const struct hash *id, uint32_t domain, enum index_use use,
                       struct index_part *part, struct buf *out, struct err *err)
{
    const struct question question = {.id = id, .domain = domain, .use = use, .each = keep_all, .arg = out};
    int code = each_location_of(view, &question, part, INDEX_PART_MOST);
    return code == 0 || index_error(view->index, err, code, "read");
}

bool index_locate_nth(struct index_view *view, const struct hash *id, uint32_t domain, enum index_use use,
                      size_t nth, struct index_location *out, struct err *err)
{
    AUTO(buf) struct buf all = {0};
    if (!index_locate_all(view, id, domain, use, &all, err)) return false;
    size_t count = all.len / sizeof(*out);
    if (nth >= count) return err_set(err, ERR_NOT_FOUND, "there are %zu copies", count);
    qsort(all.data, count, sizeof(*out), by_rank);
    memcpy(out, all.data + nth * sizeof(*out), sizeof(*out));
    return true;
}

/* --- going through all --- */

enum { CHUNKS_A_VIEW = 100000 };

struct chunk_walk {
    index_chunk_fn *each;
    void *arg;
    uint8_t after[INDEX_ID_LEN]; /* the last id that is done */
    bool begun, ended;
};

static void tell_chunk(const struct chunk_walk *walk, const MDB_val *key, const MDB_val *value)
{
    if (key->mv_size != INDEX_ID_LEN || value->mv_size != INDEX_CHUNK_LEN) return;
    struct index_location location = decode_chunk(value->mv_data);
    walk->each(walk->arg, key->mv_data, &location);
}

/* The next ids, as long as one view is to live. */
static int walk_part(struct chunk_walk *walk, MDB_cursor *cursor)
{
    MDB_val key = index_val(walk->after, INDEX_ID_LEN);
    MDB_val value;
    int code = mdb_cursor_get(cursor, &key, &value, walk->begun ? MDB_SET_RANGE : MDB_FIRST);
    if (code == 0 && walk->begun && memcmp(key.mv_data, walk->after, INDEX_ID_LEN) == 0)
        code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT_NODUP);
    for (size_t n = 0; code == 0 && n < CHUNKS_A_VIEW; n++) {
        memcpy(walk->after, key.mv_data, INDEX_ID_LEN);
        walk->begun = true;
        for (; code == 0; code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT_DUP))
            tell_chunk(walk, &key, &value);
        if (code == MDB_NOTFOUND) code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT_NODUP);
    }
    walk->ended = code == MDB_NOTFOUND;
    return walk->ended ? 0 : code;
}

bool index_each_chunk(struct index *index, index_chunk_fn *each, void *arg, struct err *err)
{
    struct chunk_walk walk = {.each = each, .arg = arg};
    while (!walk.ended) {
        AUTO(index_view) struct index_view *view = NULL;
        MDB_cursor *cursor;
        if (!index_view_open(index, &view, err)) return false;
        int code = mdb_cursor_open(view->txn, index->tables[TABLE_CHUNKS], &cursor);
        if (code != 0) return index_error(index, err, code, "read");
        code = walk_part(&walk, cursor);
        mdb_cursor_close(cursor);
        if (code != 0) return index_error(index, err, code, "read");
    }
    return true;
}
