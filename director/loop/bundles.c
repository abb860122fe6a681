/* Bundles of the director's own state (docs/format.md section 13): those that admins ask for, which they then
 * read piece by piece, and those that it writes by its configuration's schedule. One is made at a time, a few
 * milliseconds in each turn of the loop. What goes wrong with one never stops the director. */
#include "director/loop/inside.h"

#include "common/base/alloc.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "director/core/schedule.h"
#include "director/loop/bundle_file.h"
#include "director/loop/self_backup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define EXPORT_PREFIX "export-"

enum {
    EXPORTS_MAX = 4,
    EXPORT_IDLE_MS = 10 * 60 * 1000, /* after which one that nobody reads is forgotten */
    READ_BYTES = 1024 * 1024,
    RETRY_S = 3600, /* after a self-backup that failed */
};

/* What an admin asked for. */
struct export
{
    struct id id;
    uint8_t curve_pk[NET_KEY_LEN]; /* the admin's */
    char *path;
    uint64_t size;    /* 0: it is not complete */
    struct err error; /* why it never will be */
    uint64_t used_ms;
};

struct bundles {
    struct bundle_file *file; /* NULL: none is being made */
    struct id making;         /* zeros: a self-backup */
    char *self_path;          /* of a self-backup in the making */
    uint64_t self_time_ns;
    struct export exports[EXPORTS_MAX];
    size_t export_count;

    bool locked;
    struct bundle_lock lock;
    uint64_t good_ns, next_ns; /* of self-backups; UINT64_MAX: never */
    char text[RUN_TEXT_MAX + 1];
};

/* ---- life */

static void clean_exports(const char *state_dir)
{
    DIR *listing = opendir(state_dir);
    const struct dirent *entry;
    while (listing && (entry = readdir(listing)))
        if (strncmp(entry->d_name, EXPORT_PREFIX, sizeof(EXPORT_PREFIX) - 1) == 0)
            (void)unlinkat(dirfd(listing), entry->d_name, 0);
    if (listing) (void)closedir(listing);
}

static void plan_self(struct director *director)
{
    struct bundles *bundles = director->bundles;
    const struct self_backup_settings *wanted = &director->settings.self_backup;
    struct id spread = {{0}};
    struct schedule schedule;
    struct err err;
    bundles->next_ns = UINT64_MAX;
    const struct roster *roster = registry_roster(director->registry);
    if (!wanted->directory || !bundles->locked || !roster) return;
    spread = *roster_site(roster);
    if (schedule_parse(wanted->spec, &spread, &schedule, &err))
        bundles->next_ns =
            bundles->good_ns || schedule.period_s == 0 ? schedule_next(&schedule, bundles->good_ns) : 0;
}

bool bundles_open(struct director *director, struct err *err)
{
    struct bundles *bundles = xcalloc(1, sizeof(*bundles));
    const char *directory = director->settings.self_backup.directory;
    director->bundles = bundles;
    clean_exports(director->settings.state_dir);
    bundle_file_clean(director->settings.state_dir);
    bundles->locked = catalog_lock_get(director->catalog, &bundles->lock, err);
    if (!bundles->locked && err->code != ERR_NOT_FOUND) return false;
    if (directory) bundles->good_ns = self_backup_newest(directory);
    plan_self(director);
    return true;
}

static void export_drop(struct bundles *bundles, size_t index)
{
    struct export *export = &bundles->exports[index];
    if (bundles->file && id_eq(&bundles->making, &export->id)) {
        bundle_file_free(bundles->file);
        bundles->file = NULL;
    }
    (void)unlink(export->path);
    free(export->path);
    *export = bundles->exports[--bundles->export_count];
}

void bundles_free(struct director *director)
{
    struct bundles *bundles = director->bundles;
    if (!bundles) return;
    while (bundles->export_count > 0)
        export_drop(bundles, 0);
    bundle_file_free(bundles->file);
    free(bundles->self_path);
    free(bundles);
}

bool bundles_busy(const struct director *director)
{
    return director->bundles->file != NULL;
}

/* ---- making */

static bool begin(struct director *director, const struct bundle_lock *lock, const char *path,
                  struct err *err)
{
    const struct roster *roster = registry_roster(director->registry);
    struct bundle_source source = {.catalog = director->catalog,
                                   .state_dir = director->settings.state_dir,
                                   .config_file = director->settings.config_file,
                                   .site = *roster_site(roster),
                                   .time_ns = director->now.wall_ns};
    return bundle_file_begin(&source, lock, path, &director->bundles->file, err);
}

