/* What the index is told of a pack: its frames, envelopes and lists, and their domains. */
#include "transporter/repository/index_db.h"

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
