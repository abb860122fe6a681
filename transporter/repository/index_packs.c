/* The index's table of packs. */
#include "transporter/repository/index_db.h"

#include <errno.h>
#include <string.h>

enum { PACK_ROW_LEN = 1 + 1 + 8 + 8 + HASH_LEN + ID_LEN + 4 };

static void encode_row(const struct index_pack *pack, uint8_t out[static PACK_ROW_LEN])
{
    out[0] = (uint8_t)pack->state;
    out[1] = (uint8_t)pack->class_;
    le64_put(out + 2, pack->size);
    le64_put(out + 10, pack->frames);
    memcpy(out + 18, pack->name.bytes, HASH_LEN);
    memcpy(out + 18 + HASH_LEN, pack->session.bytes, ID_LEN);
    le32_put(out + 18 + HASH_LEN + ID_LEN, pack->journal);
}

static int decode_row(const MDB_val *key, const MDB_val *value, struct index_pack *out)
{
    const uint8_t *row = value->mv_data;
    if (key->mv_size != 4 || value->mv_size != PACK_ROW_LEN || row[0] < INDEX_OPEN || row[0] > INDEX_DAMAGED)
        return MDB_CORRUPTED;
    *out = (struct index_pack){.no = index_key32_get(key->mv_data), .state = row[0], .class_ = row[1]};
    out->size = le64_get(row + 2);
    out->frames = le64_get(row + 10);
    memcpy(out->name.bytes, row + 18, HASH_LEN);
    memcpy(out->session.bytes, row + 18 + HASH_LEN, ID_LEN);
    out->journal = le32_get(row + 18 + HASH_LEN + ID_LEN);
    return 0;
}

static int read_pack(struct index *index, MDB_txn *txn, uint32_t no, struct index_pack *out)
{
    uint8_t bytes[4];
    index_key32(no, bytes);
    MDB_val key = index_val(bytes, sizeof(bytes));
    MDB_val value;
    int code = mdb_get(txn, index->tables[TABLE_PACKS], &key, &value);
    return code ? code : decode_row(&key, &value, out);
}

/* Runs one question in a view of its own. */
typedef int ask_fn(struct index *index, MDB_txn *txn, const void *key, struct index_pack *out);

static bool ask(struct index *index, ask_fn *question, const void *key, struct index_pack *out,
                struct err *err)
{
    AUTO(index_view) struct index_view *view = NULL;
    if (!index_view_open(index, &view, err)) return false;
    struct index_pack pack;
    int code = question(index, view->txn, key, &pack);
    if (code == MDB_NOTFOUND) return err_set(err, ERR_NOT_FOUND, "no such pack in the chunk index");
    if (code != 0) return index_error(index, err, code, "read");
    *out = pack;
    return true;
}

static int get_pack(struct index *index, MDB_txn *txn, const void *key, struct index_pack *out)
{
    return read_pack(index, txn, *(const uint32_t *)key, out);
}

bool index_pack_get(struct index *index, uint32_t no, struct index_pack *out, struct err *err)
{
    return ask(index, get_pack, &no, out, err);
}

static int find_pack(struct index *index, MDB_txn *txn, const void *name, struct index_pack *out)
{
    MDB_val key = index_val(name, HASH_LEN);
    MDB_val value;
    int code = mdb_get(txn, index->tables[TABLE_NAMES], &key, &value);
    if (code != 0) return code;
    if (value.mv_size != 4) return MDB_CORRUPTED;
    return read_pack(index, txn, le32_get(value.mv_data), out);
}

bool index_pack_find(struct index *index, const struct hash *name, struct index_pack *out, struct err *err)
{
    return ask(index, find_pack, name->bytes, out, err);
}

static int pack_by_name(struct index *index, MDB_txn *txn, const void *from, struct index_pack *out)
{
    MDB_cursor *cursor;
    int code = mdb_cursor_open(txn, index->tables[TABLE_NAMES], &cursor);
    if (code != 0) return code;
    MDB_val key = index_val(from, HASH_LEN);
    MDB_val value;
    code = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    uint32_t no = code == 0 && value.mv_size == 4 ? le32_get(value.mv_data) : 0;
    mdb_cursor_close(cursor);
    if (code != 0) return code;
    return read_pack(index, txn, no, out);
}

bool index_pack_by_name(struct index *index, const struct hash *from, struct index_pack *out, struct err *err)
{
    return ask(index, pack_by_name, from->bytes, out, err);
}

