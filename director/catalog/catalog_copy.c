#include "director/catalog/catalog_copy.h"

#include "common/base/alloc.h"
#include "director/catalog/query.h"

#include <errno.h>

enum { PAGES_A_STEP = 512 };

struct catalog_copy {
    struct catalog *catalog;
    sqlite3 *target;
    sqlite3_backup *backup;
    char *path;
    bool complete;
};

static bool fail(const struct catalog_copy *copy, int rc, struct err *err)
{
    enum err_code code = rc == SQLITE_FULL ? ERR_NO_SPACE : rc == SQLITE_CORRUPT ? ERR_DAMAGED : ERR_SYSTEM;
    return err_set(err, code, "cannot copy the catalog to '%s': %s", copy->path, sqlite3_errstr(rc));
}

static void hang_up(struct catalog_copy *copy)
{
    if (copy->backup) (void)sqlite3_backup_finish(copy->backup);
    copy->backup = NULL;
    (void)sqlite3_close(copy->target);
    copy->target = NULL;
}

void catalog_copy_free(struct catalog_copy *copy)
{
    if (!copy) return;
    hang_up(copy);
    if (!copy->complete) (void)unlink(copy->path);
    free(copy->path);
    free(copy);
}

/* What is read of the copy is only ever this process's, so that it needs neither a journal nor a sync. */
static bool open_target(struct catalog_copy *copy, struct err *err)
{
    int rc = sqlite3_open_v2(copy->path, &copy->target, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(copy->target,
                          "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = OFF; PRAGMA synchronous = "
                          "OFF;",
                          NULL, NULL, NULL);
    if (rc == SQLITE_OK) {
        copy->backup = sqlite3_backup_init(copy->target, "main", copy->catalog->db, "main");
        rc = copy->backup ? SQLITE_OK : sqlite3_errcode(copy->target);
    }
    return rc == SQLITE_OK || fail(copy, rc, err);
}

bool catalog_copy_begin(struct catalog *catalog, const char *path, struct catalog_copy **out, struct err *err)
{
    if (!catalog_file_make(path, err)) return false;
    AUTO(catalog_copy) struct catalog_copy *copy = xcalloc(1, sizeof(*copy));
    copy->catalog = catalog;
    copy->path = xstrdup(path);
    if (!open_target(copy, err)) return false;
    *out = copy;
    copy = NULL;
    return true;
}

bool catalog_copy_step(struct catalog_copy *copy, bool *done, struct err *err)
{
    int rc = sqlite3_backup_step(copy->backup, PAGES_A_STEP);
    if (rc == SQLITE_DONE) {
        hang_up(copy);
        copy->complete = true;
    } else if (rc != SQLITE_OK) {
        return fail(copy, rc, err);
    }
    *done = copy->complete;
    return true;
}
