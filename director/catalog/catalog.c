#include "director/catalog/query.h"

#include "common/base/alloc.h"
#include "common/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define APPLICATION_ID 0x534c4454 /* "SLDT" */
#define SCHEMA_VERSION 1

void catalog_close(struct catalog *catalog)
{
    if (!catalog) return;
    for (int i = 0; i < QUERIES; i++)
        (void)sqlite3_finalize(catalog->queries[i]);
    (void)sqlite3_close(catalog->db);
    free(catalog->path);
    free(catalog);
}

static bool execute(struct catalog *catalog, const char *sql, const char *doing, struct err *err)
{
    int rc = sqlite3_exec(catalog->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK || catalog_fail(catalog, rc, err, doing);
}

/* NULL: *err says why */
static struct catalog *open_file(const char *path, struct err *err)
{
    AUTO(catalog) struct catalog *catalog = xcalloc(1, sizeof(*catalog));
    catalog->path = xstrdup(path);
    int rc = sqlite3_open_v2(path, &catalog->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc != SQLITE_OK) {
        (void)catalog_fail(catalog, rc, err, "open");
        return NULL;
    }
    static const char settings[] = "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL;"
                                   "PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF;"
                                   "PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY;";
    if (!execute(catalog, settings, "open", err)) return NULL;
    struct catalog *out = catalog;
    catalog = NULL;
    return out;
}

static bool read_pragma(struct catalog *catalog, const char *sql, int *out, struct err *err)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(catalog->db, sql, -1, &statement, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW) *out = sqlite3_column_int(statement, 0);
    (void)sqlite3_finalize(statement);
    return rc == SQLITE_ROW || catalog_fail(catalog, rc, err, "read");
}

static bool check_kind(struct catalog *catalog, struct err *err)
{
    int application = 0, version = 0;
    if (!read_pragma(catalog, "PRAGMA application_id", &application, err) ||
        !read_pragma(catalog, "PRAGMA user_version", &version, err))
        return false;
    if (application != APPLICATION_ID)
        return err_set(err, ERR_DAMAGED, "'%s' is no director's catalog", catalog->path);
    if (version != SCHEMA_VERSION)
        return err_set(err, ERR_VERSION, "'%s' has version %d, this program reads version %d", catalog->path,
                       version, SCHEMA_VERSION);
    return true;
}

bool catalog_file_make(const char *path, struct err *err)
{
    AUTO(fd) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return fd >= 0 || err_sys(err, errno, "cannot create '%s'", path);
}

bool catalog_create(const char *state_dir, struct err *err)
{
    AUTO(free) char *path = xasprintf("%s/%s", state_dir, CATALOG_FILE);
    if (!catalog_file_make(path, err)) return false;
    AUTO(free)
    char *sql = xasprintf("BEGIN; %s %s PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT;",
                          catalog_schema, catalog_schema_later, APPLICATION_ID, SCHEMA_VERSION);
    AUTO(catalog) struct catalog *catalog = open_file(path, err);
    if (catalog && execute(catalog, sql, "create", err)) return true;
    (void)unlink(path);
    return false;
}

bool catalog_open(const char *state_dir, struct catalog **out, struct err *err)
{
    AUTO(free) char *path = xasprintf("%s/%s", state_dir, CATALOG_FILE);
    struct stat there;
    if (stat(path, &there) != 0) return err_sys(err, errno, "cannot open '%s'", path);
    AUTO(catalog) struct catalog *catalog = open_file(path, err);
    /* the first lock is taken for good (locking_mode), so that a second process hears of it now */
    if (!catalog || !check_kind(catalog, err) || !execute(catalog, "BEGIN IMMEDIATE; COMMIT;", "open", err) ||
        !execute(catalog, catalog_schema_later, "open", err) || !catalog_prepare(catalog, err))
        return false;
    *out = catalog;
    catalog = NULL;
    return true;
}

/* ---- transactions */

static bool simple(struct catalog *catalog, enum query_name name, struct err *err)
{
    AUTO(query) struct query query = query_of(catalog, name);
    return query_run(&query, err);
}

bool catalog_begin(struct catalog *catalog, struct err *err)
{
    return simple(catalog, QUERY_BEGIN, err);
}

bool catalog_commit(struct catalog *catalog, struct err *err)
{
    return simple(catalog, QUERY_COMMIT, err);
}

void catalog_rollback(struct catalog *catalog)
{
    struct err ignored;
    if (!sqlite3_get_autocommit(catalog->db)) (void)simple(catalog, QUERY_ROLLBACK, &ignored);
}

/* ---- claiming */

bool catalog_claim_put(struct catalog *catalog, const struct claim *claim, struct err *err)
{
    AUTO(query) struct query query = query_of(catalog, QUERY_CLAIM_PUT);
    query_blob(&query, span_of(claim->code.bytes, HASH_LEN));
    query_u64(&query, claim->tries);
    return query_run(&query, err);
}

bool catalog_claim_get(struct catalog *catalog, struct claim *out, struct err *err)
{
    AUTO(query) struct query query = query_of(catalog, QUERY_CLAIM_GET);
    bool found = query_next(&query);
    struct claim claim = {0};
    if (found) {
        query_take_fixed(&query, claim.code.bytes, HASH_LEN);
        claim.tries = (uint32_t)query_take_u64(&query);
    }
    if (!query_finish(&query, err)) return false;
    if (!found) return err_set(err, ERR_NOT_FOUND, "there is no claim code");
    *out = claim;
    return true;
}

bool catalog_claim_end(struct catalog *catalog, struct err *err)
{
    return simple(catalog, QUERY_CLAIM_END, err);
}

/* ---- what self-backups are sealed to */

bool catalog_lock_put(struct catalog *catalog, const struct bundle_lock *lock, struct err *err)
{
    AUTO(query) struct query query = query_of(catalog, QUERY_LOCK_PUT);
    query_blob(&query, span_of(lock->salt, PASSWORD_SALT_LEN));
    query_u64(&query, lock->limits.passes);
    query_u64(&query, lock->limits.memory_bytes);
    query_blob(&query, span_of(lock->pk, BOX_PK_LEN));
    return query_run(&query, err);
}

bool catalog_lock_get(struct catalog *catalog, struct bundle_lock *out, struct err *err)
{
    AUTO(query) struct query query = query_of(catalog, QUERY_LOCK_GET);
    struct bundle_lock lock = {0};
    bool found = query_next(&query);
    if (found) {
        query_take_fixed(&query, lock.salt, PASSWORD_SALT_LEN);
        lock.limits.passes = query_take_u64(&query);
        lock.limits.memory_bytes = query_take_u64(&query);
        query_take_fixed(&query, lock.pk, BOX_PK_LEN);
    }
    if (!query_finish(&query, err)) return false;
    if (!found) return err_set(err, ERR_NOT_FOUND, "no password of bundles was set");
    *out = lock;
    return true;
}