static int pack_from(struct index *index, MDB_txn *txn, const void *from, struct index_pack *out)
{
    uint8_t bytes[4];
    index_key32(*(const uint32_t *)from, bytes);
    MDB_cursor *cursor;
    int code = mdb_cursor_open(txn, index->tables[TABLE_PACKS], &cursor);
    if (code != 0) return code;
    MDB_val key = index_val(bytes, sizeof(bytes));
    MDB_val value;
    code = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    if (code == 0) code = decode_row(&key, &value, out);
    mdb_cursor_close(cursor);
    return code;
}

bool index_pack_from(struct index *index, uint32_t no, struct index_pack *out, struct err *err)
{
    return ask(index, pack_from, &no, out, err);
}

bool index_pack_serves(const struct index_pack *pack, enum index_use use)
{
    if (pack->state == INDEX_SWEPT) return false;
    if (pack->state == INDEX_PACK || pack->state == INDEX_OPEN || use == INDEX_FOR_TRACING) return true;
    if (pack->state == INDEX_CONDEMNED && use == INDEX_FOR_PINNED) return true;
    bool readable =
        pack->state == INDEX_CONDEMNED || pack->state == INDEX_DAMAGED || pack->state == INDEX_STRAY;
    return readable && use == INDEX_FOR_READING;
}

bool index_view_pack(struct index_view *view, uint32_t no, struct index_pack *out)
{
    if (view->last.state == 0 || view->last.no != no) {
        struct index_pack pack;
        if (read_pack(view->index, view->txn, no, &pack) != 0) return false;
        view->last = pack;
    }
    *out = view->last;
    return true;
}

/* --- totals --- */

static bool counts(const struct index_pack *pack)
{
    return pack->state == INDEX_PACK || pack->state == INDEX_CONDEMNED || pack->state == INDEX_DAMAGED;
}

static bool is_bad(const struct index_pack *pack)
{
    return pack->state == INDEX_DAMAGED || pack->state == INDEX_LOST;
}

/* One record takes the place of another; either may be NULL. */
static void replace_in_totals(struct index *index, const struct index_pack *old, const struct index_pack *new)
{
    (void)pthread_mutex_lock(&index->totals_lock);
    if (old) index->totals.in_state[old->state]--;
    if (new) index->totals.in_state[new->state]++;
    if (old && is_bad(old)) index->totals.bad--;
    if (new &&is_bad(new)) index->totals.bad++;
    if (old && counts(old)) {
        index->totals.packs--;
        index->totals.bytes -= old->size;
        index->totals.frames -= old->frames;
    }
    if (new &&counts(new)) {
        index->totals.packs++;
        index->totals.bytes += new->size;
        index->totals.frames += new->frames;
    }
    (void)pthread_mutex_unlock(&index->totals_lock);
}

