/* The index's tables of envelopes and lists, as they are asked, and that of closed nodes. */
#include "transporter/repository/index_db.h"

#include <string.h>

/* --- envelopes and lists --- */

typedef bool seal_fn(void *arg, const uint8_t *row);

/* Calls `each` for the places of a seal's envelope until it returns true. */
static bool any_seal(struct index_view *view, const struct id *seal, seal_fn *each, void *arg)
{
    MDB_cursor *cursor;
    if (mdb_cursor_open(view->txn, view->index->tables[TABLE_SEALS], &cursor) != 0) return false;
    MDB_val key = index_val(seal->bytes, ID_LEN);
    MDB_val value;
    bool found = false;
    int code = mdb_cursor_get(cursor, &key, &value, MDB_SET);
    for (; code == 0 && !found; code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT_DUP))
        found = value.mv_size == INDEX_SEAL_LEN && each(arg, value.mv_data);
    mdb_cursor_close(cursor);
    return found;
}

struct seal_question {
    struct index_view *view;
    uint32_t pack;
    size_t skip; /* places to leave out */
    struct index_location found;
};

static bool in_pack(void *arg, const uint8_t *row)
{
    struct seal_question *question = arg;
    question->found.offset = le32_get(row + 4);
    return le32_get(row) == question->pack;
}

bool index_envelope(struct index_view *view, const struct id *seal, uint32_t pack, uint32_t *offset)
{
    struct seal_question question = {.view = view, .pack = pack};
    if (!any_seal(view, seal, in_pack, &question)) return false;
    *offset = question.found.offset;
    return true;
}

static bool in_any_pack(void *arg, const uint8_t *row)
{
    struct seal_question *question = arg;
    struct index_pack pack;
    question->found.pack = le32_get(row);
    question->found.offset = le32_get(row + 4);
    question->found.domain = le32_get(row + 8);
    if (!index_view_pack(question->view, question->found.pack, &pack)) return false;
    question->found.state = pack.state;
    return index_pack_serves(&pack, INDEX_FOR_READING) && question->skip-- == 0;
}

bool index_nth_envelope(struct index_view *view, const struct id *seal, size_t nth,
                        struct index_location *out)
{
    struct seal_question question = {.view = view, .skip = nth};
    if (!any_seal(view, seal, in_any_pack, &question)) return false;
    *out = question.found;
    return true;
}

bool index_next_seal(struct index_view *view, struct id *seal)
{
    MDB_cursor *cursor;
    if (mdb_cursor_open(view->txn, view->index->tables[TABLE_SEALS], &cursor) != 0) return false;
    MDB_val key = index_val(seal->bytes, ID_LEN), value;
    int code = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    if (code == 0 && key.mv_size == ID_LEN && memcmp(key.mv_data, seal->bytes, ID_LEN) == 0)
        code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT_NODUP);
    bool found = code == 0 && key.mv_size == ID_LEN;
    if (found) memcpy(seal->bytes, key.mv_data, ID_LEN);
    mdb_cursor_close(cursor);
    return found;
}

uint64_t index_lists(struct index_view *view, const struct id *seal)
{
    uint8_t bytes[ID_LEN + 8];
    memcpy(bytes, seal->bytes, ID_LEN);
    struct index_pack pack;
    for (uint64_t number = 1;; number++) {
        index_key64(number, bytes + ID_LEN);
        MDB_val key = index_val(bytes, sizeof(bytes));
        MDB_val value;
        if (mdb_get(view->txn, view->index->tables[TABLE_LISTS], &key, &value) != 0 || value.mv_size != 4 ||
            !index_view_pack(view, le32_get(value.mv_data), &pack) ||
            !index_pack_serves(&pack, INDEX_FOR_KEEPING))
            return number - 1;
    }
}

/* --- closed nodes --- */

enum { CLOSED_KEY_LEN = INDEX_ID_LEN + 4 };

static void closed_key(const struct hash *node, uint32_t domain, uint8_t out[static CLOSED_KEY_LEN])
{
    memcpy(out, node->bytes, INDEX_ID_LEN);
    index_key32(domain, out + INDEX_ID_LEN);
}

bool index_is_closed(struct index_view *view, const struct hash *node, uint32_t domain)
{
    uint8_t bytes[CLOSED_KEY_LEN];
    closed_key(node, domain, bytes);
    MDB_val key = index_val(bytes, sizeof(bytes));
    MDB_val value;
    return mdb_get(view->txn, view->index->tables[TABLE_CLOSED], &key, &value) == 0;
}

struct closed_work {
    const struct hash *nodes;
    size_t count;
    uint32_t domain;
};

static int add_closed(struct index *index, MDB_txn *txn, void *arg)
{
    const struct closed_work *work = arg;
    int code = 0;
    for (size_t i = 0; i < work->count && code == 0; i++) {
        uint8_t bytes[CLOSED_KEY_LEN];
        closed_key(&work->nodes[i], work->domain, bytes);
        MDB_val key = index_val(bytes, sizeof(bytes));
        MDB_val value = index_val("", 0);
        code = mdb_put(txn, index->tables[TABLE_CLOSED], &key, &value, 0);
    }
    return code;
}

bool index_add_closed(struct index *index, const struct hash *nodes, size_t count, uint32_t domain,
                      struct err *err)
{
    while (count > 0) {
        size_t part = count < INDEX_TXN_ENTRIES ? count : INDEX_TXN_ENTRIES;
        struct closed_work work = {.nodes = nodes, .count = part, .domain = domain};
        if (!index_write(index, add_closed, &work, err)) return false;
        nodes += part;
        count -= part;
    }
    return true;
}
