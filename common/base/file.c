#include "common/base/file.h"

#include "common/base/alloc.h"
#include "common/base/secret.h"
#include "common/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { READ_STEP = 64 * 1024 };

/* A first size for the buffer: regular files tell theirs, and are then read without growing (and
 * without leaving copies behind, which matters for files that hold secrets). */
static size_t first_room(int fd, size_t most)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size < 0)
        return READ_STEP < most ? READ_STEP : most;
    return (uint64_t)st.st_size < most ? (size_t)st.st_size + 1 : most;
}

static bool read_all(int fd, const char *path, size_t limit, struct buf *out, struct err *err)
{
    size_t most = limit < SIZE_MAX ? limit + 1 : limit; /* one more tells that it is too large */
    AUTO(buf) struct buf bytes = {0};
    buf_reserve(&bytes, first_room(fd, most));
    while (bytes.len < most) {
        size_t room = bytes.cap - bytes.len;
        if (room == 0) {
            buf_reserve(&bytes, READ_STEP);
            continue;
        }
        ssize_t got = read(fd, bytes.data + bytes.len, room < most - bytes.len ? room : most - bytes.len);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return err_sys(err, errno, "cannot read '%s'", path);
        if (got == 0) break;
        bytes.len += (size_t)got;
    }
    if (bytes.len > limit) return err_set(err, ERR_LIMIT, "'%s' is larger than %zu bytes", path, limit);
    struct buf old = *out;
    *out = bytes;
    bytes = old;
    return true;
}

bool file_read(int dirfd, const char *path, size_t limit, struct buf *out, struct err *err)
{
    AUTO(fd) int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) return err_sys(err, errno, "cannot open '%s'", path);
    return read_all(fd, path, limit, out, err);
}

bool file_read_regular(const char *path, size_t limit, struct buf *out, struct err *err)
{
    struct stat st;
    AUTO(fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) != 0) return err_sys(err, errno, "cannot open '%s'", path);
    if (!S_ISREG(st.st_mode)) return err_set(err, ERR_CONFIG, "'%s' is not a regular file", path);
    return read_all(fd, path, limit, out, err);
}

int file_open_beneath(int dirfd, const char *path, int flags, mode_t mode)
{
    struct open_how how = {.flags = (unsigned)flags, .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
    if (flags & O_CREAT) how.mode = mode;
    return (int)syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
}

/* The directory part of `path`: "." , "/" or what stands before the last slash. Caller frees. */
static char *parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash) return xstrdup(".");
    if (slash == path) return xstrdup("/");
    return xasprintf("%.*s", (int)(slash - path), path);
}

/* A name beside `path` that nobody else uses; its length does not depend on the name's. */
static char *temp_beside(const char *path)
{
    uint8_t random[8];
    char suffix[2 * sizeof(random) + 1];
    random_bytes(random, sizeof(random));
    hex_encode(random, sizeof(random), suffix);
    const char *slash = strrchr(path, '/');
    int dir_len = slash ? (int)(slash - path + 1) : 0;
    return xasprintf("%.*s" FILE_TEMP_PREFIX "%s", dir_len, path, suffix);
}

/* A file beside its target that is removed again unless a rename takes it over. */
struct temp_file {
    int dirfd;
    char *path;
    bool exists;
};

static void temp_file_drop(struct temp_file *temp)
{
    if (temp->exists) (void)unlinkat(temp->dirfd, temp->path, 0);
    free(temp->path);
}
DEFINE_AUTO_IN_PLACE(temp_file, struct temp_file, temp_file_drop)

/* What file systems that lack an operation say: vfat and exfat have no hard links, some FUSE and network ones
 * no rename that replaces nothing either. */
static bool is_lacking(int sys)
{
    return sys == EPERM || sys == EOPNOTSUPP || sys == ENOSYS || sys == EINVAL;
}

