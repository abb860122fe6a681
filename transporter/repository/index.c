#include "transporter/repository/index.h"

#include "common/base/alloc.h"
#include "common/base/file.h"
#include "transporter/repository/index_db.h"
#include "transporter/repository/index_marker.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define INDEX_FORMAT "sealift index 3"

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

/* What LMDB says of a file that is not what it wrote. */
static bool is_spoiled(int code)
{
    return code == MDB_CORRUPTED || code == MDB_PAGE_NOTFOUND || code == MDB_INVALID ||
           code == MDB_VERSION_MISMATCH || code == MDB_PANIC || code == MDB_INCOMPATIBLE;
}

bool index_error(struct index *index, struct err *err, int code, const char *doing)
{
    if (is_spoiled(code)) atomic_store(&index->spoiled, true);
    if (code > 0) return err_sys(err, code, "the chunk index '%s': cannot %s", index->dir, doing);
    return err_set(err, ERR_FAILED, "the chunk index '%s': cannot %s: %s", index->dir, doing,
                   mdb_strerror(code));
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
    return code == 0 || index_error(index, err, code, "write");
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
        (void)index_error(index, err, code, "read");
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

/* Whether pages that are in use lie behind the file's end, where reading the map would end the process. */
static int look_for_cut(MDB_env *env)
{
    MDB_envinfo info;
    MDB_stat pages;
    struct stat st;
    mdb_filehandle_t fd;
    int code = mdb_env_info(env, &info);
    if (code == 0) code = mdb_env_stat(env, &pages);
    if (code == 0) code = mdb_env_get_fd(env, &fd);
    if (code == 0 && fstat(fd, &st) != 0) code = errno;
    if (code != 0) return code;
    return ((uint64_t)info.me_last_pgno + 1) * pages.ms_psize > (uint64_t)st.st_size ? MDB_CORRUPTED : 0;
}

static bool open_env(struct index *index, struct err *err)
{
    int code = mdb_env_create(&index->env);
    if (code == 0) code = mdb_env_set_maxdbs(index->env, TABLE_COUNT);
    if (code == 0) code = mdb_env_set_maxreaders(index->env, MAX_READERS);
    if (code == 0) code = mdb_env_set_mapsize(index->env, MAP_START);
    if (code == 0) code = mdb_env_open(index->env, index->dir, MDB_NORDAHEAD | MDB_NOSYNC | MDB_NOTLS, 0600);
    if (code == 0) code = look_for_cut(index->env);
    int dead = 0;
    if (code == 0) code = mdb_reader_check(index->env, &dead);
    if (code != 0) return index_error(index, err, code, "open");
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

static bool prepare_dir(struct index *index, struct err *err)
{
    struct index_marker marker;
    if (!dir_make(index->dir, 0700, err)) return false;
    index_marker_read(index->dir, &marker);
    index->anew = marker.distrust;
    if (index->anew && !drop_files(index->dir, err)) return false;
    return index_marker_begin(index->dir, index->anew ? 0 : marker.deaths, err);
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

/* The tables as they are, or empty. */
static bool open_tables_of(struct index *index, struct err *err)
{
    if (!open_env(index, err)) return false;
    if (!format_is_ours(index)) {
        if (!index->anew) index->anew = "it is of another version";
        if (!index_reset(index, err)) return false;
    }
    return index_count_totals(index, err);
}

static bool open_temporary(struct index *index, struct err *err)
{
    struct err hiding;
    if (!make_temporary(index, err)) return false;
    bool opened = open_tables_of(index, err);
    return hide_temporary(index, opened ? err : &hiding) && opened;
}

/* What LMDB cannot read is as good as lost. */
static bool open_kept(struct index *index, struct err *err)
{
    if (!prepare_dir(index, err)) return false;
    if (open_tables_of(index, err)) return true;
    if (!atomic_load(&index->spoiled)) return false;
    mdb_env_close(index->env);
    index->env = NULL;
    atomic_store(&index->spoiled, false);
    index->anew = "it could not be read";
    return drop_files(index->dir, err) && open_tables_of(index, err);
}

bool index_drop(const char *dir, struct err *err)
{
    AUTO(free) char *path = xasprintf("%s/index", dir);
    return drop_file(path, "marker", err) && drop_files(path, err);
}

bool index_open(const char *dir, struct index **out, struct err *err)
{
    AUTO(raw_index) struct index *index = xcalloc(1, sizeof(*index));
    (void)pthread_rwlock_init(&index->map, NULL);
    (void)pthread_mutex_init(&index->totals_lock, NULL);
    if (dir) index->dir = xasprintf("%s/index", dir);
    if (!(dir ? open_kept(index, err) : open_temporary(index, err))) return false;
    *out = index;
    index = NULL;
    return true;
}

const char *index_anew(const struct index *index)
{
    return index->temporary ? NULL : index->anew;
}

void index_distrust(struct index *index, const char *why)
{
    if (!index->anew) index->anew = why;
}

bool index_is_spoiled(struct index *index)
{
    return atomic_load(&index->spoiled);
}

void index_spoil(struct index *index)
{
    atomic_store(&index->spoiled, true);
}

/* An index that is not marked as clean is only built again. */
static void leave(struct index *index)
{
    struct err ignored;
    if (atomic_load(&index->spoiled))
        (void)!drop_file(index->dir, "marker", &ignored);
    else if (mdb_env_sync(index->env, 1) == 0)
        (void)!index_marker_end(index->dir, &ignored);
}

void index_close(struct index *index)
{
    if (!index) return;
    if (!index->temporary) leave(index);
    free_index(index);
}
