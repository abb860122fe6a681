#include "fault_storage.h"

#include "common/base/alloc.h"
#include "common/base/file.h"
#include "fault_trace.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct trace *fault_trace;

enum { CHILD_FINISHED = 40, CHILD_FAILED, CHILD_DIED };

static void (*hook_call)(void *arg, int step, const char *call);
static void *hook_arg;

const char *fault_disk_how_name(enum fault_disk_how how)
{
    static const char *const names[FAULT_DISK_HOWS] = {
        [FAULT_DISK_NONE] = "nothing",
        [FAULT_DISK_DIE] = "killed",
        [FAULT_DISK_EIO] = "EIO",
        [FAULT_DISK_EIO_STAYS] = "EIO for good",
        [FAULT_DISK_ENOSPC] = "disk full",
        [FAULT_DISK_SHORT] = "short write",
        [FAULT_DISK_SYNC] = "failed fsync",
        [FAULT_DISK_SYNC_DIE] = "failed fsync and killed",
        [FAULT_DISK_READ] = "failed read",
        [FAULT_DISK_READ_HALF] = "short read",
        [FAULT_DISK_READ_END] = "file that ends early",
        [FAULT_DISK_DIE_READS] = "killed, also between reads",
    };
    return names[how];
}

/* --- the calls behind --- */

int __real_open64(const char *path, int flags, ...);
int __real_openat64(int dirfd, const char *path, int flags, ...);
int __real_file_open_beneath(int dirfd, const char *path, int flags, mode_t mode);
ssize_t __real_read(int fd, void *bytes, size_t len);
ssize_t __real_pread64(int fd, void *bytes, size_t len, off_t offset);
struct dirent *__real_readdir64(DIR *dir);
ssize_t __real_write(int fd, const void *bytes, size_t len);
ssize_t __real_pwrite64(int fd, const void *bytes, size_t len, off_t offset);
int __real_ftruncate64(int fd, off_t len);
int __real_posix_fallocate64(int fd, off_t offset, off_t len);
int __real_fsync(int fd);
int __real_fdatasync(int fd);
int __real_syncfs(int fd);
int __real_linkat(int from, const char *old, int to, const char *new, int flags);
int __real_renameat(int from, const char *old, int to, const char *new);
int __real_unlinkat(int dirfd, const char *path, int flags);
int __real_mkdirat(int dirfd, const char *path, mode_t mode);

/* --- writing the trace --- */

static int find_node(const struct stat *st)
{
    for (int i = fault_trace->nodes - 1; i >= 0; i--)
        if (fault_trace->node[i].ino == st->st_ino && fault_trace->node[i].dev == st->st_dev) return i;
    return -1;
}

static int add_node(const struct stat *st)
{
    if (fault_trace->nodes == TRACE_NODES) abort();
    fault_trace->node[fault_trace->nodes] =
        (struct trace_node){.dev = st->st_dev, .ino = st->st_ino, .is_dir = S_ISDIR(st->st_mode)};
    return fault_trace->nodes++;
}

static int node_of_fd(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 ? find_node(&st) : -1;
}

/* The watched directory that holds `path`, and the name in it; -1: not watched. */
static int node_of_parent(int dirfd, const char *path, const char **name)
{
    struct stat st;
    const char *slash = strrchr(path, '/');
    AUTO(free) char *parent = slash ? xasprintf("%.*s", (int)(slash - path + 1), path) : xstrdup(".");
    *name = slash ? slash + 1 : path;
    return fstatat(dirfd, parent, &st, 0) == 0 ? find_node(&st) : -1;
}

static int node_of_path(int dirfd, const char *path)
{
    struct stat st;
    return fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 ? find_node(&st) : -1;
}

static struct trace_step *next_step(enum trace_kind kind)
{
    if (fault_trace->count == TRACE_STEPS) abort();
    struct trace_step *step = &fault_trace->step[fault_trace->count++];
    *step = (struct trace_step){.kind = kind, .dir = -1, .node = -1};
    return step;
}

