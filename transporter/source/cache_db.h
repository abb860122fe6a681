/* The stat cache's database: opening it only if it can be trusted, and reading it. Private to
 * stat_cache*.c. */
#ifndef SEALIFT_SOURCE_CACHE_DB_H
#define SEALIFT_SOURCE_CACHE_DB_H

#include "common/base/bytes.h"
#include "common/base/err.h"
#include "common/crypto/hash.h"
#include "transporter/source/stat_cache.h"

#include <lmdb.h>
#include <pthread.h>

/* LMDB wants a transaction used by one thread at a time. */
struct cache_snapshot {
    pthread_mutex_t mutex;
    MDB_txn *txn;
};

enum { CACHE_SNAPSHOTS = 16 }; /* more than threads that look something up at the same time */

struct cache_db {
    char *dir;
    int lock_fd;
    MDB_env *env;
    MDB_dbi dirs, contents, bundles, meta;
    bool marked; /* the state file says that it is being changed */
    /* The same state in each, or NULL in all; records point into it. The key decides which one is asked,
     * so that many threads rarely wait for each other. */
    struct cache_snapshot snapshots[CACHE_SNAPSHOTS];
};

/* *found as stat_cache_open has it. */
bool cache_db_open(struct cache_db *db, const char *dir, const struct hash *binding, enum cache_found *found,
                   struct err *err) MUST_CHECK;
void cache_db_close(struct cache_db *db);
/* Empties it, durably of the same binding. */
bool cache_db_reset(struct cache_db *db, const struct hash *binding, struct err *err) MUST_CHECK;

/* Good until the next change, of a key that begins with bytes of a hash; false if it is not there. Any
 * thread. */
bool cache_db_get(struct cache_db *db, MDB_dbi dbi, struct span key, struct span *value);

/* A change: ends the snapshot, after telling the disk that the database is not to be trusted. */
bool cache_db_begin(struct cache_db *db, MDB_txn **txn, struct err *err) MUST_CHECK;
bool cache_db_commit(struct cache_db *db, MDB_txn **txn, struct err *err) MUST_CHECK;
/* A snapshot of what is there now. */
bool cache_db_refresh(struct cache_db *db, struct err *err) MUST_CHECK;

/* LMDB's view of bytes, which it does not write to. */
static inline MDB_val cache_db_val(struct span bytes)
{
    return (MDB_val){.mv_data = (void *)(uintptr_t)bytes.data, .mv_size = bytes.len};
}

/* One record, at the cursor; the function may change it or delete it there. Returns LMDB's code. */
struct cache_db_visit {
    int (*see)(void *arg, MDB_cursor *cursor, MDB_val *key, const MDB_val *value);
    void *arg;
};
/* Shows `most` records of a table in the order of their keys, from the key *from on. *from is moved on; it
 * is empty at the beginning, and again at the end. */
bool cache_db_page(MDB_txn *txn, MDB_dbi dbi, struct buf *from, size_t most,
                   const struct cache_db_visit *visit, struct err *err) MUST_CHECK;

/* Small numbers of the cache's own, in the table `meta`; 0 if there is none of the name. */
bool cache_db_number(MDB_txn *txn, MDB_dbi meta, const char *name, uint64_t *out, struct err *err) MUST_CHECK;
bool cache_db_set_number(MDB_txn *txn, MDB_dbi meta, const char *name, uint64_t number,
                         struct err *err) MUST_CHECK;

/* LMDB's code as an error; returns false */
bool cache_db_failed(struct err *err, int code);

#endif