bool index_count_totals(struct index *index, struct err *err)
{
    (void)pthread_mutex_lock(&index->totals_lock);
    index->totals = (struct index_totals){0};
    (void)pthread_mutex_unlock(&index->totals_lock);
    AUTO(index_view) struct index_view *view = NULL;
    MDB_cursor *cursor;
    MDB_val key, value;
    if (!index_view_open(index, &view, err)) return false;
    int code = mdb_cursor_open(view->txn, index->tables[TABLE_PACKS], &cursor);
    if (code != 0) return index_error(index, err, code, "read");
    while ((code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        struct index_pack pack;
        code = decode_row(&key, &value, &pack);
        if (code != 0) break;
        replace_in_totals(index, NULL, &pack);
    }
    mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND || index_error(index, err, code, "read");
}

void index_totals(struct index *index, struct index_totals *out)
{
    (void)pthread_mutex_lock(&index->totals_lock);
    *out = index->totals;
    (void)pthread_mutex_unlock(&index->totals_lock);
}

bool index_has_packs(struct index *index, enum index_state state)
{
    struct index_totals totals;
    index_totals(index, &totals);
    return totals.in_state[state] > 0;
}

/* --- changes --- */

/* Whether the record is of something with a pack's name. */
static bool is_named(const struct index_pack *pack)
{
    return pack->state != INDEX_OPEN && pack->state != INDEX_STRAY;
}

static int put_name(struct index *index, MDB_txn *txn, const struct index_pack *pack)
{
    if (!is_named(pack)) return 0;
    uint8_t no[4];
    le32_put(no, pack->no);
    MDB_val key = index_val(pack->name.bytes, HASH_LEN);
    MDB_val value = index_val(no, sizeof(no));
    return mdb_put(txn, index->tables[TABLE_NAMES], &key, &value, 0);
}

static int put_pack(struct index *index, MDB_txn *txn, const struct index_pack *pack)
{
    uint8_t no[4];
    uint8_t row[PACK_ROW_LEN];
    index_key32(pack->no, no);
    encode_row(pack, row);
    MDB_val key = index_val(no, sizeof(no));
    MDB_val value = index_val(row, sizeof(row));
    int code = mdb_put(txn, index->tables[TABLE_PACKS], &key, &value, 0);
    return code ? code : put_name(index, txn, pack);
}

/* The next number is kept apart, because the highest record may have been dropped. */
static int take_number(struct index *index, MDB_txn *txn, uint32_t *no)
{
    MDB_val key = index_val("next_pack", 9);
    MDB_val value;
    uint8_t bytes[4];
    uint32_t next = 1;
    int code = mdb_get(txn, index->tables[TABLE_META], &key, &value);
    if (code == 0 && value.mv_size != sizeof(bytes)) return MDB_CORRUPTED;
    if (code == 0) next = le32_get(value.mv_data);
    if (code != 0 && code != MDB_NOTFOUND) return code;
    if (next == UINT32_MAX) return EOVERFLOW;
    le32_put(bytes, next + 1);
    value = index_val(bytes, sizeof(bytes));
    *no = next;
    return mdb_put(txn, index->tables[TABLE_META], &key, &value, 0);
}

bool index_next_pack(struct index *index, uint32_t *no, struct err *err)
{
    AUTO(index_view) struct index_view *view = NULL;
    if (!index_view_open(index, &view, err)) return false;
    MDB_val key = index_val("next_pack", 9);
    MDB_val value;
    int code = mdb_get(view->txn, index->tables[TABLE_META], &key, &value);
    if (code == 0 && value.mv_size != 4) code = MDB_CORRUPTED;
    if (code != 0 && code != MDB_NOTFOUND) return index_error(index, err, code, "read");
    *no = code == 0 ? le32_get(value.mv_data) : 1;
    return true;
}

static int add_pack(struct index *index, MDB_txn *txn, void *arg)
{
    struct index_pack *pack = arg;
    int code = take_number(index, txn, &pack->no);
    return code ? code : put_pack(index, txn, pack);
}

bool index_pack_add(struct index *index, struct index_pack *pack, struct err *err)
{
    if (!index_write(index, add_pack, pack, err)) return false;
    replace_in_totals(index, NULL, pack);
    return true;
}

struct pack_change {
    const struct index_pack *pack;
    uint32_t no;
    struct index_pack old;
    bool had_old;
};

static int read_old(struct index *index, MDB_txn *txn, struct pack_change *change)
{
    int code = read_pack(index, txn, change->no, &change->old);
    change->had_old = code == 0;
    return code == MDB_NOTFOUND ? 0 : code;
}

static int set_pack(struct index *index, MDB_txn *txn, void *arg)
{
    struct pack_change *change = arg;
    int code = read_old(index, txn, change);
    if (code == 0) code = put_pack(index, txn, change->pack);
    bool relied_on = change->pack->state == INDEX_PACK || change->pack->state == INDEX_OPEN;
    if (code == 0 && !relied_on) code = mdb_drop(txn, index->tables[TABLE_CLOSED], 0);
    return code;
}

bool index_pack_set(struct index *index, const struct index_pack *pack, struct err *err)
{
    struct pack_change change = {.pack = pack, .no = pack->no};
    if (!index_write(index, set_pack, &change, err)) return false;
    replace_in_totals(index, change.had_old ? &change.old : NULL, pack);
    return true;
}

static int drop_pack(struct index *index, MDB_txn *txn, void *arg)
{
    struct pack_change *change = arg;
    int code = read_old(index, txn, change);
    if (code != 0 || !change->had_old) return code;
    uint8_t no[4];
    index_key32(change->no, no);
    MDB_val key = index_val(no, sizeof(no));
    code = mdb_del(txn, index->tables[TABLE_PACKS], &key, NULL);
    if (code != 0 || !is_named(&change->old)) return code;
    key = index_val(change->old.name.bytes, HASH_LEN);
    code = mdb_del(txn, index->tables[TABLE_NAMES], &key, NULL);
    return code == MDB_NOTFOUND ? 0 : code;
}

bool index_pack_drop(struct index *index, uint32_t no, struct err *err)
{
    struct pack_change change = {.no = no};
    if (!index_write(index, drop_pack, &change, err)) return false;
    if (change.had_old) replace_in_totals(index, &change.old, NULL);
    return true;
}