static void note_entry(int dir, const char *name, int node)
{
    struct trace_step *step = next_step(TRACE_ENTRY);
    if (strlen(name) >= sizeof(step->name)) abort();
    step->dir = dir;
    step->node = node;
    memcpy(step->name, name, strlen(name) + 1);
}

static void note_write(int node, uint64_t offset, const void *bytes, size_t len)
{
    struct trace_step *step = next_step(TRACE_WRITE);
    if (len > TRACE_BYTES - fault_trace->used) abort();
    step->node = node;
    step->offset = offset;
    step->data = fault_trace->used;
    step->len = len;
    memcpy(fault_trace->bytes + fault_trace->used, bytes, len);
    fault_trace->used += len;
}

static void note_on(enum trace_kind kind, int node, uint64_t offset)
{
    struct trace_step *step = next_step(kind);
    step->node = node;
    step->offset = offset;
}

/* --- what a step is to do --- */

enum need { NEEDS_NOTHING, NEEDS_ROOM, IS_WRITE, IS_SYNC, IS_READ };

static bool concerns(enum need need)
{
    switch (fault_trace->how) {
    case FAULT_DISK_ENOSPC:
        return need == NEEDS_ROOM || need == IS_WRITE;
    case FAULT_DISK_SHORT:
        return need == IS_WRITE;
    case FAULT_DISK_SYNC:
    case FAULT_DISK_SYNC_DIE:
        return need == IS_SYNC;
    case FAULT_DISK_READ:
    case FAULT_DISK_READ_HALF:
    case FAULT_DISK_READ_END:
        return need == IS_READ;
    default:
        return true;
    }
}

static bool stays(void)
{
    return fault_trace->how == FAULT_DISK_EIO_STAYS || fault_trace->how == FAULT_DISK_ENOSPC;
}

/* Counts the step, if it can fail in this way; what is to happen to it. Under lock. */
static enum fault_disk_how meet(enum need need, const char *call)
{
    if (fault_trace->how == FAULT_DISK_SYNC_DIE && fault_trace->failed) _exit(CHILD_DIED);
    if (!concerns(need)) return FAULT_DISK_NONE;
    int step = fault_trace->counted++;
    if (hook_call) hook_call(hook_arg, step, call);
    if (fault_trace->how == FAULT_DISK_NONE || step < fault_trace->at) return FAULT_DISK_NONE;
    if (step > fault_trace->at && !stays()) return FAULT_DISK_NONE;
    fault_trace->hits++;
    if (fault_trace->how == FAULT_DISK_DIE || fault_trace->how == FAULT_DISK_DIE_READS) _exit(CHILD_DIED);
    return fault_trace->how;
}

static int fail_with(enum fault_disk_how how)
{
    errno = how == FAULT_DISK_ENOSPC ? ENOSPC : EIO;
    return -1;
}

static bool enter(void)
{
    if (!fault_trace || !fault_trace->on) return false;
    (void)pthread_mutex_lock(&fault_trace->lock);
    return true;
}

/* For cleanup: gives the lock back, and leaves errno alone. */
static void leave(const bool *entered)
{
    int saved = errno;
    if (*entered) (void)pthread_mutex_unlock(&fault_trace->lock);
    errno = saved;
}
#define WATCHED() __attribute__((cleanup(leave))) const bool watched = enter()

/* --- the wrapped calls --- */

static void created(int fd, int dir, const char *name)
{
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) return;
    int node = find_node(&st);
    note_entry(dir, name, node >= 0 && !(st.st_nlink == 1) ? node : add_node(&st));
}

