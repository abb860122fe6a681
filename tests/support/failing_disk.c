/* Preloaded into a daemon, a disk that fails where the file FAILING_DISK says: "CALL CODE TIMES PART". From
 * then on the next so many of these calls (write, sync, link, rename, unlink, allocate) on a path with that
 * part fail with that errno; CODE 0: a write takes half, which is no failure. Each is noted in the file
 * FAILING_DISK.hits. An empty file: nothing fails. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

struct order {
    char call[16], part[256];
    int code, times;
};

/* By raw system calls, so that it meets no fault of its own. The descriptors are closed at once. */
static ssize_t read_order(char *out, size_t size)
{
    const char *path = getenv("FAILING_DISK");
    int fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return -1;
    ssize_t len = syscall(SYS_read, fd, out, size - 1);
    (void)syscall(SYS_close, fd);
    if (len > 0) out[len] = 0;
    return len;
}

static int hits_file(int flags)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%s.hits", getenv("FAILING_DISK"));
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, 0600);
}

static bool take_hit(int times, const char *path)
{
    char hits[16384];
    int fd = hits_file(O_RDWR | O_CREAT | O_APPEND);
    if (fd < 0) return false;
    ssize_t len = syscall(SYS_read, fd, hits, sizeof(hits));
    int count = 0;
    for (ssize_t i = 0; i < len; i++)
        count += hits[i] == '\n';
    bool hit = count < times;
    if (hit) {
        (void)syscall(SYS_write, fd, path, strlen(path));
        (void)syscall(SYS_write, fd, "\n", (size_t)1);
    }
    (void)syscall(SYS_close, fd);
    return hit;
}

static void path_of(int fd, const char *name, char *out, size_t size)
{
    char link[64];
    out[0] = 0;
    if (fd != AT_FDCWD) {
        (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        ssize_t len = syscall(SYS_readlinkat, AT_FDCWD, link, out, size - 1);
        out[len > 0 ? len : 0] = 0;
    }
    if (name) (void)snprintf(out + strlen(out), size - strlen(out), "/%s", name);
}

/* Whether the call is to fail, or to take half: *code. */
static bool fails(const char *call, int fd, const char *name, int *code)
{
    char text[512], path[PATH_MAX];
    struct order order;
    int before = errno;
    bool hit = false;
    if (read_order(text, sizeof(text)) > 0 && /* a test's: NOLINTNEXTLINE(cert-err34-c) */
        sscanf(text, "%15s %d %d %255s", order.call, &order.code, &order.times, order.part) == 4 &&
        strcmp(order.call, call) == 0) {
        path_of(fd, name, path, sizeof(path));
        size_t len = strlen(path), part = strlen(order.part);
        bool at_end = order.part[part - 1] == '$';
        hit = at_end ? len + 1 >= part && strncmp(path + len + 1 - part, order.part, part - 1) == 0
                     : strstr(path, order.part) != NULL;
        hit = hit && take_hit(order.times, path);
    }
    errno = hit ? order.code : before;
    *code = hit ? order.code : 0;
    return hit;
}

/* How many bytes of `len` are written; -1: none, it fails. */
static ssize_t allowed(int fd, size_t len)
{
    int code;
    if (len < 2 || !fails("write", fd, NULL, &code)) return (ssize_t)len;
    return code ? -1 : (ssize_t)(len / 2);
}

ssize_t write(int fd, const void *buf, size_t n)
{
    ssize_t most = allowed(fd, n);
    return most < 0 ? -1 : syscall(SYS_write, fd, buf, most);
}

ssize_t pwrite(int fd, const void *buf, size_t n, off_t offset)
{
    ssize_t most = allowed(fd, n);
    return most < 0 ? -1 : syscall(SYS_pwrite64, fd, buf, most, offset);
}

ssize_t pwrite64(int fd, const void *buf, size_t n, off64_t offset)
{
    return pwrite(fd, buf, n, offset);
}

ssize_t pwritev(int fd, const struct iovec *iovec, int count, off_t offset)
{
    int code;
    if (fails("write", fd, NULL, &code) && code) return -1;
    return syscall(SYS_pwritev, fd, iovec, count, offset, 0L);
}

ssize_t pwritev64(int fd, const struct iovec *iovec, int count, off64_t offset)
{
    return pwritev(fd, iovec, count, offset);
}

int fsync(int fd)
{
    int code;
    return fails("sync", fd, NULL, &code) ? -1 : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fildes)
{
    int code;
    return fails("sync", fildes, NULL, &code) ? -1 : (int)syscall(SYS_fdatasync, fildes);
}

int syncfs(int fd)
{
    int code;
    return fails("sync", fd, NULL, &code) ? -1 : (int)syscall(SYS_syncfs, fd);
}

int linkat(int fromfd, const char *from, int tofd, const char *to, int flags)
{
    int code;
    return fails("link", tofd, to, &code) ? -1 : (int)syscall(SYS_linkat, fromfd, from, tofd, to, flags);
}

int renameat(int oldfd, const char *old, int newfd, const char *new)
{
    int code;
    return fails("rename", newfd, new, &code) ? -1 : (int)syscall(SYS_renameat2, oldfd, old, newfd, new, 0);
}

int renameat2(int oldfd, const char *old, int newfd, const char *new, unsigned flags)
{
    int code;
    return fails("rename", newfd, new, &code) ? -1
                                              : (int)syscall(SYS_renameat2, oldfd, old, newfd, new, flags);
}

int unlinkat(int fd, const char *name, int flag)
{
    int code;
    return fails("unlink", fd, name, &code) ? -1 : (int)syscall(SYS_unlinkat, fd, name, flag);
}

int posix_fallocate(int fd, off_t offset, off_t len)
{
    int code;
    if (fails("allocate", fd, NULL, &code)) return code;
    return syscall(SYS_fallocate, fd, 0, offset, len) == 0 ? 0 : errno;
}

int posix_fallocate64(int fd, off64_t offset, off64_t len)
{
    return posix_fallocate(fd, offset, len);
}
