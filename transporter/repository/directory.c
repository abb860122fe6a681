/* The storage driver of a local directory. */
#include "common/base/alloc.h"
#include "common/base/file.h"
#include "transporter/repository/storage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>

enum { LIST_MAX_DEPTH = 8, COPY_STEP = 256 * 1024, PROBE_STEP = 1024 * 1024 };

struct directory {
    int fd;
    char *path;
    pthread_mutex_t making; /* while directories are made or dropped */
    bool doubtful;          /* one that was made may not be durable; under `making` */
};

struct journal {
    int fd;
    char *name;
    uint64_t size;
    bool named; /* the directory that holds the name has been synced; the syncing thread's */
};

static void journal_free(struct journal *journal)
{
    if (!journal) return;
    if (journal->fd >= 0) (void)close(journal->fd);
    free(journal->name);
    free(journal);
}
DEFINE_AUTO(journal, struct journal *, journal_free)

/* The part before the last slash, or "."; caller frees. */
static char *parent_of(const char *name)
{
    const char *slash = strrchr(name, '/');
    return slash ? xasprintf("%.*s", (int)(slash - name), name) : xstrdup(".");
}

/* Who can write into the repository must not be able to lead us out of it: no component of a name may be a
 * symbolic link. */
static bool refused(const struct directory *directory, const char *name, const char *verb, int sys,
                    struct err *err)
{
    if (sys == ELOOP || sys == EXDEV)
        return err_set(err, ERR_DAMAGED, "'%s/%s' is a symbolic link, or lies behind one", directory->path,
                       name);
    return err_sys(err, sys, "cannot %s '%s/%s'", verb, directory->path, name);
}

