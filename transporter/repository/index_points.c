/* The index's tables of the log: its head and its points. */
#include "transporter/repository/index_db.h"

#include <string.h>

enum {
    POINT_ROW_LEN = ID_LEN + 8 + HASH_LEN + 2,
    CHAIN_ROW_LEN = 2 * ID_LEN + 1 + 2 * SIGN_PK_LEN + 8 + 8 + HASH_LEN + 8
};

/* --- the log position --- */

static int put_chain(struct index *index, MDB_txn *txn, void *arg)
{
    const struct chain *chain = arg;
    uint8_t row[CHAIN_ROW_LEN];
    uint8_t *at = row;
    memcpy(at, chain->site.bytes, ID_LEN);
    memcpy(at += ID_LEN, chain->repository.bytes, ID_LEN);
    *(at += ID_LEN) = (uint8_t)chain->kind;
    memcpy(at += 1, chain->founder, SIGN_PK_LEN);
    memcpy(at += SIGN_PK_LEN, chain->owner, SIGN_PK_LEN);
    le64_put(at += SIGN_PK_LEN, chain->owner_version);
    le64_put(at += 8, chain->number);
    memcpy(at += 8, chain->hash.bytes, HASH_LEN);
    le64_put(at + HASH_LEN, chain->time_ns);
    MDB_val key = index_val("chain", 5);
    MDB_val value = index_val(row, sizeof(row));
    return mdb_put(txn, index->tables[TABLE_META], &key, &value, 0);
}

bool index_set_chain(struct index *index, const struct chain *chain, struct err *err)
{
    struct chain copy = *chain;
    return index_write(index, put_chain, &copy, err);
}

static int put_proven(struct index *index, MDB_txn *txn, void *arg)
{
    MDB_val key = index_val("proven", 6);
    MDB_val value = index_val("", 0);
    return mdb_put(txn, index->tables[TABLE_META], &key, &value, 0);
}

bool index_set_proven(struct index *index, struct err *err)
{
    return index_is_proven(index) || index_write(index, put_proven, NULL, err);
}

bool index_is_proven(struct index *index)
{
    AUTO(index_view) struct index_view *view = NULL;
    struct err ignored;
    MDB_val key = index_val("proven", 6), value;
    return index_view_open(index, &view, &ignored) &&
           mdb_get(view->txn, index->tables[TABLE_META], &key, &value) == 0;
}

bool index_chain(struct index *index, struct chain *out, struct err *err)
{
    AUTO(index_view) struct index_view *view = NULL;
    if (!index_view_open(index, &view, err)) return false;
    MDB_val key = index_val("chain", 5);
    MDB_val value;
    struct chain chain = {0};
    int code = mdb_get(view->txn, index->tables[TABLE_META], &key, &value);
    if (code != 0 && code != MDB_NOTFOUND) return index_error(index, err, code, "read");
    if (code == 0) {
        struct reader reader = reader_of(span_of(value.mv_data, value.mv_size));
        reader_copy(&reader, chain.site.bytes, ID_LEN);
        reader_copy(&reader, chain.repository.bytes, ID_LEN);
        chain.kind = reader_u8(&reader);
        reader_copy(&reader, chain.founder, SIGN_PK_LEN);
        reader_copy(&reader, chain.owner, SIGN_PK_LEN);
        chain.owner_version = reader_u64(&reader);
        chain.number = reader_u64(&reader);
        reader_copy(&reader, chain.hash.bytes, HASH_LEN);
        chain.time_ns = reader_u64(&reader);
        if (!reader_done(&reader)) return index_error(index, err, MDB_CORRUPTED, "read");
    }
    *out = chain;
    return true;
}

/* --- points --- */

static int decode_point(const MDB_val *key, const MDB_val *value, struct repository_point *out,
                        enum index_mark *mark)
{
    if (key->mv_size != 8 || value->mv_size != POINT_ROW_LEN) return MDB_CORRUPTED;
    const uint8_t *row = value->mv_data;
    out->number = index_key64_get(key->mv_data);
    memcpy(out->point.bytes, row, ID_LEN);
    out->time_ns = le64_get(row + ID_LEN);
    memcpy(out->hash.bytes, row + ID_LEN + 8, HASH_LEN);
    *mark = row[ID_LEN + 8 + HASH_LEN];
    out->hold = row[ID_LEN + 8 + HASH_LEN + 1];
    return 0;
}

struct point_work {
    struct repository_point point;
    enum index_mark mark;
};

static void encode_point(const struct repository_point *point, enum index_mark mark,
                         uint8_t row[static POINT_ROW_LEN])
{
    memcpy(row, point->point.bytes, ID_LEN);
    le64_put(row + ID_LEN, point->time_ns);
    memcpy(row + ID_LEN + 8, point->hash.bytes, HASH_LEN);
    row[ID_LEN + 8 + HASH_LEN] = (uint8_t)mark;
    row[ID_LEN + 8 + HASH_LEN + 1] = (uint8_t)point->hold;
}

static int put_row(struct index *index, MDB_txn *txn, const struct repository_point *point,
                   enum index_mark mark)
{
    uint8_t number[8];
    uint8_t row[POINT_ROW_LEN];
    index_key64(point->number, number);
    encode_point(point, mark, row);
    MDB_val key = index_val(number, sizeof(number));
    MDB_val value = index_val(row, sizeof(row));
    return mdb_put(txn, index->tables[TABLE_POINTS], &key, &value, 0);
}

