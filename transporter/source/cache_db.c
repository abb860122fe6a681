#include "transporter/source/cache_db.h"

#include "common/base/alloc.h"
#include "common/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

#define MAP_LEN ((size_t)64 << 30) /* of address space: what the database may ever take */
#define DB_NAME "cache.mdb"
#define STATE_NAME "state"
#define FORMAT "2"

/* A transaction that is aborted unless it was committed. */
static void abort_txn(MDB_txn *txn)
{
    if (txn) mdb_txn_abort(txn);
}
DEFINE_AUTO(txn, MDB_txn *, abort_txn)

bool cache_db_failed(struct err *err, int code)
{
    if (code == ENOSPC || code == EDQUOT || code == MDB_MAP_FULL)
        return err_set(err, ERR_NO_SPACE, "the stat cache cannot grow: %s", mdb_strerror(code));
    return err_set(err, ERR_FAILED, "the stat cache failed: %s", mdb_strerror(code));
}

/* --- may what is there be trusted? --- */

/* Another value after each start of the machine; empty if the kernel does not tell. */
static void read_boot_id(struct buf *out)
{
    struct err err;
    if (!file_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 256, out, &err)) buf_clear(out);
}

static void state_open(struct buf *out)
{
    AUTO(buf) struct buf boot = {0};
    read_boot_id(&boot);
    buf_clear(out);
    buf_put_str(out, "open ");
    buf_put_span(out, buf_span(&boot));
}

/* What was not synced when the machine went down may be half on disk; what was not synced when only the
 * process did is whole in the kernel's memory. */
static bool state_is_trusted(const char *dir)
{
    AUTO(free) char *path = xasprintf("%s/" STATE_NAME, dir);
    AUTO(buf) struct buf found = {0}, ours = {0};
    struct err err;
    if (!file_read(AT_FDCWD, path, 256, &found, &err)) return false;
    if (span_eq(buf_span(&found), span_str("clean\n"))) return true;
    state_open(&ours);
    return ours.len > strlen("open ") && span_eq(buf_span(&found), buf_span(&ours));
}

static bool state_write(struct cache_db *db, struct span state, struct err *err)
{
    AUTO(free) char *path = xasprintf("%s/" STATE_NAME, db->dir);
    return file_replace(AT_FDCWD, path, state, 0600, err);
}

static bool mark(struct cache_db *db, struct err *err)
{
    if (db->marked) return true;
    AUTO(buf) struct buf state = {0};
    state_open(&state);
    if (!state_write(db, buf_span(&state), err)) return false;
    db->marked = true;
    return true;
}

/* --- opening --- */

static bool take_lock(struct cache_db *db, struct err *err)
{
    AUTO(free) char *path = xasprintf("%s/lock", db->dir);
    AUTO(fd) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return err_sys(err, errno, "cannot open '%s'", path);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK) return err_sys(err, errno, "cannot lock '%s'", path);
        return err_set(err, ERR_BUSY, "the stat cache '%s' is in use by another process", db->dir);
    }
    db->lock_fd = fd;
    fd = -1;
    return true;
}

static void remove_files(const struct cache_db *db)
{
    AUTO(free) char *path = xasprintf("%s/" DB_NAME, db->dir);
    (void)unlink(path);
}

static int env_open(struct cache_db *db)
{
    AUTO(free) char *path = xasprintf("%s/" DB_NAME, db->dir);
    int code = mdb_env_create(&db->env);
    if (code) return code;
    code = mdb_env_set_mapsize(db->env, MAP_LEN);
    if (!code) code = mdb_env_set_maxdbs(db->env, 4);
    /* our own lock keeps other processes out, and nobody reads while we write */
    if (!code) code = mdb_env_open(db->env, path, MDB_NOSUBDIR | MDB_NOSYNC | MDB_NOTLS | MDB_NOLOCK, 0600);
    if (code) {
        mdb_env_close(db->env);
        db->env = NULL;
    }
    return code;
}

static int tables_open(struct cache_db *db, MDB_txn *txn, unsigned flags)
{
    int code = mdb_dbi_open(txn, "dirs", flags, &db->dirs);
    if (!code) code = mdb_dbi_open(txn, "contents", flags, &db->contents);
    if (!code) code = mdb_dbi_open(txn, "bundles", flags, &db->bundles);
    if (!code) code = mdb_dbi_open(txn, "meta", flags, &db->meta);
    return code;
}

