#include "transporter/repository/index.h"

#include "common/base/alloc.h"
#include "common/base/file.h"
#include "transporter/repository/index_db.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* The marker is "clean" between an orderly end and the next start, else the boot in which the index
 * was last written: within that boot the kernel holds what a killed process had written. */
#define MARKER_CLEAN "clean\n"
#define MARKER_LIMIT 128
#define BOOT_ID_FILE "/proc/sys/kernel/random/boot_id"
#define INDEX_FORMAT "sealift index 2"

enum { MAP_START = 64 * 1024 * 1024, MAX_READERS = 1024 };

static const struct {
    const char *name;
    unsigned flags;
} table_specs[TABLE_COUNT] = {
    [TABLE_CHUNKS] = {"chunks", MDB_DUPSORT | MDB_DUPFIXED},
    [TABLE_PACKS] = {"packs", 0},
    [TABLE_NAMES] = {"names", 0},
    [TABLE_SEALS] = {"seals", MDB_DUPSORT | MDB_DUPFIXED},
    [TABLE_LISTS] = {"lists", 0},
    [TABLE_DOMAINS] = {"domains", 0},
    [TABLE_CLOSED] = {"closed", 0},
    [TABLE_POINTS] = {"points", 0},
    [TABLE_POINT_IDS] = {"point_ids", 0},
    [TABLE_META] = {"meta", 0},
};

bool index_error(struct err *err, int code, const char *doing)
{
    if (code > 0) return err_sys(err, code, "the chunk index: cannot %s", doing);
    return err_set(err, ERR_FAILED, "the chunk index: cannot %s: %s", doing, mdb_strerror(code));
}

/* --- transactions --- */

/* Doubles the map; waits for every transaction of this process to end. */
static int grow_map(struct index *index)
{
    (void)pthread_rwlock_wrlock(&index->map);
    MDB_envinfo info;
    int code = mdb_env_info(index->env, &info);
    if (code == 0) code = mdb_env_set_mapsize(index->env, 2 * info.me_mapsize);
    (void)pthread_rwlock_unlock(&index->map);
    return code;
}

static int write_once(struct index *index, index_work_fn *work, void *arg)
{
    (void)pthread_rwlock_rdlock(&index->map);
    MDB_txn *txn = NULL;
    int code = mdb_txn_begin(index->env, NULL, 0, &txn);
    if (code == 0) {
        code = work(index, txn, arg);
        if (code == 0)
            code = mdb_txn_commit(txn);
        else
            mdb_txn_abort(txn);
    }
    (void)pthread_rwlock_unlock(&index->map);
    return code;
}

bool index_write(struct index *index, index_work_fn *work, void *arg, struct err *err)
{
    int code = write_once(index, work, arg);
    while (code == MDB_MAP_FULL) {
        code = grow_map(index);
        if (code == 0) code = write_once(index, work, arg);
    }
    return code == 0 || index_error(err, code, "write");
}

bool index_view_open(struct index *index, struct index_view **out, struct err *err)
{
    struct index_view *view = xcalloc(1, sizeof(*view));
    view->index = index;
    (void)pthread_rwlock_rdlock(&index->map);
    int code = mdb_txn_begin(index->env, NULL, MDB_RDONLY, &view->txn);
    if (code != 0) {
        (void)pthread_rwlock_unlock(&index->map);
        free(view);
        (void)index_error(err, code, "read");
        return false;
    }
    *out = view;
    return true;
}

void index_view_close(struct index_view *view)
{
    if (!view) return;
    mdb_txn_abort(view->txn);
    (void)pthread_rwlock_unlock(&view->index->map);
    free(view);
}

/* --- opening --- */

static void free_index(struct index *index)
{
    if (!index) return;
    if (index->env) mdb_env_close(index->env);
    (void)pthread_rwlock_destroy(&index->map);
    (void)pthread_mutex_destroy(&index->totals_lock);
    free(index->dir);
    free(index);
}
DEFINE_AUTO(raw_index, struct index *, free_index)

static void this_boot(struct buf *out)
{
    struct err ignored;
    if (!file_read(AT_FDCWD, BOOT_ID_FILE, MARKER_LIMIT, out, &ignored)) buf_clear(out);
}

/* Whether what is in the index's files can be believed. */
static bool is_trustworthy(const char *marker)
{
    AUTO(buf) struct buf said = {0};
    AUTO(buf) struct buf boot = {0};
    struct err ignored;
    if (!file_read(AT_FDCWD, marker, MARKER_LIMIT, &said, &ignored)) return false;
    if (span_eq(buf_span(&said), span_str(MARKER_CLEAN))) return true;
    this_boot(&boot);
    return boot.len > 0 && span_eq(buf_span(&said), buf_span(&boot));
}

static bool drop_file(const char *dir, const char *name, struct err *err)
{
    AUTO(free) char *path = xasprintf("%s/%s", dir, name);
    if (unlink(path) == 0 || errno == ENOENT) return true;
    return err_sys(err, errno, "cannot remove '%s'", path);
}