static struct export *export_of(struct bundles *bundles, const struct id *id)
{
    for (size_t i = 0; i < bundles->export_count; i++)
        if (id_eq(&bundles->exports[i].id, id)) return &bundles->exports[i];
    return NULL;
}

static void self_failed(struct director *director, const struct err *err)
{
    struct bundles *bundles = director->bundles;
    run_text_set(bundles->text, sizeof(bundles->text), err->text);
    bundles->next_ns = director->now.wall_ns + UINT64_C(1000000000) * RETRY_S;
    log_event(LOG_ERROR, "self_backup_failed", "reason", err->text, "next", "it is tried again in an hour",
              NULL);
}

static void self_begin(struct director *director)
{
    struct bundles *bundles = director->bundles;
    struct err err;
    free(bundles->self_path);
    bundles->self_path = NULL;
    bundles->making = (struct id){{0}};
    bundles->self_time_ns = director->now.wall_ns;
    if (!self_backup_begin(director->settings.self_backup.directory, &bundles->self_path, &err) ||
        !begin(director, &bundles->lock, bundles->self_path, &err))
        self_failed(director, &err);
}

static void self_made(struct director *director)
{
    struct bundles *bundles = director->bundles;
    const struct self_backup_settings *wanted = &director->settings.self_backup;
    struct err err;
    if (!self_backup_publish(wanted->directory, bundles->self_path, bundles->self_time_ns, wanted->keep,
                             &err)) {
        self_failed(director, &err);
        return;
    }
    bundles->good_ns = bundles->self_time_ns;
    bundles->text[0] = '\0';
    plan_self(director);
    log_event(LOG_INFO, "self_backup", "directory", wanted->directory, NULL);
}

/* A step of what is being made; whatever became of it is known to who waits. */
static void work(struct director *director)
{
    struct bundles *bundles = director->bundles;
    struct err err;
    bool done = false, ok = bundle_file_step(bundles->file, &done, &err);
    if (ok && !done) return;
    struct export *export = export_of(bundles, &bundles->making);
    if (export && ok)
        export->size = bundle_file_size(bundles->file);
    else if (export)
        export->error = err;
    bundle_file_free(bundles->file);
    bundles->file = NULL;
    if (!export && ok)
        self_made(director);
    else if (!export)
        self_failed(director, &err);
    else
        log_event(ok ? LOG_INFO : LOG_ERROR, "state_exported", "result", ok ? "ok" : err.text, NULL);
}

void bundles_tick(struct director *director)
{
    struct bundles *bundles = director->bundles;
    for (size_t i = bundles->export_count; i > 0; i--)
        if (director->now.mono_ms - bundles->exports[i - 1].used_ms >= EXPORT_IDLE_MS)
            export_drop(bundles, i - 1);
    if (bundles->file)
        work(director);
    else if (director->now.wall_ns >= bundles->next_ns)
        self_begin(director);
}

/* ---- what admins ask for */

static bool may_ask(struct director *director, const struct operator_link *link, struct err *err)
{
    const Sealift__Member *member = operator_behind(director, link);
    if (member && member->role == SEALIFT__ROLE__ROLE_ADMIN) return true;
    return err_set(err, ERR_POLICY, "the director's own state is for admins of the site");
}

static bool take_lock(const Sealift__ConfigLockBody *body, struct bundle_lock *out, struct err *err)
{
    struct bundle_lock lock = {0};
    if (!body || !body->kdf || body->kdf->salt.len != PASSWORD_SALT_LEN ||
        strcmp(body->kdf->name, "argon2id13") != 0)
        return err_set(err, ERR_PROTOCOL, "a request without the public half of a password");
    memcpy(lock.salt, body->kdf->salt.data, PASSWORD_SALT_LEN);
    memcpy(lock.pk, body->box_pk.data, BOX_PK_LEN);
    lock.limits.passes = body->kdf->passes;
    lock.limits.memory_bytes = body->kdf->memory_bytes;
    if (!bundle_lock_check(&lock, err)) return false;
    *out = lock;
    return true;
}

