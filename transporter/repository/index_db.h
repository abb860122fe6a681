/* The tables of the index and the transactions on them. Private to index*.c. */
#ifndef SEALIFT_REPOSITORY_INDEX_DB_H
#define SEALIFT_REPOSITORY_INDEX_DB_H

#include "transporter/repository/index.h"

#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>

/* Integers in keys are big-endian, so that they sort; in values little-endian.
 *   chunks     first 16 bytes of the id -> pack, offset, length and type, domain (4 each); several
 *   packs      no (4) -> state, class, size, frames, name, session, journal
 *   names      pack name (32) -> no (4)
 *   seals      seal id (16) -> pack, offset, domain (4 each); several
 *   lists      seal id (16), number (8) -> pack (4)
 *   domains    domain id (32) -> no (4)
 *   closed     first 16 bytes of the id, domain (4) -> nothing
 *   points     log number (8) -> point id, time, hash, mark, hold
 *   point_ids  point id (16) -> log number (8)
 *   meta       text -> bytes */
enum index_table {
    TABLE_CHUNKS,
    TABLE_PACKS,
    TABLE_NAMES,
    TABLE_SEALS,
    TABLE_LISTS,
    TABLE_DOMAINS,
    TABLE_CLOSED,
    TABLE_POINTS,
    TABLE_POINT_IDS,
    TABLE_META,
    TABLE_COUNT
};

enum { INDEX_ID_LEN = 16, INDEX_CHUNK_LEN = 16, INDEX_SEAL_LEN = 12, INDEX_TXN_ENTRIES = 1000 };

struct index {
    MDB_env *env;
    MDB_dbi tables[TABLE_COUNT];
    char *dir;
    bool temporary;
    const char *anew; /* why it was emptied when it was opened; NULL: it was not */
    atomic_bool spoiled;
    pthread_rwlock_t map; /* held for reading by every transaction; for writing while the map grows */
    pthread_mutex_t totals_lock;
    struct index_totals totals;
};

/* One write transaction; may run more than once, when the map had to grow: `work` must not keep
 * anything from a run that failed. It returns an LMDB code; every code but MDB_MAP_FULL is final. */
typedef int index_work_fn(struct index *index, MDB_txn *txn, void *arg);
bool index_write(struct index *index, index_work_fn *work, void *arg, struct err *err) MUST_CHECK;

struct index_view {
    struct index *index;
    MDB_txn *txn;
    struct index_pack last; /* the pack asked for last */
};

/* Always false. Notes when the index turns out not to be what was written. */
bool index_error(struct index *index, struct err *err, int code, const char *doing);

static inline MDB_val index_val(const void *data, size_t len)
{
    union {
        const void *from;
        void *to;
    } bytes = {.from = data};
    return (MDB_val){.mv_size = len, .mv_data = bytes.to};
}

/* Big-endian keys. */
static inline void index_key32(uint32_t value, uint8_t out[static 4])
{
    for (int i = 0; i < 4; i++)
        out[i] = (uint8_t)(value >> (24 - 8 * i));
}
static inline void index_key64(uint64_t value, uint8_t out[static 8])
{
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(value >> (56 - 8 * i));
}
static inline uint32_t index_key32_get(const uint8_t *key)
{
    return (uint32_t)key[0] << 24 | (uint32_t)key[1] << 16 | (uint32_t)key[2] << 8 | key[3];
}
static inline uint64_t index_key64_get(const uint8_t *key)
{
    return (uint64_t)index_key32_get(key) << 32 | index_key32_get(key + 4);
}

/* index_packs.c. Whether what lies in the pack may be used so. */
bool index_pack_serves(const struct index_pack *pack, enum index_use use);
bool index_count_totals(struct index *index, struct err *err) MUST_CHECK;

#endif