static bool drop_files(const char *dir, struct err *err)
{
    return drop_file(dir, "data.mdb", err) && drop_file(dir, "lock.mdb", err);
}

static int open_tables(struct index *index, MDB_txn *txn, void *arg)
{
    for (int i = 0; i < TABLE_COUNT; i++) {
        int code =
            mdb_dbi_open(txn, table_specs[i].name, MDB_CREATE | table_specs[i].flags, &index->tables[i]);
        if (code != 0) return code;
    }
    return 0;
}

static bool open_env(struct index *index, struct err *err)
{
    int code = mdb_env_create(&index->env);
    if (code == 0) code = mdb_env_set_maxdbs(index->env, TABLE_COUNT);
    if (code == 0) code = mdb_env_set_maxreaders(index->env, MAX_READERS);
    if (code == 0) code = mdb_env_set_mapsize(index->env, MAP_START);
    if (code == 0) code = mdb_env_open(index->env, index->dir, MDB_NORDAHEAD | MDB_NOSYNC | MDB_NOTLS, 0600);
    int dead = 0;
    if (code == 0) code = mdb_reader_check(index->env, &dead);
    if (code != 0) return index_error(err, code, "open");
    return index_write(index, open_tables, NULL, err);
}

static bool format_is_ours(struct index *index)
{
    struct index_view *view = NULL;
    struct err ignored;
    if (!index_view_open(index, &view, &ignored)) return false;
    MDB_val key = index_val("format", 6);
    MDB_val value;
    bool ours = mdb_get(view->txn, index->tables[TABLE_META], &key, &value) == 0 &&
                value.mv_size == strlen(INDEX_FORMAT) &&
                memcmp(value.mv_data, INDEX_FORMAT, value.mv_size) == 0;
    index_view_close(view);
    return ours;
}

static int empty_tables(struct index *index, MDB_txn *txn, void *arg)
{
    for (int i = 0; i < TABLE_COUNT; i++) {
        int code = mdb_drop(txn, index->tables[i], 0);
        if (code != 0) return code;
    }
    MDB_val key = index_val("format", 6);
    MDB_val value = index_val(INDEX_FORMAT, strlen(INDEX_FORMAT));
    return mdb_put(txn, index->tables[TABLE_META], &key, &value, 0);
}

bool index_reset(struct index *index, struct err *err)
{
    return index_write(index, empty_tables, NULL, err) && index_count_totals(index, err);
}

static bool mark(const char *dir, struct span text, struct err *err)
{
    AUTO(free) char *marker = xasprintf("%s/marker", dir);
    return file_replace(AT_FDCWD, marker, text, 0600, err);
}

static bool prepare_dir(const char *dir, struct err *err)
{
    AUTO(free) char *marker = xasprintf("%s/marker", dir);
    if (!dir_make(dir, 0700, err)) return false;
    if (!is_trustworthy(marker) && !drop_files(dir, err)) return false;
    AUTO(buf) struct buf boot = {0};
    this_boot(&boot);
    if (boot.len == 0) buf_put_str(&boot, "unknown\n");
    return mark(dir, buf_span(&boot), err);
}

static bool make_temporary(struct index *index, struct err *err)
{
    const char *tmp = getenv("TMPDIR");
    index->dir = xasprintf("%s/sealift-index-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    index->temporary = true;
    if (mkdtemp(index->dir)) return true;
    return err_sys(err, errno, "cannot make the directory '%s'", index->dir);
}

/* The files have no names from here on, and vanish with the process. */
static bool hide_temporary(struct index *index, struct err *err)
{
    if (!drop_files(index->dir, err)) return false;
    if (rmdir(index->dir) == 0) return true;
    return err_sys(err, errno, "cannot remove '%s'", index->dir);
}

bool index_open(const char *dir, struct index **out, struct err *err)
{
    AUTO(raw_index) struct index *index = xcalloc(1, sizeof(*index));
    (void)pthread_rwlock_init(&index->map, NULL);
    (void)pthread_mutex_init(&index->totals_lock, NULL);
    if (dir) index->dir = xasprintf("%s/index", dir);
    if (!(dir ? prepare_dir(index->dir, err) : make_temporary(index, err))) return false;
    bool opened = open_env(index, err);
    if (index->temporary) {
        struct err hiding;
        if (!hide_temporary(index, opened ? err : &hiding)) return false;
    }
    if (!opened) return false;
    if (!format_is_ours(index) && !index_reset(index, err)) return false;
    if (!index_count_totals(index, err)) return false;
    *out = index;
    index = NULL;
    return true;
}

void index_close(struct index *index)
{
    if (!index) return;
    struct err ignored; /* an index that is not marked as clean is only built again */
    if (!index->temporary && mdb_env_sync(index->env, 1) == 0)
        (void)!mark(index->dir, span_str(MARKER_CLEAN), &ignored);
    free_index(index);
}
