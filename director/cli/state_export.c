#include "director/cli/state_export.h"

#include "common/base/alloc.h"
#include "common/base/file.h"
#include "common/wire/lent.h"
#include "director/cli/bundle_reader.h"
#include "director/cli/put.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

enum { POLL_MS = 50 };

/* A lock as a message; borrows from it. */
struct lock_view {
    Sealift__Kdf kdf;
    Sealift__ConfigLockBody body;
};

static void lock_view(const struct bundle_lock *lock, struct lock_view *out)
{
    sealift__kdf__init(&out->kdf);
    sealift__config_lock_body__init(&out->body);
    out->kdf.name = lent_text("argon2id13");
    out->kdf.passes = lock->limits.passes;
    out->kdf.memory_bytes = lock->limits.memory_bytes;
    out->kdf.salt = lent_bytes(lock->salt, PASSWORD_SALT_LEN);
    out->body.kdf = &out->kdf;
    out->body.box_pk = lent_bytes(lock->pk, BOX_PK_LEN);
}

bool state_set_lock(struct cli *cli, const struct bundle_lock *lock, struct err *err)
{
    struct lock_view view;
    Sealift__ConfigLock body = SEALIFT__CONFIG_LOCK__INIT;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    lock_view(lock, &view);
    body.lock = &view.body;
    head.kind_case = SEALIFT__HEAD__KIND_CONFIG_LOCK;
    head.config_lock = &body;
    return put_request(cli, &head, span_of(NULL, 0), CLIENT_REPEATABLE, NULL, err);
}

bool state_proceed(struct cli *cli, struct err *err)
{
    Sealift__ConfigProceed body = SEALIFT__CONFIG_PROCEED__INIT;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    head.kind_case = SEALIFT__HEAD__KIND_CONFIG_PROCEED;
    head.config_proceed = &body;
    return put_request(cli, &head, span_of(NULL, 0), CLIENT_REPEATABLE, NULL, err);
}

static bool begin(struct cli *cli, const struct bundle_lock *lock, struct id *id, struct err *err)
{
    struct lock_view view;
    Sealift__ConfigExport body = SEALIFT__CONFIG_EXPORT__INIT;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    lock_view(lock, &view);
    body.lock = &view.body;
    head.kind_case = SEALIFT__HEAD__KIND_CONFIG_EXPORT;
    head.config_export = &body;
    return put_request(cli, &head, span_of(NULL, 0), CLIENT_ONCE, id, err);
}

/* *size: 0 while it is being made. */
static bool read_part(struct cli *cli, const struct id *id, uint64_t from, uint64_t *size,
                      struct client_message *answer, struct err *err)
{
    Sealift__ConfigRead body = SEALIFT__CONFIG_READ__INIT;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    body.id = lent_id(id);
    body.from = from;
    head.kind_case = SEALIFT__HEAD__KIND_CONFIG_READ;
    head.config_read = &body;
    if (!client_request(cli->client, &head, span_of(NULL, 0), CLIENT_REPEATABLE, answer, err)) return false;
    *size = answer->head->done->count;
    return true;
}

/* True until the last part is written; the director is told then that it may forget its file. */
static bool fetch(struct cli *cli, const struct id *id, int fd, const char *path, struct err *err)
{
    for (uint64_t at = 0, size = 0;;) {
        AUTO(client_message) struct client_message answer = {0};
        if (!read_part(cli, id, at, &size, &answer, err)) return false;
        if (size > 0 && at == size) return true;
        uint64_t left = at < size ? size - at : 0;
        if ((size > 0 && answer.payload.len == 0) || answer.payload.len > left)
            return err_set(err, ERR_PROTOCOL, "the director handed out a part that cannot be");
        if (!fd_write_all(fd, buf_span(&answer.payload), path, err)) return false;
        at += answer.payload.len;
        struct timespec pause = {.tv_nsec = POLL_MS * 1000000};
        if (size == 0) (void)nanosleep(&pause, NULL);
    }
}

/* Before it has the name by which somebody will rely on it. */
static bool check(const char *temp, const struct secret *password, struct err *err)
{
    AUTO(bundle_reader) struct bundle_reader reader = {.fd = -1};
    if (bundle_reader_open(temp, &reader, err) && bundle_reader_unlock(&reader, password, err) &&
        bundle_reader_rehearse(&reader, err))
        return true;
    return err_wrap(err, "what the director handed out is no good copy of its state, and was removed");
}

static bool publish(int fd, const char *temp, const char *path, struct err *err)
{
    AUTO(free) char *dir = xstrdup(path);
    char *slash = strrchr(dir, '/');
    if (slash) slash[slash == dir] = '\0';
    const char *where = slash ? dir : ".";
    AUTO(fd) int dirfd = open(where, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dirfd < 0) return err_sys(err, errno, "cannot open '%s'", where);
    if (fsync(fd) != 0) return err_sys(err, errno, "cannot sync '%s'", temp);
    if (!file_publish(AT_FDCWD, temp, path, err)) return false;
    return dir_sync(dirfd, where, err);
}

bool state_export(struct cli *cli, const struct bundle_lock *lock, const struct secret *password,
                  const char *path, struct err *err)
{
    struct client *client = NULL;
    struct id id;
    if (access(path, F_OK) == 0) return err_set(err, ERR_EXISTS, "'%s' exists already", path);
    if (!access_director(cli, &client, err)) return false;
    AUTO(free) char *temp = xasprintf("%s.part", path);
    AUTO(fd) int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return err_sys(err, errno, "cannot create '%s'", temp);
    if (begin(cli, lock, &id, err) && fetch(cli, &id, fd, temp, err) && check(temp, password, err) &&
        publish(fd, temp, path, err))
        return true;
    (void)unlink(temp);
    return false;
}