static int put_point(struct index *index, MDB_txn *txn, void *arg)
{
    const struct point_work *work = arg;
    uint8_t number[8];
    index_key64(work->point.number, number);
    MDB_val key = index_val(work->point.point.bytes, ID_LEN);
    MDB_val value = index_val(number, sizeof(number));
    int code = mdb_put(txn, index->tables[TABLE_POINT_IDS], &key, &value, 0);
    return code ? code : put_row(index, txn, &work->point, work->mark);
}

bool index_point_put(struct index *index, const struct repository_point *point, struct err *err)
{
    struct point_work work = {.point = *point, .mark = INDEX_THERE};
    return index_write(index, put_point, &work, err);
}

static int find_point(struct index *index, MDB_txn *txn, const struct id *point, struct point_work *out)
{
    MDB_val key = index_val(point->bytes, ID_LEN);
    MDB_val number;
    MDB_val value;
    int code = mdb_get(txn, index->tables[TABLE_POINT_IDS], &key, &number);
    if (code == 0) code = mdb_get(txn, index->tables[TABLE_POINTS], &number, &value);
    return code ? code : decode_point(&number, &value, &out->point, &out->mark);
}

static int mark_point(struct index *index, MDB_txn *txn, void *arg)
{
    const struct point_work *work = arg;
    struct point_work found;
    int code = find_point(index, txn, &work->point.point, &found);
    return code ? code : put_row(index, txn, &found.point, work->mark);
}

/* A point that is not in the table is no fault of the index. */
static bool change_point(struct index *index, index_work_fn *change, struct point_work *work, struct err *err)
{
    struct repository_point known;
    enum index_mark mark;
    return index_point_find(index, &work->point.point, &known, &mark, err) &&
           index_write(index, change, work, err);
}

bool index_point_mark(struct index *index, const struct id *point, enum index_mark mark, struct err *err)
{
    struct point_work work = {.point = {.point = *point}, .mark = mark};
    return change_point(index, mark_point, &work, err);
}

static int hold_point(struct index *index, MDB_txn *txn, void *arg)
{
    const struct point_work *work = arg;
    struct point_work found;
    int code = find_point(index, txn, &work->point.point, &found);
    found.point.hold = work->point.hold;
    return code ? code : put_row(index, txn, &found.point, found.mark);
}

bool index_point_hold(struct index *index, const struct id *point, enum repository_hold hold, struct err *err)
{
    struct point_work work = {.point = {.point = *point, .hold = hold}};
    return change_point(index, hold_point, &work, err);
}

static int void_points(struct index *index, MDB_txn *txn, void *arg)
{
    MDB_cursor *cursor;
    MDB_val key;
    MDB_val value;
    int code = mdb_cursor_open(txn, index->tables[TABLE_POINTS], &cursor);
    if (code != 0) return code;
    code = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    for (; code == 0; code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) {
        struct repository_point point;
        enum index_mark mark;
        uint8_t row[POINT_ROW_LEN];
        code = decode_point(&key, &value, &point, &mark);
        if (code != 0) break;
        if (mark != INDEX_REMOVED) continue;
        encode_point(&point, INDEX_VOID, row);
        value = index_val(row, sizeof(row));
        code = mdb_cursor_put(cursor, &key, &value, MDB_CURRENT);
        if (code != 0) break;
    }
    mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? 0 : code;
}

bool index_points_void(struct index *index, struct err *err)
{
    return index_write(index, void_points, NULL, err);
}

bool index_point_find(struct index *index, const struct id *point, struct repository_point *out,
                      enum index_mark *mark, struct err *err)
{
    AUTO(index_view) struct index_view *view = NULL;
    if (!index_view_open(index, &view, err)) return false;
    struct point_work found;
    int code = find_point(index, view->txn, point, &found);
    if (code == MDB_NOTFOUND) return err_set(err, ERR_NOT_FOUND, "the log names no such point");
    if (code != 0) return index_error(index, err, code, "read");
    *out = found.point;
    *mark = found.mark;
    return true;
}

/* The first point that is there at or after the cursor's position. */
static int next_there(MDB_cursor *cursor, MDB_val *key, MDB_cursor_op op, struct repository_point *out)
{
    MDB_val value;
    int code = mdb_cursor_get(cursor, key, &value, op);
    for (; code == 0; code = mdb_cursor_get(cursor, key, &value, MDB_NEXT)) {
        enum index_mark mark;
        code = decode_point(key, &value, out, &mark);
        if (code != 0 || mark == INDEX_THERE) return code;
    }
    return code;
}

bool index_point_from(struct index *index, uint64_t number, struct repository_point *out, struct err *err)
{
    AUTO(index_view) struct index_view *view = NULL;
    if (!index_view_open(index, &view, err)) return false;
    uint8_t bytes[8];
    index_key64(number, bytes);
    MDB_val key = index_val(bytes, sizeof(bytes));
    MDB_cursor *cursor;
    int code = mdb_cursor_open(view->txn, index->tables[TABLE_POINTS], &cursor);
    if (code != 0) return index_error(index, err, code, "read");
    struct repository_point point;
    code = next_there(cursor, &key, MDB_SET_RANGE, &point);
    mdb_cursor_close(cursor);
    if (code == MDB_NOTFOUND) return err_set(err, ERR_NOT_FOUND, "no more points");
    if (code != 0) return index_error(index, err, code, "read");
    *out = point;
    return true;
}

bool index_point_count(struct index *index, uint64_t *out, struct err *err)
{
    uint64_t count = 0;
    struct repository_point point = {0};
    for (uint64_t number = 0; index_point_from(index, number, &point, err); number = point.number + 1)
        count++;
    if (err->code != ERR_NOT_FOUND) return false;
    *out = count;
    return true;
}