/* -2: go on with the call. Of what is read, finding it is a step too, where reads are to fail. */
static int before_find(bool watched, int dirfd, const char *path)
{
    if (!watched || fault_trace->how != FAULT_DISK_READ || node_of_path(dirfd, path) < 0) return -2;
    enum fault_disk_how how = meet(IS_READ, "open");
    return how == FAULT_DISK_NONE ? -2 : fail_with(how);
}

/* -2: go on with the call, which creates `name` in `dir` */
static int before_create(bool watched, int dirfd, const char *path, int flags, int *dir, const char **name)
{
    *dir = -1;
    if (!(flags & O_CREAT)) return before_find(watched, dirfd, path);
    if (!watched) return -2;
    *dir = node_of_parent(dirfd, path, name);
    if (*dir < 0 || node_of_path(dirfd, path) >= 0) {
        *dir = -1;
        return -2;
    }
    enum fault_disk_how how = meet(NEEDS_ROOM, "create");
    return how == FAULT_DISK_NONE ? -2 : fail_with(how);
}

int __wrap_openat64(int dirfd, const char *path, int flags, ...);
int __wrap_openat64(int dirfd, const char *path, int flags, ...)
{
    mode_t mode = 0;
    if (flags & O_CREAT) {
        va_list args;
        va_start(args, flags);
        mode = (mode_t)va_arg(args, unsigned);
        va_end(args);
    }
    WATCHED();
    int dir;
    const char *name;
    int refused = before_create(watched, dirfd, path, flags, &dir, &name);
    if (refused != -2) return refused;
    int fd = __real_openat64(dirfd, path, flags, mode);
    if (dir >= 0) created(fd, dir, name);
    return fd;
}

int __wrap_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...)
{
    mode_t mode = 0;
    if (flags & O_CREAT) {
        va_list args;
        va_start(args, flags);
        mode = (mode_t)va_arg(args, unsigned);
        va_end(args);
    }
    return __wrap_openat64(AT_FDCWD, path, flags, mode);
}

int __wrap_file_open_beneath(int dirfd, const char *path, int flags, mode_t mode);
int __wrap_file_open_beneath(int dirfd, const char *path, int flags, mode_t mode)
{
    WATCHED();
    int dir;
    const char *name;
    int refused = before_create(watched, dirfd, path, flags, &dir, &name);
    if (refused != -2) return refused;
    int fd = __real_file_open_beneath(dirfd, path, flags, mode);
    if (dir >= 0) created(fd, dir, name);
    return fd;
}

/* How much of a write is done: all, none (-1 and errno), or half. */
static ssize_t allowed(size_t len)
{
    enum fault_disk_how how = meet(IS_WRITE, "write");
    if (how == FAULT_DISK_NONE || len == 0) return (ssize_t)len;
    bool half =
        how == FAULT_DISK_SHORT || (how == FAULT_DISK_ENOSPC && fault_trace->counted - 1 == fault_trace->at);
    if (half && len > 1) return (ssize_t)(len / 2);
    return how == FAULT_DISK_SHORT ? (ssize_t)len : fail_with(how);
}

/* What is to happen to a read of *len bytes, which it may make fewer. */
static enum fault_disk_how before_read(bool watched, int fd, size_t *len)
{
    bool counts = watched && fault_trace->how >= FAULT_DISK_READ && node_of_fd(fd) >= 0;
    enum fault_disk_how how = counts ? meet(IS_READ, "read") : FAULT_DISK_NONE;
    if (how == FAULT_DISK_READ_HALF && *len > 1) *len /= 2;
    return how;
}

ssize_t __wrap_pread64(int fd, void *bytes, size_t len, off_t offset);
ssize_t __wrap_pread64(int fd, void *bytes, size_t len, off_t offset)
{
    WATCHED();
    enum fault_disk_how how = before_read(watched, fd, &len);
    if (how == FAULT_DISK_READ_END) return 0;
    return how == FAULT_DISK_READ ? fail_with(how) : __real_pread64(fd, bytes, len, offset);
}