static bool start_export(struct director *director, const struct operator_link *link,
                         const struct bundle_lock *lock, struct id *id, struct err *err)
{
    struct bundles *bundles = director->bundles;
    if (bundles->file) return err_set(err, ERR_BUSY, "another copy of the director's state is being made");
    if (bundles->export_count == EXPORTS_MAX)
        return err_set(
            err, ERR_BUSY,
            "%d copies of the director's state are being fetched, or wait for that for ten minutes: "
            "try again then",
            EXPORTS_MAX);
    char hex[ID_TEXT_LEN];
    *id = id_random();
    AUTO(free)
    char *path = xasprintf("%s/" EXPORT_PREFIX "%s", director->settings.state_dir, id_text(id, hex));
    if (!begin(director, lock, path, err)) return false;
    bundles->making = *id;
    struct export *export = &bundles->exports[bundles->export_count++];
    *export = (struct export){.id = *id, .path = path, .used_ms = director->now.mono_ms};
    memcpy(export->curve_pk, link->line.peer.key, NET_KEY_LEN);
    path = NULL;
    return true;
}

void bundles_export(struct director *director, struct operator_link *link, const Sealift__Head *head)
{
    struct err err;
    struct bundle_lock lock;
    struct id id;
    if (may_ask(director, link, &err) && take_lock(head->config_export->lock, &lock, &err) &&
        start_export(director, link, &lock, &id, &err))
        operator_done(link, head->serial, &id, 0, (struct span){0});
    else
        operator_fail(link, head->serial, &err);
}

static struct export *own_export(struct director *director, const struct operator_link *link,
                                 const ProtobufCBinaryData *bytes, struct err *err)
{
    struct id id = {{0}};
    if (bytes->len == ID_LEN) memcpy(id.bytes, bytes->data, ID_LEN);
    struct export *export = export_of(director->bundles, &id);
    if (export && memcmp(export->curve_pk, link->line.peer.key, NET_KEY_LEN) == 0) return export;
    (void)err_set(err, ERR_NOT_FOUND,
                  "there is no such copy of the director's state (any more): begin again");
    return NULL;
}

static bool read_export(const struct export *export, uint64_t from, struct buf *out, struct err *err)
{
    uint64_t left = from < export->size ? export->size - from : 0;
    size_t len = left < READ_BYTES ? (size_t)left : READ_BYTES;
    AUTO(fd) int fd = open(export->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return err_sys(err, errno, "cannot open '%s'", export->path);
    return fd_pread_all(fd, buf_grow(out, len), len, from, export->path, err);
}

void bundles_read(struct director *director, struct operator_link *link, const Sealift__Head *head)
{
    const Sealift__ConfigRead *ask = head->config_read;
    struct err err;
    AUTO(buf) struct buf part = {0};
    struct export *export = may_ask(director, link, &err) ? own_export(director, link, &ask->id, &err) : NULL;
    if (export && export->error.code != ERR_NONE) {
        err = export->error;
        export_drop(director->bundles, (size_t)(export - director->bundles->exports));
        export = NULL;
    }
    if (!export || (export->size > 0 && !read_export(export, ask->from, &part, &err))) {
        operator_fail(link, head->serial, &err);
        return;
    }
    uint64_t size = export->size;
    export->used_ms = director->now.mono_ms;
    operator_done(link, head->serial, NULL, size, buf_span(&part));
    if (size > 0 && ask->from >= size)
        export_drop(director->bundles, (size_t)(export - director->bundles->exports));
}

void bundles_lock(struct director *director, struct operator_link *link, const Sealift__Head *head)
{
    struct bundles *bundles = director->bundles;
    struct err err;
    struct bundle_lock lock;
    if (!may_ask(director, link, &err) || !take_lock(head->config_lock->lock, &lock, &err)) {
        operator_fail(link, head->serial, &err);
        return;
    }
    if (!catalog_lock_put(director->catalog, &lock, &err)) {
        director_fail(director, &err);
        return;
    }
    bundles->lock = lock;
    bundles->locked = true;
    bundles->good_ns = 0; /* of this password there is none yet: now */
    plan_self(director);
    operator_done(link, head->serial, NULL, 0, (struct span){0});
}

bool bundles_status(const struct director *director, Sealift__SelfBackup *out)
{
    const struct bundles *bundles = director->bundles;
    const struct self_backup_settings *wanted = &director->settings.self_backup;
    if (!wanted->directory) return false;
    sealift__self_backup__init(out);
    out->directory = lent_text(wanted->directory);
    out->spec = lent_text(wanted->spec);
    out->keep = wanted->keep;
    out->locked = bundles->locked;
    out->good_ns = bundles->good_ns;
    out->next_ns = bundles->next_ns == UINT64_MAX ? 0 : bundles->next_ns;
    out->text = lent_text(bundles->text);
    return true;
}
