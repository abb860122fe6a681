/* Taking out of the index what it says of packs: by their tables of contents, or, of those of which nobody can
 * tell any more what they held, by going through all of it. */
#include "transporter/repository/index_db.h"

#include <string.h>

/* --- what a pack's own table of contents names --- */

/* Deletes the row of `key` that begins with these bytes; none is fine. */
static int delete_row(struct index *index, MDB_txn *txn, enum index_table table, MDB_val key,
                      const uint8_t *start, size_t start_len, size_t row_len)
{
    uint8_t least[INDEX_CHUNK_LEN] = {0};
    memcpy(least, start, start_len);
    MDB_cursor *cursor;
    int code = mdb_cursor_open(txn, index->tables[table], &cursor);
    if (code != 0) return code;
    MDB_val value = index_val(least, row_len);
    code = mdb_cursor_get(cursor, &key, &value, MDB_GET_BOTH_RANGE);
    if (code == 0 && value.mv_size == row_len && memcmp(value.mv_data, start, start_len) == 0)
        code = mdb_cursor_del(cursor, 0);
    mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? 0 : code;
}

/* A later pack may hold the list too, and have taken the row. */
static int delete_list(struct index *index, MDB_txn *txn, uint32_t pack, const struct pack_entry *entry)
{
    uint8_t bytes[ID_LEN + 8];
    struct id seal = pack_entry_seal(entry);
    memcpy(bytes, seal.bytes, ID_LEN);
    index_key64(pack_entry_number(entry), bytes + ID_LEN);
    MDB_val key = index_val(bytes, sizeof(bytes));
    MDB_val value;
    int code = mdb_get(txn, index->tables[TABLE_LISTS], &key, &value);
    if (code == 0 && value.mv_size == 4 && le32_get(value.mv_data) == pack)
        code = mdb_del(txn, index->tables[TABLE_LISTS], &key, NULL);
    return code == MDB_NOTFOUND ? 0 : code;
}

struct forget_work {
    uint32_t pack;
    const struct pack_entry *entries;
    size_t count;
};

static int forget_entries(struct index *index, MDB_txn *txn, void *arg)
{
    const struct forget_work *work = arg;
    int code = 0;
    for (size_t i = 0; i < work->count && code == 0; i++) {
        const struct pack_entry *entry = &work->entries[i];
        uint8_t start[8];
        le32_put(start, work->pack);
        le32_put(start + 4, entry->offset);
        MDB_val key = index_val(entry->id.bytes, INDEX_ID_LEN);
        if (entry->kind == RECORD_LIST)
            code = delete_list(index, txn, work->pack, entry);
        else if (entry->kind == RECORD_FRAME)
            code = delete_row(index, txn, TABLE_CHUNKS, key, start, sizeof(start), INDEX_CHUNK_LEN);
        else
            code = delete_row(index, txn, TABLE_SEALS, key, start, sizeof(start), INDEX_SEAL_LEN);
    }
    return code;
}

bool index_forget(struct index *index, uint32_t pack, const struct pack_entry *entries, size_t count,
                  struct err *err)
{
    struct forget_work work = {.pack = pack, .entries = entries};
    for (; count > 0; count -= work.count, work.entries += work.count) {
        work.count = count < INDEX_TXN_ENTRIES ? count : INDEX_TXN_ENTRIES;
        if (!index_write(index, forget_entries, &work, err)) return false;
    }
    return true;
}

/* --- all of some packs --- */

enum { KEYS_A_VIEW = 100000, KEY_MAX = ID_LEN + 8, ROWS_A_VIEW = 10000 };

/* One row, and where it is. */
struct row {
    uint8_t key[KEY_MAX], value[INDEX_CHUNK_LEN];
    uint8_t key_len, value_len;
};

struct forgetting {
    const bool *gone;
    uint32_t count;
    enum index_table table;
    uint8_t after[KEY_MAX]; /* the last key that is done */
    size_t after_len;
    bool ended;
    struct buf rows; /* struct row each: found, and to be deleted */
    size_t deleted;
};

static void forgetting_deinit(struct forgetting *forgetting)
{
    buf_deinit(&forgetting->rows);
}
DEFINE_AUTO_IN_PLACE(forgetting, struct forgetting, forgetting_deinit)