ssize_t __wrap_read(int fd, void *bytes, size_t len);
ssize_t __wrap_read(int fd, void *bytes, size_t len)
{
    WATCHED();
    enum fault_disk_how how = before_read(watched, fd, &len);
    if (how == FAULT_DISK_READ_END) return 0;
    return how == FAULT_DISK_READ ? fail_with(how) : __real_read(fd, bytes, len);
}

struct dirent *__wrap_readdir64(DIR *dir);
struct dirent *__wrap_readdir64(DIR *dir)
{
    WATCHED();
    bool counts = watched && fault_trace->how == FAULT_DISK_READ && node_of_fd(dirfd(dir)) >= 0;
    if (!counts || meet(IS_READ, "read of a directory") == FAULT_DISK_NONE) return __real_readdir64(dir);
    (void)fail_with(FAULT_DISK_READ);
    return NULL;
}

ssize_t __wrap_pwrite64(int fd, const void *bytes, size_t len, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *bytes, size_t len, off_t offset)
{
    WATCHED();
    int node = watched ? node_of_fd(fd) : -1;
    if (node < 0) return __real_pwrite64(fd, bytes, len, offset);
    ssize_t part = allowed(len);
    if (part < 0) return part;
    ssize_t done = __real_pwrite64(fd, bytes, (size_t)part, offset);
    if (done > 0) note_write(node, (uint64_t)offset, bytes, (size_t)done);
    return done;
}

ssize_t __wrap_write(int fd, const void *bytes, size_t len);
ssize_t __wrap_write(int fd, const void *bytes, size_t len)
{
    WATCHED();
    int node = watched ? node_of_fd(fd) : -1;
    if (node < 0) return __real_write(fd, bytes, len);
    ssize_t part = allowed(len);
    if (part < 0) return part;
    off_t offset = lseek(fd, 0, SEEK_CUR);
    ssize_t done = __real_write(fd, bytes, (size_t)part);
    if (done > 0) note_write(node, (uint64_t)offset, bytes, (size_t)done);
    return done;
}

int __wrap_ftruncate64(int fd, off_t len);
int __wrap_ftruncate64(int fd, off_t len)
{
    WATCHED();
    int node = watched ? node_of_fd(fd) : -1;
    if (node >= 0) {
        enum fault_disk_how how = meet(NEEDS_NOTHING, "truncate");
        if (how != FAULT_DISK_NONE) return fail_with(how);
    }
    int code = __real_ftruncate64(fd, len);
    if (node >= 0 && code == 0) note_on(TRACE_TRUNCATE, node, (uint64_t)len);
    return code;
}

/* A file that grows to that size; the bytes set aside are zeros. */
int __wrap_posix_fallocate64(int fd, off_t offset, off_t len);
int __wrap_posix_fallocate64(int fd, off_t offset, off_t len)
{
    WATCHED();
    struct stat st;
    int node = watched ? node_of_fd(fd) : -1;
    if (node < 0) return __real_posix_fallocate64(fd, offset, len);
    enum fault_disk_how how = meet(NEEDS_ROOM, "fallocate");
    if (how != FAULT_DISK_NONE) return how == FAULT_DISK_ENOSPC ? ENOSPC : EIO;
    int code = __real_posix_fallocate64(fd, offset, len);
    if (code == 0 && fstat(fd, &st) == 0) note_on(TRACE_TRUNCATE, node, (uint64_t)st.st_size);
    return code;
}

static int sync_with(int (*call)(int fd), int fd)
{
    WATCHED();
    int node = watched ? node_of_fd(fd) : -1;
    if (node < 0) return call(fd);
    enum fault_disk_how how = meet(IS_SYNC, fault_trace->node[node].is_dir ? "sync of a directory" : "sync");
    if (how != FAULT_DISK_NONE) {
        note_on(TRACE_SYNC_FAILED, node, 0);
        fault_trace->failed = true;
        return fail_with(how);
    }
    note_on(TRACE_SYNC, node, 0);
    return 0; /* the real disk is not at issue */
}

