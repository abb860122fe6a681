/* The index's tables of chunks, envelopes, lists and domains. */
#include "common/base/alloc.h"
#include "transporter/repository/index_db.h"

#include <stdlib.h>
#include <string.h>

/* --- domains --- */

struct domain_work {
    const struct hash *domain;
    uint32_t no;
};

static int number_domain(struct index *index, MDB_txn *txn, void *arg)
{
    struct domain_work *work = arg;
    MDB_val key = index_val(work->domain->bytes, HASH_LEN);
    MDB_val value;
    int code = mdb_get(txn, index->tables[TABLE_DOMAINS], &key, &value);
    if (code == 0) {
        work->no = le32_get(value.mv_data);
        return 0;
    }
    if (code != MDB_NOTFOUND) return code;
    MDB_stat stat;
    code = mdb_stat(txn, index->tables[TABLE_DOMAINS], &stat);
    if (code != 0) return code;
    uint8_t no[4];
    work->no = (uint32_t)stat.ms_entries + 1; /* none is ever dropped */
    le32_put(no, work->no);
    value = index_val(no, sizeof(no));
    return mdb_put(txn, index->tables[TABLE_DOMAINS], &key, &value, 0);
}

bool index_domain(struct index *index, const struct hash *domain, uint32_t *no, struct err *err)
{
    struct domain_work work = {.domain = domain};
    if (!index_write(index, number_domain, &work, err)) return false;
    *no = work.no;
    return true;
}

/* --- adding --- */

struct add_work {
    uint32_t pack;
    const struct pack_entry *entries;
    size_t count;
    const uint32_t *domains;
    uint32_t envelopes; /* before the first of these entries */
};

static int add_chunk(struct index *index, MDB_txn *txn, uint32_t pack, const struct pack_entry *entry,
                     uint32_t domain)
{
    uint8_t bytes[INDEX_CHUNK_LEN];
    le32_put(bytes, pack);
    le32_put(bytes + 4, entry->offset);
    le32_put(bytes + 8, entry->len | (uint32_t)entry->type << 24);
    le32_put(bytes + 12, domain);
    MDB_val key = index_val(entry->id.bytes, INDEX_ID_LEN);
    MDB_val value = index_val(bytes, sizeof(bytes));
    int code = mdb_put(txn, index->tables[TABLE_CHUNKS], &key, &value, MDB_NODUPDATA);
    return code == MDB_KEYEXIST ? 0 : code;
}

static int add_seal(struct index *index, MDB_txn *txn, uint32_t pack, const struct pack_entry *entry,
                    uint32_t domain)
{
    uint8_t bytes[INDEX_SEAL_LEN];
    le32_put(bytes, pack);
    le32_put(bytes + 4, entry->offset);
    le32_put(bytes + 8, domain);
    MDB_val key = index_val(entry->id.bytes, ID_LEN);
    MDB_val value = index_val(bytes, sizeof(bytes));
    int code = mdb_put(txn, index->tables[TABLE_SEALS], &key, &value, MDB_NODUPDATA);
    return code == MDB_KEYEXIST ? 0 : code;
}

static int add_list(struct index *index, MDB_txn *txn, uint32_t pack, const struct pack_entry *entry)
{
    uint8_t bytes[ID_LEN + 8];
    uint8_t no[4];
    struct id seal = pack_entry_seal(entry);
    memcpy(bytes, seal.bytes, ID_LEN);
    index_key64(pack_entry_number(entry), bytes + ID_LEN);
    le32_put(no, pack);
    MDB_val key = index_val(bytes, sizeof(bytes));
    MDB_val value = index_val(no, sizeof(no));
    return mdb_put(txn, index->tables[TABLE_LISTS], &key, &value, 0);
}

static int add_entries(struct index *index, MDB_txn *txn, void *arg)
{
    const struct add_work *work = arg;
    uint32_t envelope = work->envelopes;
    int code = 0;
    for (size_t i = 0; i < work->count && code == 0; i++) {
        const struct pack_entry *entry = &work->entries[i];
        if (entry->kind == RECORD_ENVELOPE)
            code = add_seal(index, txn, work->pack, entry, work->domains[++envelope]);
        else if (entry->kind == RECORD_FRAME)
            code = add_chunk(index, txn, work->pack, entry, work->domains[entry->envelope]);
        else
            code = add_list(index, txn, work->pack, entry);
    }
    return code;
}

bool index_add(struct index *index, uint32_t pack, const struct pack_entry *entries, size_t count,
               const uint32_t *domains, uint32_t envelopes, struct err *err)
{
    struct add_work work = {.pack = pack, .entries = entries, .domains = domains, .envelopes = envelopes};
    while (count > 0) {
        work.count = count < INDEX_TXN_ENTRIES ? count : INDEX_TXN_ENTRIES;
        if (!index_write(index, add_entries, &work, err)) return false;
        for (size_t i = 0; i < work.count; i++)
            if (work.entries[i].kind == RECORD_ENVELOPE) work.envelopes++;
        work.entries += work.count;
        count -= work.count;
    }
    return true;
}

/* --- forgetting --- */

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

static int forget_entries(struct index *index, MDB_txn *txn, void *arg)
{
    const struct add_work *work = arg;
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
    struct add_work work = {.pack = pack, .entries = entries};
    for (; count > 0; count -= work.count, work.entries += work.count) {
        work.count = count < INDEX_TXN_ENTRIES ? count : INDEX_TXN_ENTRIES;
        if (!index_write(index, forget_entries, &work, err)) return false;
    }
    return true;
}

/* --- asking --- */

static bool is_there(const struct index_pack *pack, enum index_use use)
{
    if (pack->state == INDEX_SWEPT) return false;
    if (pack->state == INDEX_PACK || pack->state == INDEX_OPEN || use == INDEX_FOR_TRACING) return true;
    if (pack->state == INDEX_CONDEMNED && use == INDEX_FOR_PINNED) return true;
    bool readable =
        pack->state == INDEX_CONDEMNED || pack->state == INDEX_DAMAGED || pack->state == INDEX_STRAY;
    return readable && use == INDEX_FOR_READING;
}

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
    if (!index_view_pack(view, location.pack, &pack) || !is_there(&pack, question->use)) return true;
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
    return is_there(&pack, INDEX_FOR_READING) && question->skip-- == 0;
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
            !index_view_pack(view, le32_get(value.mv_data), &pack) || !is_there(&pack, INDEX_FOR_KEEPING))
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