static bool meta_is(MDB_txn *txn, MDB_dbi meta, const char *name, struct span expected)
{
    MDB_val key = cache_db_val(span_str(name)), value;
    return mdb_get(txn, meta, &key, &value) == 0 && span_eq(span_of(value.mv_data, value.mv_size), expected);
}

/* Whether it is a cache of this binding, with its tables opened. */
static enum cache_found look_into(struct cache_db *db, const struct hash *binding)
{
    AUTO(txn) MDB_txn *txn = NULL;
    if (mdb_txn_begin(db->env, NULL, MDB_RDONLY, &txn) != 0) return CACHE_LOST;
    if (tables_open(db, txn, 0) != 0) return CACHE_LOST;
    if (!meta_is(txn, db->meta, "format", span_str(FORMAT))) return CACHE_LOST;
    if (!meta_is(txn, db->meta, "binding", span_of(binding->bytes, HASH_LEN))) return CACHE_REBOUND;
    int code = mdb_txn_commit(txn); /* which keeps the tables' handles */
    txn = NULL;
    return code == 0 ? CACHE_KEPT : CACHE_LOST;
}

static bool is_there(const char *dir)
{
    AUTO(free) char *path = xasprintf("%s/" DB_NAME, dir);
    return access(path, F_OK) == 0;
}

static enum cache_found find(struct cache_db *db, const struct hash *binding)
{
    struct err ignored;
    if (!is_there(db->dir)) return CACHE_NEW;
    if (!state_is_trusted(db->dir) || env_open(db) != 0) return CACHE_LOST;
    enum cache_found found = look_into(db, binding);
    return found == CACHE_KEPT && !cache_db_refresh(db, &ignored) ? CACHE_LOST : found;
}

static int meta_put(MDB_txn *txn, MDB_dbi meta, const char *name, struct span bytes)
{
    MDB_val key = cache_db_val(span_str(name)), value = cache_db_val(bytes);
    return mdb_put(txn, meta, &key, &value, 0);
}

/* A database of nothing. */
static bool create(struct cache_db *db, const struct hash *binding, struct err *err)
{
    if (!mark(db, err)) return false;
    remove_files(db);
    int code = env_open(db);
    if (code) return cache_db_failed(err, code);
    AUTO(txn) MDB_txn *txn = NULL;
    code = mdb_txn_begin(db->env, NULL, 0, &txn);
    if (!code) code = tables_open(db, txn, MDB_CREATE);
    if (!code) code = meta_put(txn, db->meta, "format", span_str(FORMAT));
    if (!code) code = meta_put(txn, db->meta, "binding", span_of(binding->bytes, HASH_LEN));
    if (code) return cache_db_failed(err, code);
    code = mdb_txn_commit(txn);
    txn = NULL;
    return code ? cache_db_failed(err, code) : cache_db_refresh(db, err);
}

static void end_snapshots(struct cache_db *db)
{
    for (size_t i = 0; i < CACHE_SNAPSHOTS; i++) {
        if (db->snapshots[i].txn) mdb_txn_abort(db->snapshots[i].txn);
        db->snapshots[i].txn = NULL;
    }
}

static void drop_env(struct cache_db *db)
{
    end_snapshots(db);
    if (db->env) mdb_env_close(db->env);
    db->env = NULL;
}

bool cache_db_open(struct cache_db *db, const char *dir, const struct hash *binding, enum cache_found *found,
                   struct err *err)
{
    *db = (struct cache_db){.dir = xstrdup(dir), .lock_fd = -1};
    for (size_t i = 0; i < CACHE_SNAPSHOTS; i++)
        (void)pthread_mutex_init(&db->snapshots[i].mutex, NULL);
    if (!take_lock(db, err)) return false;
    enum cache_found state = find(db, binding);
    if (state != CACHE_KEPT) {
        drop_env(db);
        if (!create(db, binding, err)) return false;
    }
    *found = state;
    return true;
}