int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
    return sync_with(__real_fsync, fd);
}

int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd)
{
    return sync_with(__real_fdatasync, fd);
}

/* Of everything watched. */
int __wrap_syncfs(int fd);
int __wrap_syncfs(int fd)
{
    WATCHED();
    if (!watched || node_of_fd(fd) < 0) return __real_syncfs(fd);
    enum fault_disk_how how = meet(IS_SYNC, "syncfs");
    if (how != FAULT_DISK_NONE) fault_trace->failed = true;
    for (int node = 0; node < fault_trace->nodes; node++)
        note_on(how == FAULT_DISK_NONE ? TRACE_SYNC : TRACE_SYNC_FAILED, node, 0);
    return how == FAULT_DISK_NONE ? 0 : fail_with(how);
}

int __wrap_linkat(int from, const char *old, int to, const char *new, int flags);
int __wrap_linkat(int from, const char *old, int to, const char *new, int flags)
{
    WATCHED();
    const char *name;
    int dir = watched ? node_of_parent(to, new, &name) : -1;
    if (dir < 0) return __real_linkat(from, old, to, new, flags);
    int node = node_of_path(from, old);
    enum fault_disk_how how = meet(NEEDS_ROOM, "link");
    if (how != FAULT_DISK_NONE) return fail_with(how);
    int code = __real_linkat(from, old, to, new, flags);
    if (code == 0) note_entry(dir, name, node);
    return code;
}

int __wrap_renameat(int from, const char *old, int to, const char *new);
int __wrap_renameat(int from, const char *old, int to, const char *new)
{
    WATCHED();
    const char *name, *old_name;
    int dir = watched ? node_of_parent(to, new, &name) : -1;
    if (dir < 0) return __real_renameat(from, old, to, new);
    int node = node_of_path(from, old);
    int old_dir = node_of_parent(from, old, &old_name);
    enum fault_disk_how how = meet(NEEDS_ROOM, "rename");
    if (how != FAULT_DISK_NONE) return fail_with(how);
    int code = __real_renameat(from, old, to, new);
    if (code != 0) return code;
    note_entry(dir, name, node);
    note_entry(old_dir, old_name, -1);
    return 0;
}

int __wrap_unlinkat(int dirfd, const char *path, int flags);
int __wrap_unlinkat(int dirfd, const char *path, int flags)
{
    WATCHED();
    const char *name;
    int dir = watched && node_of_path(dirfd, path) >= 0 ? node_of_parent(dirfd, path, &name) : -1;
    if (dir < 0) return __real_unlinkat(dirfd, path, flags);
    enum fault_disk_how how = meet(NEEDS_NOTHING, flags & AT_REMOVEDIR ? "rmdir" : "unlink");
    if (how != FAULT_DISK_NONE) return fail_with(how);
    int code = __real_unlinkat(dirfd, path, flags);
    if (code == 0) note_entry(dir, name, -1);
    return code;
}

int __wrap_unlink(const char *path);
int __wrap_unlink(const char *path)
{
    return __wrap_unlinkat(AT_FDCWD, path, 0);
}