static bool temp_file_write(struct temp_file *temp, const char *path, struct span bytes, mode_t mode,
                            struct err *err)
{
    AUTO(fd)
    int fd = openat(temp->dirfd, temp->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return err_sys(err, errno, "cannot create '%s'", path);
    temp->exists = true;
    if (!fd_write_all(fd, bytes, path, err)) return false;
    /* we made it, so it is a file system without modes (vfat, exfat) that refuses */
    if (fchmod(fd, mode) != 0 && !is_lacking(errno))
        return err_sys(err, errno, "cannot set the mode of '%s'", path);
    if (fsync(fd) != 0) return err_sys(err, errno, "cannot sync '%s'", path);
    return true;
}

bool file_replace(int dirfd, const char *path, struct span bytes, mode_t mode, struct err *err)
{
    AUTO(temp_file) struct temp_file temp = {.dirfd = dirfd, .path = temp_beside(path)};
    if (!temp_file_write(&temp, path, bytes, mode, err)) return false;
    if (renameat(dirfd, temp.path, dirfd, path) != 0) return err_sys(err, errno, "cannot replace '%s'", path);
    temp.exists = false;
    AUTO(free) char *parent = parent_of(path);
    return dir_sync(dirfd, parent, err);
}

/* Takes the name first, with an empty file: whoever else wants it is refused from then on. */
static bool take_and_rename(int dirfd, const char *temp, const char *path)
{
    AUTO(fd) int fd = openat(dirfd, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return false;
    if (renameat(dirfd, temp, dirfd, path) == 0) return true;
    int sys = errno;
    (void)unlinkat(dirfd, path, 0);
    errno = sys;
    return false;
}

bool file_publish(int dirfd, const char *temp, const char *path, struct err *err)
{
    if (linkat(dirfd, temp, dirfd, path, 0) == 0) {
        (void)unlinkat(dirfd, temp, 0);
        return true;
    }
    if (is_lacking(errno) && renameat2(dirfd, temp, dirfd, path, RENAME_NOREPLACE) == 0) return true;
    if (is_lacking(errno) && take_and_rename(dirfd, temp, path)) return true;
    return err_sys(err, errno, "cannot create '%s'", path);
}

bool file_create(int dirfd, const char *path, struct span bytes, mode_t mode, struct err *err)
{
    AUTO(free) char *parent = parent_of(path);
    {
        AUTO(temp_file) struct temp_file temp = {.dirfd = dirfd, .path = temp_beside(path)};
        if (!temp_file_write(&temp, path, bytes, mode, err)) return false;
        if (!file_publish(dirfd, temp.path, path, err)) return false;
        temp.exists = false;
    }
    return dir_sync(dirfd, parent, err);
}

static bool make_one(const char *path, mode_t mode, struct err *err)
{
    if (mkdir(path, mode) == 0) {
        AUTO(free) char *parent = parent_of(path);
        return dir_sync(AT_FDCWD, parent, err);
    }
    int sys = errno;
    struct stat st;
    /* mkdir on an existing path fails in several ways: EEXIST, EROFS, EACCES */
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) return true;
    return err_sys(err, sys == EEXIST ? ENOTDIR : sys, "cannot make the directory '%s'", path);
}

bool dir_make(const char *path, mode_t mode, struct err *err)
{
    AUTO(free) char *partial = xstrdup(path);
    size_t len = strlen(partial);
    while (len > 1 && partial[len - 1] == '/')
        partial[--len] = 0;
    for (char *slash = strchr(partial + (len > 0), '/'); slash; slash = strchr(slash + 1, '/')) {
        if (slash[-1] == '/') continue;
        *slash = 0;
        bool made = make_one(partial, mode, err);
        *slash = '/';
        if (!made) return false;
    }
    return make_one(partial, mode, err);
}

/* One name: made if it is absent, opened if nobody put a link there. */
static bool enter_or_make(int dirfd, const char *name, mode_t mode, int *out, struct err *err)
{
    bool made = mkdirat(dirfd, name, mode) == 0;
    int sys = errno;
    struct stat st;
    if (made && !dir_sync(dirfd, ".", err)) return false;
    if (!made && fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return err_sys(err, sys, "cannot make the directory '%s'", name);
    *out = file_open_beneath(dirfd, name, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    if (*out >= 0) return true;
    if (errno == ELOOP || errno == EXDEV)
        return err_set(err, ERR_POLICY, "'%s' is a symlink: nothing is written through it", name);
    return err_sys(err, errno, "cannot open the directory '%s'", name);
}

bool dir_open_beneath(int dirfd, struct span path, mode_t mode, int *out, struct err *err)
{
    AUTO(fd) int at = file_open_beneath(dirfd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    if (at < 0) return err_sys(err, errno, "cannot open the directory");
    while (path.len > 0) {
        char name[NAME_MAX + 1];
        const uint8_t *slash = memchr(path.data, '/', path.len);
        size_t len = slash ? (size_t)(slash - path.data) : path.len;
        if (len > NAME_MAX) return err_sys(err, ENAMETOOLONG, "cannot make a directory");
        memcpy(name, path.data, len);
        name[len] = '\0';
        path = span_of(path.data + len + (slash != NULL), path.len - len - (slash != NULL));
        if (len == 0) continue;
        int next = -1;
        if (!enter_or_make(at, name, mode, &next, err)) return false;
        auto_close_fd(at);
        at = next;
    }
    *out = at;
    at = -1;
    return true;
}

bool dir_sync(int dirfd, const char *path, struct err *err)
{
    AUTO(fd) int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return err_sys(err, errno, "cannot open the directory '%s'", path);
    /* EINVAL: a file system that has no such thing as an unsynced directory */
    if (fsync(fd) != 0 && errno != EINVAL) return err_sys(err, errno, "cannot sync the directory '%s'", path);
    return true;
}

bool fd_write_all(int fd, struct span bytes, const char *name, struct err *err)
{
    while (bytes.len) {
        ssize_t put = write(fd, bytes.data, bytes.len);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) return err_sys(err, put ? errno : EIO, "cannot write '%s'", name);
        bytes = span_of(bytes.data + put, bytes.len - (size_t)put);
    }
    return true;
}

/* Offsets are signed in the system's interface. */
static bool range_ok(uint64_t offset, size_t len)
{
    uint64_t end;
    return add_u64(offset, len, &end) && end <= INT64_MAX;
}

bool fd_pwrite_all(int fd, struct span bytes, uint64_t offset, const char *name, struct err *err)
{
    if (!range_ok(offset, bytes.len)) return err_sys(err, EFBIG, "cannot write '%s'", name);
    while (bytes.len) {
        ssize_t put = pwrite(fd, bytes.data, bytes.len, (off_t)offset);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) return err_sys(err, put ? errno : EIO, "cannot write '%s'", name);
        bytes = span_of(bytes.data + put, bytes.len - (size_t)put);
        offset += (uint64_t)put;
    }
    return true;
}

bool fd_pread_all(int fd, void *out, size_t len, uint64_t offset, const char *name, struct err *err)
{
    if (!range_ok(offset, len)) return err_set(err, ERR_TRUNCATED, "'%s' ends too early", name);
    uint8_t *to = out;
    while (len) {
        ssize_t got = pread(fd, to, len, (off_t)offset);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return err_sys(err, errno, "cannot read '%s'", name);
        if (got == 0) return err_set(err, ERR_TRUNCATED, "'%s' ends too early", name);
        to += got;
        len -= (size_t)got;
        offset += (uint64_t)got;
    }
    return true;
}