/* The directory that holds `name`, into the caller's AUTO(fd), and the name in it. */
static bool enter_parent(const struct directory *directory, const char *name, int *fd, const char **base,
                         struct err *err)
{
    AUTO(free) char *parent = parent_of(name);
    *fd = file_open_beneath(directory->fd, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (*fd < 0) return refused(directory, parent, "open the directory", errno, err);
    const char *slash = strrchr(name, '/');
    *base = slash ? slash + 1 : name;
    return true;
}

static bool sync_parent(const struct directory *directory, const char *name, struct err *err)
{
    AUTO(fd) int fd = -1;
    const char *base;
    return enter_parent(directory, name, &fd, &base, err) &&
           (dir_sync(fd, ".", err) || err_wrap(err, "where '%s/%s' lies", directory->path, name));
}

static bool make_one(const struct directory *directory, const char *name, bool *made, struct err *err)
{
    AUTO(fd) int fd = -1;
    const char *base;
    if (!enter_parent(directory, name, &fd, &base, err)) return false;
    *made = mkdirat(fd, base, 0700) == 0;
    return *made || errno == EEXIST ||
           err_sys(err, errno, "cannot make the directory '%s/%s'", directory->path, name);
}

/* Makes the directories above `name`, each durable before what is put into it. Under `making`, so that no
 * other thread takes a directory for durable that is just being made. */
static bool make_parents_locked(struct directory *directory, const char *name, struct err *err)
{
    AUTO(free) char *partial = xstrdup(name);
    for (char *slash = strchr(partial, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        bool made = false;
        if (!make_one(directory, partial, &made, err)) return false;
        if ((made || directory->doubtful) && !sync_parent(directory, partial, err)) {
            directory->doubtful = true;
            return false;
        }
        *slash = '/';
    }
    return true;
}

static bool make_parents(struct directory *directory, const char *name, struct err *err)
{
    (void)pthread_mutex_lock(&directory->making);
    bool made = make_parents_locked(directory, name, err);
    (void)pthread_mutex_unlock(&directory->making);
    return made;
}

/* Whether our path still leads to the directory that was opened. What is written into one that was moved
 * away, or lies on a disk that was taken out, would be missed by whoever looks where the repository is said
 * to be. */
static bool in_place(void *self, struct err *err)
{
    const struct directory *directory = self;
    struct stat here;
    struct stat there;
    if (fstat(directory->fd, &here) != 0 || stat(directory->path, &there) != 0) {
        (void)err_sys(err, errno, "the directory '%s' is gone while it is in use: is its disk still mounted?",
                      directory->path);
        err->code = ERR_FAILED; /* not that the object is absent */
        return false;
    }
    if (here.st_dev == there.st_dev && here.st_ino == there.st_ino) return true;
    return err_set(
        err, ERR_FAILED,
        "another directory lies at '%s' than the one in use: put it back, or start the transporter anew",
        directory->path);
}

static bool put_if_absent(void *self, const char *name, struct span bytes, struct err *err)
{
    struct directory *directory = self;
    AUTO(fd) int fd = -1;
    const char *base;
    if (!in_place(directory, err) || !make_parents(directory, name, err) ||
        !enter_parent(directory, name, &fd, &base, err))
        return false;
    if (file_create(fd, base, bytes, 0600, err)) return true;
    /* who put it there may have failed, or died, before its name was durable */
    struct err why;
    if (err->code == ERR_EXISTS && !dir_sync(fd, ".", &why)) *err = why;
    return err_wrap(err, "'%s/%s'", directory->path, name);
}

/* Opens a published object or a journal for reading, into the caller's AUTO(fd). Anything but a regular file
 * is damage: a fifo would hang, a link would lead out of the repository. */
static bool open_object(struct directory *directory, const char *name, int *fd, uint64_t *size,
                        struct err *err)
{
    *fd = file_open_beneath(directory->fd, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC, 0);
    if (*fd < 0) return refused(directory, name, "open", errno, err);
    struct stat st;
    if (fstat(*fd, &st) != 0) return err_sys(err, errno, "cannot open '%s/%s'", directory->path, name);
    if (!S_ISREG(st.st_mode))
        return err_set(err, ERR_DAMAGED, "'%s/%s' is not a file", directory->path, name);
    *size = (uint64_t)st.st_size;
    return true;
}

static bool get(void *self, const char *name, size_t limit, struct buf *out, struct err *err)
{
    AUTO(fd) int fd = -1;
    uint64_t size = 0;
    if (!open_object(self, name, &fd, &size, err)) return false;
    if (size > limit) return err_set(err, ERR_LIMIT, "'%s' is larger than %zu bytes", name, limit);
    AUTO(buf) struct buf bytes = {0};
    if (!fd_pread_all(fd, buf_grow(&bytes, (size_t)size), (size_t)size, 0, name, err)) return false;
    struct buf old = *out;
    *out = bytes;
    bytes = old;
    return true;
}

static bool get_range(void *self, const char *name, uint64_t offset, void *out, size_t len, struct err *err)
{
    AUTO(fd) int fd = -1;
    uint64_t size = 0;
    return open_object(self, name, &fd, &size, err) && fd_pread_all(fd, out, len, offset, name, err);
}

static bool object_size(void *self, const char *name, uint64_t *out, struct err *err)
{
    AUTO(fd) int fd = -1;
    return open_object(self, name, &fd, out, err);
}

/* By samples: to find out that all of it is in memory, the kernel would go through every page. */
static bool seems_cached(int fd, uint64_t offset, uint64_t len)
{
    for (uint64_t at = 0; at < len; at += PROBE_STEP) {
        char byte;
        struct iovec to = {.iov_base = &byte, .iov_len = 1};
        if (preadv2(fd, &to, 1, (off_t)(offset + at), RWF_NOWAIT) != 1) return false;
    }
    return true;
}

static void will_read(void *self, const char *name, uint64_t offset, uint64_t len)
{
    AUTO(fd) int fd = -1;
    uint64_t size = 0;
    struct err ignored;
    if (!open_object(self, name, &fd, &size, &ignored)) return;
    if (seems_cached(fd, offset, len)) return;
    (void)posix_fadvise(fd, (off_t)offset, (off_t)len, POSIX_FADV_WILLNEED);
}

struct listing {
    struct directory *directory;
    storage_each_fn *each;
    void *arg;
    bool all; /* of the repository, with what is none of it */
    bool stopped;
};

static bool list_below(struct listing *listing, const char *name, unsigned depth, struct err *err);

/* `base`: its name in `dir`; `name`: in the repository */
static bool list_entry(struct listing *listing, int dir, const char *base, const char *name, unsigned depth,
                       struct err *err)
{
    struct stat st;
    if (fstatat(dir, base, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT) return true; /* removed meanwhile */
        return err_sys(err, errno, "cannot read '%s/%s'", listing->directory->path, name);
    }
    if (S_ISDIR(st.st_mode)) return depth == LIST_MAX_DEPTH || list_below(listing, name, depth + 1, err);
    if (S_ISREG(st.st_mode) && !listing->each(listing->arg, name, (uint64_t)st.st_size))
        listing->stopped = true;
    return true;
}

static void close_dir(DIR *dir)
{
    if (dir) (void)closedir(dir);
}
DEFINE_AUTO(dir, DIR *, close_dir)

static bool list_below(struct listing *listing, const char *name, unsigned depth, struct err *err)
{
    int fd =
        file_open_beneath(listing->directory->fd, *name ? name : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (fd < 0 && errno == ENOENT) return true;
    if (fd < 0 && errno == EACCES && listing->all && *name) { /* somebody else's, as lost+found */
        listing->stopped = !listing->each(listing->arg, name, 0);
        return true;
    }
    if (fd < 0) return refused(listing->directory, name, "open the directory", errno, err);
    AUTO(dir) DIR *dir = fdopendir(fd);
    if (!dir) {
        int sys = errno;
        (void)close(fd);
        return err_sys(err, sys, "cannot open the directory '%s/%s'", listing->directory->path, name);
    }
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(dir);
        if (!entry && errno)
            return err_sys(err, errno, "cannot read the directory '%s/%s'", listing->directory->path, name);
        if (!entry || listing->stopped) return true;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        AUTO(free) char *below = *name ? xasprintf("%s/%s", name, entry->d_name) : xstrdup(entry->d_name);
        if (!list_entry(listing, dirfd(dir), entry->d_name, below, depth, err)) return false;
    }
}

static bool list(void *self, const char *directory, storage_each_fn *each, void *arg, struct err *err)
{
    struct listing listing = {.directory = self, .each = each, .arg = arg, .all = !*directory};
    return list_below(&listing, directory, 0, err);
}

/* Directories of sessions go with their last journal. */
static void drop_session_directory(struct directory *directory, const char *name)
{
    AUTO(fd) int fd = -1;
    const char *base;
    struct err ignored;
    if (strncmp(name, "open/", 5) != 0) return;
    AUTO(free) char *parent = parent_of(name);
    (void)pthread_mutex_lock(&directory->making);
    if (strchr(parent, '/') && enter_parent(directory, parent, &fd, &base, &ignored))
        (void)unlinkat(fd, base, AT_REMOVEDIR);
    (void)pthread_mutex_unlock(&directory->making);
}

static bool remove_object(void *self, const char *name, struct err *err)
{
    struct directory *directory = self;
    AUTO(fd) int fd = -1;
    const char *base;
    if (!enter_parent(directory, name, &fd, &base, err)) return false;
    if (unlinkat(fd, base, 0) != 0)
        return err_sys(err, errno, "cannot remove '%s/%s'", directory->path, name);
    if (!dir_sync(fd, ".", err)) return false;
    drop_session_directory(directory, name);
    return true;
}

static bool free_space(void *self, uint64_t *free_bytes, uint64_t *total_bytes, struct err *err)
{
    struct directory *directory = self;
    struct statvfs st;
    if (fstatvfs(directory->fd, &st) != 0)
        return err_sys(err, errno, "cannot ask for the free space of '%s'", directory->path);
    *free_bytes = (uint64_t)st.f_bavail * st.f_frsize;
    *total_bytes = (uint64_t)st.f_blocks * st.f_frsize;
    return true;
}

static bool claim(void *self, struct err *err)
{
    struct directory *directory = self;
    if (flock(directory->fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return true;
    return err_set(err, ERR_BUSY, "'%s' is in use by another owner", directory->path);
}

/* One call for the whole file system costs less than one for each of some hundred directories. */
static bool settle(void *self, struct err *err)
{
    struct directory *directory = self;
    return syncfs(directory->fd) == 0 || err_sys(err, errno, "cannot sync '%s'", directory->path);
}

/* Of a file system that cannot set blocks aside the C library writes them. */
static bool set_aside(int fd, uint64_t bytes, const char *name, struct err *err)
{
    int code;
    do {
        code = posix_fallocate(fd, 0, (off_t)bytes);
    } while (code == EINTR);
    if (code != 0) return err_sys(err, code, "cannot set %" PRIu64 " bytes aside in '%s'", bytes, name);
    if (ftruncate(fd, (off_t)bytes) == 0 && fsync(fd) == 0) return true;
    return err_sys(err, errno, "cannot set %" PRIu64 " bytes aside in '%s'", bytes, name);
}

static bool allocate(void *self, const char *name, uint64_t bytes, struct err *err)
{
    struct directory *directory = self;
    AUTO(fd) int fd = file_open_beneath(directory->fd, name, O_RDWR | O_CREAT | O_NONBLOCK | O_CLOEXEC, 0600);
    if (fd < 0) return refused(directory, name, "make", errno, err);
    struct stat st;
    if (fstat(fd, &st) != 0) return err_sys(err, errno, "cannot open '%s/%s'", directory->path, name);
    if (!S_ISREG(st.st_mode) || st.st_nlink != 1)
        return err_set(err, ERR_DAMAGED, "'%s/%s' is not a file of its own", directory->path, name);
    if (set_aside(fd, bytes, name, err)) return sync_parent(directory, name, err);
    struct err ignored;
    (void)!remove_object(self, name, &ignored);
    return false;
}

/* --- journals --- */

static bool journal_take(struct directory *directory, const char *name, int flags, struct journal **out,
                         struct err *err)
{
    AUTO(journal) struct journal *journal = xcalloc(1, sizeof(*journal));
    journal->name = xstrdup(name);
    journal->fd = file_open_beneath(directory->fd, name, O_RDWR | O_NONBLOCK | O_CLOEXEC | flags, 0600);
    if (journal->fd < 0) return refused(directory, name, "open", errno, err);
    struct stat st;
    if (fstat(journal->fd, &st) != 0)
        return err_sys(err, errno, "cannot open '%s/%s'", directory->path, name);
    if (!S_ISREG(st.st_mode))
        return err_set(err, ERR_DAMAGED, "'%s/%s' is not a file", directory->path, name);
    if (st.st_nlink > 1)
        return err_set(err, ERR_EXISTS, "'%s/%s' has been published already", directory->path, name);
    journal->size = (uint64_t)st.st_size;
    *out = journal;
    journal = NULL;
    return true;
}

/* The session's directory must not go between its being made and the journal's: another journal may be the
 * last one in it, and be published now. */
static bool journal_create(void *self, const char *name, struct journal **out, struct err *err)
{
    struct directory *directory = self;
    if (!in_place(directory, err)) return false;
    (void)pthread_mutex_lock(&directory->making);
    bool created = make_parents_locked(directory, name, err) &&
                   journal_take(directory, name, O_CREAT | O_EXCL, out, err);
    (void)pthread_mutex_unlock(&directory->making);
    return created;
}

/* After a failed sync the system takes pages for clean that never came to the disk: the next sync would leave
 * them out and succeed. Written again, they are dirty again. */
static bool write_again(struct journal *journal, struct err *err)
{
    AUTO(free) uint8_t *bytes = xmalloc(COPY_STEP);
    for (uint64_t at = 0; at < journal->size; at += COPY_STEP) {
        size_t len = journal->size - at < COPY_STEP ? (size_t)(journal->size - at) : COPY_STEP;
        if (!fd_pread_all(journal->fd, bytes, len, at, journal->name, err) ||
            !fd_pwrite_all(journal->fd, span_of(bytes, len), at, journal->name, err))
            return false;
    }
    return true;
}

static bool journal_open(void *self, const char *name, struct journal **out, struct err *err)
{
    AUTO(journal) struct journal *journal = NULL;
    if (!journal_take(self, name, 0, &journal, err) || !write_again(journal, err)) return false;
    *out = journal;
    journal = NULL;
    return true;
}

/* Always false: the journal's name is said within the repository. */
static bool in_repository(const struct directory *directory, struct err *err)
{
    return err_wrap(err, "in '%s'", directory->path);
}

static bool journal_append(void *self, struct journal *journal, struct span bytes, struct err *err)
{
    if (!fd_pwrite_all(journal->fd, bytes, journal->size, journal->name, err))
        return in_repository(self, err);
    journal->size += bytes.len;
    return true;
}

static bool sync_bytes(const struct directory *directory, const struct journal *journal, struct err *err)
{
    if (fdatasync(journal->fd) == 0) return true;
    return err_sys(err, errno, "cannot sync '%s/%s'", directory->path, journal->name);
}

static bool journal_sync(void *self, struct journal *journal, struct err *err)
{
    if (!sync_bytes(self, journal, err)) return false;
    if (journal->named) return true;
    if (!sync_parent(self, journal->name, err)) return false;
    journal->named = true;
    return true;
}

static bool journal_truncate(void *self, struct journal *journal, uint64_t size, struct err *err)
{
    if (ftruncate(journal->fd, (off_t)size) != 0)
        return err_sys(err, errno, "cannot truncate '%s/%s'", ((const struct directory *)self)->path,
                       journal->name);
    journal->size = size;
    return true;
}

/* Whether a published object has the bytes of the journal. */
static bool same_content(struct directory *directory, struct journal *journal, const char *name, bool *same,
                         struct err *err)
{
    AUTO(fd) int fd = -1;
    uint64_t size = 0;
    if (!open_object(directory, name, &fd, &size, err)) return false;
    bool equal = size == journal->size;
    AUTO(free) uint8_t *one = xmalloc(COPY_STEP);
    AUTO(free) uint8_t *other = xmalloc(COPY_STEP);
    for (uint64_t at = 0; equal && at < size; at += COPY_STEP) {
        size_t len = size - at < COPY_STEP ? (size_t)(size - at) : COPY_STEP;
        if (!fd_pread_all(fd, one, len, at, name, err) ||
            !fd_pread_all(journal->fd, other, len, at, journal->name, err))
            return false;
        equal = memcmp(one, other, len) == 0;
    }
    *same = equal;
    return true;
}

static bool link_journal(struct directory *directory, struct journal *journal, const char *name,
                         struct err *err)
{
    AUTO(fd) int from = -1;
    AUTO(fd) int to = -1;
    const char *journal_base, *base;
    if (!enter_parent(directory, journal->name, &from, &journal_base, err) ||
        !enter_parent(directory, name, &to, &base, err))
        return false;
    if (linkat(from, journal_base, to, base, 0) == 0) return true;
    if (errno != EEXIST)
        return err_sys(err, errno, "cannot publish '%s' as '%s/%s'", journal->name, directory->path, name);
    bool same;
    if (!same_content(directory, journal, name, &same, err)) return false;
    return same || err_set(err, ERR_EXISTS, "'%s/%s' exists with other bytes", directory->path, name);
}

static bool journal_publish(void *self, struct journal *journal, const char *name, struct err *err)
{
    struct directory *directory = self;
    if (!sync_bytes(directory, journal, err)) return false;
    if (!make_parents(directory, name, err) || !link_journal(directory, journal, name, err) ||
        !sync_parent(directory, name, err))
        return false;
    /* What is left of the old name after a crash here is removed when the repository is opened. */
    AUTO(fd) int fd = -1;
    const char *base;
    struct err ignored;
    if (enter_parent(directory, journal->name, &fd, &base, &ignored) && unlinkat(fd, base, 0) == 0)
        drop_session_directory(directory, journal->name);
    return true;
}

static void journal_close(void *self, struct journal *journal)
{
    journal_free(journal);
}

static void directory_close(void *self)
{
    struct directory *directory = self;
    if (!directory) return;
    if (directory->fd >= 0) (void)close(directory->fd);
    (void)pthread_mutex_destroy(&directory->making);
    free(directory->path);
    free(directory);
}
DEFINE_AUTO(directory, struct directory *, directory_close)

static const struct storage_ops directory_ops = {
    .put_if_absent = put_if_absent,
    .get = get,
    .get_range = get_range,
    .size = object_size,
    .list = list,
    .remove = remove_object,
    .free_space = free_space,
    .claim = claim,
    .in_place = in_place,
    .settle = settle,
    .allocate = allocate,
    .will_read = will_read,
    .journal_create = journal_create,
    .journal_open = journal_open,
    .journal_append = journal_append,
    .journal_sync = journal_sync,
    .journal_truncate = journal_truncate,
    .journal_publish = journal_publish,
    .journal_close = journal_close,
    .close = directory_close,
};

bool storage_directory_open(const char *path, struct storage *out, struct err *err)
{
    AUTO(directory) struct directory *directory = xcalloc(1, sizeof(*directory));
    directory->path = xstrdup(path);
    (void)pthread_mutex_init(&directory->making, NULL);
    directory->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory->fd < 0) return err_sys(err, errno, "cannot open the directory '%s'", path);
    *out = (struct storage){.ops = &directory_ops, .self = directory};
    directory = NULL;
    return true;
}