void cache_db_close(struct cache_db *db)
{
    struct err err;
    bool changed = db->env && db->marked;
    end_snapshots(db);
    /* not told to anybody: without the word "clean" the next machine start empties it */
    if (changed && mdb_env_sync(db->env, 1) == 0 && state_write(db, span_str("clean\n"), &err))
        db->marked = false;
    drop_env(db);
    if (db->lock_fd >= 0) (void)close(db->lock_fd);
    for (size_t i = 0; i < CACHE_SNAPSHOTS; i++)
        (void)pthread_mutex_destroy(&db->snapshots[i].mutex);
    free(db->dir);
    *db = (struct cache_db){.lock_fd = -1};
}

bool cache_db_reset(struct cache_db *db, const struct hash *binding, struct err *err)
{
    drop_env(db);
    return create(db, binding, err);
}

/* --- reading and changing --- */

bool cache_db_get(struct cache_db *db, MDB_dbi dbi, struct span key, struct span *value)
{
    struct cache_snapshot *snapshot = &db->snapshots[key.data[0] % CACHE_SNAPSHOTS];
    MDB_val wanted = cache_db_val(key), found;
    (void)pthread_mutex_lock(&snapshot->mutex);
    bool ok = snapshot->txn && mdb_get(snapshot->txn, dbi, &wanted, &found) == 0;
    (void)pthread_mutex_unlock(&snapshot->mutex);
    if (ok) *value = span_of(found.mv_data, found.mv_size);
    return ok;
}

bool cache_db_begin(struct cache_db *db, MDB_txn **txn, struct err *err)
{
    if (!db->env) return err_set(err, ERR_FAILED, "the stat cache is not open");
    if (!mark(db, err)) return false;
    end_snapshots(db);
    int code = mdb_txn_begin(db->env, NULL, 0, txn);
    return code ? cache_db_failed(err, code) : true;
}

bool cache_db_commit(struct cache_db *db, MDB_txn **txn, struct err *err)
{
    int code = mdb_txn_commit(*txn);
    *txn = NULL;
    return code ? cache_db_failed(err, code) : true;
}

bool cache_db_refresh(struct cache_db *db, struct err *err)
{
    end_snapshots(db);
    for (size_t i = 0; i < CACHE_SNAPSHOTS; i++) {
        int code = mdb_txn_begin(db->env, NULL, MDB_RDONLY, &db->snapshots[i].txn);
        if (code == 0) continue;
        db->snapshots[i].txn = NULL;
        end_snapshots(db);
        return cache_db_failed(err, code);
    }
    return true;
}

static int page(MDB_cursor *cursor, struct buf *from, size_t most, const struct cache_db_visit *visit)
{
    MDB_val key = cache_db_val(buf_span(from)), value;
    int code = mdb_cursor_get(cursor, &key, &value, from->len ? MDB_SET_RANGE : MDB_FIRST);
    for (size_t seen = 0; !code; seen++) {
        if (seen == most) {
            buf_clear(from);
            buf_put(from, key.mv_data, key.mv_size);
            return 0;
        }
        code = visit->see(visit->arg, cursor, &key, &value);
        if (!code) code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    buf_clear(from);
    return code == MDB_NOTFOUND ? 0 : code;
}

bool cache_db_page(MDB_txn *txn, MDB_dbi dbi, struct buf *from, size_t most,
                   const struct cache_db_visit *visit, struct err *err)
{
    MDB_cursor *cursor;
    int code = mdb_cursor_open(txn, dbi, &cursor);
    if (code) return cache_db_failed(err, code);
    code = page(cursor, from, most, visit);
    mdb_cursor_close(cursor);
    return code ? cache_db_failed(err, code) : true;
}

bool cache_db_number(MDB_txn *txn, MDB_dbi meta, const char *name, uint64_t *out, struct err *err)
{
    MDB_val key = cache_db_val(span_str(name)), value;
    int code = mdb_get(txn, meta, &key, &value);
    if (code && code != MDB_NOTFOUND) return cache_db_failed(err, code);
    *out = !code && value.mv_size == 8 ? le64_get(value.mv_data) : 0;
    return true;
}

bool cache_db_set_number(MDB_txn *txn, MDB_dbi meta, const char *name, uint64_t number, struct err *err)
{
    uint8_t bytes[8];
    le64_put(bytes, number);
    int code = meta_put(txn, meta, name, span_of(bytes, sizeof(bytes)));
    return code ? cache_db_failed(err, code) : true;
}