int __wrap_rmdir(const char *path);
int __wrap_rmdir(const char *path)
{
    return __wrap_unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

int __wrap_mkdirat(int dirfd, const char *path, mode_t mode);
int __wrap_mkdirat(int dirfd, const char *path, mode_t mode)
{
    WATCHED();
    const char *name;
    int dir = watched && node_of_path(dirfd, path) < 0 ? node_of_parent(dirfd, path, &name) : -1;
    if (dir < 0) return __real_mkdirat(dirfd, path, mode);
    enum fault_disk_how how = meet(NEEDS_ROOM, "mkdir");
    if (how != FAULT_DISK_NONE) return fail_with(how);
    int code = __real_mkdirat(dirfd, path, mode);
    struct stat st;
    if (code == 0 && fstatat(dirfd, path, &st, 0) == 0) note_entry(dir, name, add_node(&st));
    return code;
}

int __wrap_mkdir(const char *path, mode_t mode);
int __wrap_mkdir(const char *path, mode_t mode)
{
    return __wrap_mkdirat(AT_FDCWD, path, mode);
}

/* --- watching --- */

static void read_tree(int dirfd, int dir);

static void read_entry(int dirfd, int dir, const char *name)
{
    struct stat st;
    struct err err;
    cr_assert_eq(fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW), 0);
    int node = find_node(&st);
    bool met = node >= 0;
    if (!met) node = add_node(&st);
    note_entry(dir, name, node);
    if (S_ISDIR(st.st_mode)) {
        int below = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        cr_assert_geq(below, 0);
        read_tree(below, node);
    } else if (!met) {
        AUTO(buf) struct buf bytes = {0};
        cr_assert(file_read(dirfd, name, TRACE_BYTES, &bytes, &err), "%s", err.text);
        note_write(node, 0, bytes.data, bytes.len);
    }
}

/* Takes the descriptor. The index's files are no part of it: they could be huge, and are not seen to change.
 */
static void read_tree(int dirfd, int dir)
{
    DIR *stream = fdopendir(dirfd);
    cr_assert(stream);
    for (struct dirent *entry = readdir(stream); entry; entry = readdir(stream))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            !strstr(entry->d_name, "mdb"))
            read_entry(dirfd, dir, entry->d_name);
    (void)closedir(stream);
}

void fault_disk_watch(const char *root)
{
    if (!fault_trace) {
        void *memory = mmap(NULL, sizeof(*fault_trace), PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        cr_assert(memory != MAP_FAILED);
        fault_trace = memory;
    }
    fault_trace->on = false;
    fault_trace->count = fault_trace->nodes = 0;
    fault_trace->used = 0;
    memset(fault_trace->marks, 0, sizeof(fault_trace->marks));
    struct stat st;
    cr_assert_eq(stat(root, &st), 0);
    (void)add_node(&st);
    int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cr_assert_geq(fd, 0);
    read_tree(fd, 0);
    fault_trace->base = fault_trace->count;
}

/* --- running --- */

static void begin(enum fault_disk_how how, int at)
{
    /* a child that died may have held it */
    pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;
    memcpy(&fault_trace->lock, &fresh, sizeof(fresh));
    fault_trace->how = how;
    fault_trace->at = at;
    fault_trace->counted = fault_trace->hits = 0;
    fault_trace->failed = false;
    fault_trace->on = true;
}

struct fault_run fault_disk_run(enum fault_disk_how how, int at, bool (*work)(void *arg), void *arg)
{
    int status = 0;
    begin(how, at);
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) _exit(work(arg) ? CHILD_FINISHED : CHILD_FAILED);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    fault_trace->on = false;
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    cr_assert(code >= CHILD_FINISHED && code <= CHILD_DIED, "%s at step %d: the process ended with status %d",
              fault_disk_how_name(how), at, status);
    return (struct fault_run){.died = code == CHILD_DIED,
                              .succeeded = code == CHILD_FINISHED,
                              .steps = fault_trace->counted,
                              .hits = fault_trace->hits};
}

void fault_disk_mark(unsigned what, uint64_t value)
{
    if (!fault_trace || !fault_trace->on) return;
    (void)pthread_mutex_lock(&fault_trace->lock);
    if (value > fault_trace->marks[what]) fault_trace->marks[what] = value;
    (void)pthread_mutex_unlock(&fault_trace->lock);
}

uint64_t fault_disk_marked(unsigned what)
{
    return fault_trace->marks[what];
}

void fault_disk_hook(void (*hook)(void *arg, int step, const char *call), void *arg)
{
    hook_call = hook;
    hook_arg = arg;
}
