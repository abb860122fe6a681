#include "transporter/pipeline/destination.h"

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { DIR_MODE = 0777 }; /* the umask narrows it */

struct destination {
    int root;
};

bool inode_is_empty_directory(int dir)
{
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *names = fd < 0 ? NULL : fdopendir(fd);
    if (!names) {
        auto_close_fd(fd);
        return false;
    }
    bool empty = true;
    errno = 0;
    for (struct dirent *entry; empty && (entry = readdir(names));)
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    bool failed = errno != 0;
    (void)closedir(names);
    return empty && !failed;
}

static bool open_root(const char *root, const char *path, int *out, struct err *err)
{
    const char *trusted = root ? root : path;
    if (!dir_make(trusted, DIR_MODE, err)) return false;
    AUTO(fd) int base = open(trusted, O_PATH | O_DIRECTORY | O_CLOEXEC);
    AUTO(fd) int below = -1;
    if (base < 0) return err_sys(err, errno, "cannot open '%s'", trusted);
    if (!dir_open_beneath(base, span_str(path + strlen(trusted)), DIR_MODE, &below, err)) return false;
    *out = openat(below, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* syncfs takes no O_PATH */
    return *out >= 0 || err_sys(err, errno, "cannot open '%s'", path);
}

bool destination_open(const char *root, const char *path, struct destination **out, bool *fresh,
                      struct err *err)
{
    int fd = -1;
    if (!open_root(root, path, &fd, err)) return err_wrap(err, "the destination '%s'", path);
    struct destination *destination = xcalloc(1, sizeof(*destination));
    destination->root = fd;
    *fresh = inode_is_empty_directory(fd);
    *out = destination;
    return true;
}

void destination_close(struct destination *destination)
{
    if (!destination) return;
    auto_close_fd(destination->root);
    free(destination);
}

bool destination_sync(struct destination *destination, struct err *err)
{
    return syncfs(destination->root) == 0 || err_sys(err, errno, "cannot sync the destination");
}

void destination_cursor_init(struct destination_cursor *cursor, struct destination *destination)
{
    *cursor = (struct destination_cursor){.destination = destination, .fd = -1};
}

void destination_cursor_deinit(struct destination_cursor *cursor)
{
    auto_close_fd(cursor->fd);
    buf_deinit(&cursor->dir);
    cursor->fd = -1;
}

static int open_step(int from, const char *path)
{
    return file_open_beneath(from, path, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
}

/* As much of a path as the kernel takes at once: it ends before a slash, or where the path does. 0: there is
 * a name that is too long. */
static size_t step_len(struct span path)
{
    size_t len = path.len;
    if (len < PATH_MAX) return len;
    for (len = PATH_MAX - 1; len > 0 && path.data[len] != '/';)
        len--;
    return len;
}

/* A long path goes in steps, each beneath the one before. */
static int open_beneath(int root, struct span path)
{
    char text[PATH_MAX];
    int fd = -1;
    if (path.len == 0) return open_step(root, ".");
    do {
        size_t len = step_len(path);
        memcpy(text, path.data, len);
        text[len] = '\0';
        int next = open_step(fd < 0 ? root : fd, text); /* of an empty one: ENOENT */
        int failed = errno;
        auto_close_fd(fd);
        fd = next;
        errno = failed;
        size_t taken = len < path.len ? len + 1 : len;
        path = span_of(path.data + taken, path.len - taken);
    } while (fd >= 0 && path.len > 0);
    return fd;
}

static bool enter(struct destination_cursor *cursor, struct span dir, struct err *err)
{
    if (cursor->fd >= 0 && span_eq(buf_span(&cursor->dir), dir)) return true;
    auto_close_fd(cursor->fd);
    cursor->fd = -1;
    buf_clear(&cursor->dir);
    buf_put_span(&cursor->dir, dir);
    cursor->fd = open_beneath(cursor->destination->root, dir);
    if (cursor->fd >= 0) return true;
    int sys = errno;
    if (sys == ELOOP || sys == EXDEV)
        return err_set(err, ERR_POLICY, "a symlink is in the way of '%s': nothing is written through it",
                       buf_cstr(&cursor->dir));
    return err_sys(err, sys, "cannot open the directory '%s' of the destination", buf_cstr(&cursor->dir));
}

bool destination_parent(struct destination_cursor *cursor, struct span path, int *dir, char name[static 256],
                        struct err *err)
{
    size_t start = path.len;
    while (start > 0 && path.data[start - 1] != '/')
        start--;
    size_t len = path.len - start;
    if (len == 0 || len > 255) return err_set(err, ERR_LIMIT, "a name of %zu bytes cannot be restored", len);
    if (!enter(cursor, span_of(path.data, start ? start - 1 : 0), err)) return false;
    memcpy(name, path.data + start, len);
    name[len] = '\0';
    *dir = cursor->fd;
    return true;
}

struct inode_metadata inode_metadata_of(const struct entry *entry)
{
    return (struct inode_metadata){
        .type = entry->type,
        .mode = entry->mode,
        .uid = entry->uid,
        .gid = entry->gid,
        .mtime_ns = entry->mtime_ns,
        .xattr_count = entry->xattr_count,
        .xattrs = entry->xattrs,
    };
}

bool inode_is_unchanged(const struct stat *there, const struct entry *entry)
{
    return S_ISREG(there->st_mode) && (uint64_t)there->st_size == entry->size &&
           clock_ns_of(&there->st_mtim) == entry->mtime_ns;
}

static void times_of(const struct inode_metadata *metadata, struct timespec times[2])
{
    const int64_t second = 1000000000;
    int64_t seconds = metadata->mtime_ns / second, rest = metadata->mtime_ns % second;
    if (rest < 0) {
        rest += second;
        seconds--;
    }
    times[0] = (struct timespec){.tv_nsec = UTIME_OMIT};
    times[1] = (struct timespec){.tv_sec = seconds, .tv_nsec = rest};
}

/* /proc/self/fd paths reach what can only be opened with O_PATH. */
static bool set_xattrs(const struct inode_metadata *metadata, int fd, const char *path, unsigned *losses,
                       struct err *err)
{
    struct reader reader = reader_of(metadata->xattrs);
    struct span name, value;
    bool whole = true;
    while (xattr_next(&reader, &name, &value)) {
        char text[256];
        memcpy(text, name.data, name.len);
        text[name.len] = '\0';
        int failed = path ? setxattr(path, text, value.data, value.len, 0)
                          : fsetxattr(fd, text, value.data, value.len, 0);
        if (failed) {
            *losses |= METADATA_XATTR_LOST;
            whole = err_sys(err, errno, "cannot set the extended attribute '%s'", text);
        }
    }
    return whole;
}

/* *now becomes what the inode is afterwards. */
static bool set_owner(const struct inode_metadata *metadata, int fd, struct stat *now, unsigned *losses,
                      struct err *err)
{
    if (fstat(fd, now) != 0) return err_sys(err, errno, "cannot stat a restored file");
    if (now->st_uid == metadata->uid && now->st_gid == metadata->gid) return true;
    if (fchown(fd, metadata->uid, metadata->gid) == 0) {
        now->st_mode &= ~06000u; /* as the kernel does */
        return true;
    }
    if (errno != EPERM) return err_sys(err, errno, "cannot set the owner of a restored file");
    *losses |= METADATA_OWNER_KEPT;
    return true;
}

bool inode_metadata_apply(const struct inode_metadata *metadata, int fd, unsigned *losses, struct err *err)
{
    struct stat now;
    if (!set_owner(metadata, fd, &now, losses, err)) return false;
    if (metadata->xattr_count > 0) (void)set_xattrs(metadata, fd, NULL, losses, err);

    uint32_t mode = metadata->mode;
    if (*losses & METADATA_OWNER_KEPT) mode &= ~06000u; /* no setuid under another owner */
    if ((now.st_mode & 07777) != mode && fchmod(fd, mode) != 0)
        return err_sys(err, errno, "cannot set the mode of a restored file");
    struct timespec times[2];
    times_of(metadata, times);
    return futimens(fd, times) == 0 || err_sys(err, errno, "cannot set the time of a restored file");
}

static mode_t kind_of(enum entry_type type)
{
    switch (type) {
    case ENTRY_SYMLINK:
        return S_IFLNK;
    case ENTRY_FIFO:
        return S_IFIFO;
    case ENTRY_CHAR_DEVICE:
        return S_IFCHR;
    case ENTRY_BLOCK_DEVICE:
        return S_IFBLK;
    default:
        return 0; /* others are opened */
    }
}

/* What was just made, and nothing that somebody who may write here has put in its place: a name of a file of
 * ours that he must not have would become his. */
static bool open_own(const struct inode_metadata *metadata, int dir, const char *name, int *out,
                     struct err *err)
{
    struct stat st;
    AUTO(fd) int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) return err_sys(err, errno, "cannot open '%s'", name);
    if ((st.st_mode & S_IFMT) != kind_of(metadata->type) || st.st_nlink > 1)
        return err_set(err, ERR_POLICY, "'%s' was replaced while it was restored", name);
    *out = fd;
    fd = -1;
    return true;
}

bool inode_metadata_apply_at(const struct inode_metadata *metadata, int dir, const char *name,
                             unsigned *losses, struct err *err)
{
    char path[64];
    AUTO(fd) int fd = -1;
    if (!open_own(metadata, dir, name, &fd, err)) return false;
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (fchownat(fd, "", metadata->uid, metadata->gid, AT_EMPTY_PATH) != 0) {
        if (errno != EPERM) return err_sys(err, errno, "cannot set the owner of '%s'", name);
        *losses |= METADATA_OWNER_KEPT;
    }
    if (metadata->xattr_count > 0) (void)set_xattrs(metadata, -1, path, losses, err);
    if (metadata->type != ENTRY_SYMLINK && chmod(path, metadata->mode) != 0)
        return err_sys(err, errno, "cannot set the mode of '%s'", name);
    struct timespec times[2];
    times_of(metadata, times);
    return utimensat(AT_FDCWD, path, times, 0) == 0 ||
           err_sys(err, errno, "cannot set the time of '%s'", name);
}