/* In all three tables a row begins with the pack's number. */
static void note_row(struct forgetting *forgetting, const MDB_val *key, const MDB_val *value)
{
    struct row row = {.key_len = (uint8_t)key->mv_size, .value_len = (uint8_t)value->mv_size};
    if (key->mv_size > KEY_MAX || value->mv_size < 4 || value->mv_size > sizeof(row.value)) return;
    uint32_t pack = le32_get(value->mv_data);
    if (pack >= forgetting->count || !forgetting->gone[pack]) return;
    memcpy(row.key, key->mv_data, key->mv_size);
    memcpy(row.value, value->mv_data, value->mv_size);
    buf_put(&forgetting->rows, &row, sizeof(row));
}

static bool is_same(const struct forgetting *forgetting, const MDB_val *key)
{
    return key->mv_size == forgetting->after_len &&
           memcmp(key->mv_data, forgetting->after, key->mv_size) == 0;
}

/* The next keys, with all rows of each. */
static int find_rows(struct forgetting *forgetting, MDB_cursor *cursor)
{
    MDB_val key = index_val(forgetting->after, forgetting->after_len);
    MDB_val value;
    bool begun = forgetting->after_len > 0;
    int code = mdb_cursor_get(cursor, &key, &value, begun ? MDB_SET_RANGE : MDB_FIRST);
    if (code == 0 && begun && is_same(forgetting, &key))
        code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT_NODUP);
    for (size_t n = 0;
         code == 0 && n < KEYS_A_VIEW && forgetting->rows.len < ROWS_A_VIEW * sizeof(struct row); n++) {
        if (key.mv_size == 0 || key.mv_size > KEY_MAX) return MDB_CORRUPTED;
        memcpy(forgetting->after, key.mv_data, key.mv_size);
        forgetting->after_len = key.mv_size;
        for (; code == 0 && is_same(forgetting, &key); code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT))
            note_row(forgetting, &key, &value);
    }
    forgetting->ended = code == MDB_NOTFOUND;
    return forgetting->ended ? 0 : code;
}

static int delete_rows(struct index *index, MDB_txn *txn, void *arg)
{
    const struct forgetting *forgetting = arg;
    const struct row *rows = (const struct row *)(const void *)forgetting->rows.data;
    size_t count = forgetting->rows.len / sizeof(*rows), end = forgetting->deleted + INDEX_TXN_ENTRIES;
    int code = 0;
    for (size_t i = forgetting->deleted; i < count && i < end && code == 0; i++) {
        MDB_val key = index_val(rows[i].key, rows[i].key_len);
        MDB_val value = index_val(rows[i].value, rows[i].value_len);
        MDB_val now;
        code = mdb_get(txn, index->tables[forgetting->table], &key, &now);
        /* a list has one row, which a later pack may have taken meanwhile */
        bool another =
            forgetting->table == TABLE_LISTS && (code != 0 || now.mv_size != value.mv_size ||
                                                 memcmp(now.mv_data, value.mv_data, value.mv_size) != 0);
        if (code == 0 && !another) code = mdb_del(txn, index->tables[forgetting->table], &key, &value);
        if (code == MDB_NOTFOUND) code = 0;
    }
    return code;
}

static bool delete_found(struct index *index, struct forgetting *forgetting, struct err *err)
{
    size_t count = forgetting->rows.len / sizeof(struct row);
    for (forgetting->deleted = 0; forgetting->deleted < count; forgetting->deleted += INDEX_TXN_ENTRIES)
        if (!index_write(index, delete_rows, forgetting, err)) return false;
    buf_clear(&forgetting->rows);
    return true;
}

static bool find_part(struct index *index, struct forgetting *forgetting, struct err *err)
{
    AUTO(index_view) struct index_view *view = NULL;
    MDB_cursor *cursor;
    if (!index_view_open(index, &view, err)) return false;
    int code = mdb_cursor_open(view->txn, index->tables[forgetting->table], &cursor);
    if (code != 0) return index_error(index, err, code, "read");
    code = find_rows(forgetting, cursor);
    mdb_cursor_close(cursor);
    return code == 0 || index_error(index, err, code, "read");
}

bool index_forget_packs(struct index *index, const bool *gone, uint32_t count, struct err *err)
{
    static const enum index_table tables[] = {TABLE_CHUNKS, TABLE_SEALS, TABLE_LISTS};
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        AUTO(forgetting) struct forgetting forgetting = {.gone = gone, .count = count, .table = tables[i]};
        while (!forgetting.ended)
            if (!find_part(index, &forgetting, err) || !delete_found(index, &forgetting, err)) return false;
    }
    return true;
}
