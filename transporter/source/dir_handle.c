#include "transporter/source/dir_handle.h"

#include "common/base/alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define OPEN_MAX_DEFAULT 1024u
#define OPEN_SHARE 8u /* of the process's descriptors: 1 in so many */

struct dir_handle {
    struct dir_pool *pool;
    struct dir_handle *parent; /* NULL: a root, which is always open */
    _Atomic unsigned refs;
    uint64_t device, inode;
    /* From 0 and to 0 it changes under the pool's mutex; while it is above 0 the descriptor stays. */
    _Atomic unsigned pins;
    /* under the pool's mutex */
    int fd;
    struct dir_handle *newer, *older; /* among the idle: open, and nobody's */
    size_t name_len;
    char name[]; /* with a NUL */
};

struct dir_pool {
    pthread_mutex_t mutex;
    unsigned open_max;
    unsigned idle;
    struct dir_handle *oldest, *newest;
};

/* Enough for a walk that is well ahead of those who read the files, if the process may have as many. */
static unsigned default_open_max(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return OPEN_MAX_DEFAULT / OPEN_SHARE;
    rlim_t share = limit.rlim_cur / OPEN_SHARE;
    return share < OPEN_MAX_DEFAULT ? (unsigned)share : OPEN_MAX_DEFAULT;
}

struct dir_pool *dir_pool_new(unsigned open_max)
{
    struct dir_pool *pool = xcalloc(1, sizeof(*pool));
    (void)pthread_mutex_init(&pool->mutex, NULL);
    pool->open_max = open_max ? open_max : default_open_max();
    return pool;
}

void dir_pool_free(struct dir_pool *pool)
{
    if (!pool) return;
    (void)pthread_mutex_destroy(&pool->mutex);
    free(pool);
}

static struct dir_handle *handle_new(struct dir_pool *pool, struct span name)
{
    struct dir_handle *dir = xcalloc(1, sizeof(*dir) + name.len + 1);
    dir->pool = pool;
    dir->refs = 1;
    dir->fd = -1;
    dir->name_len = name.len;
    if (name.len) memcpy(dir->name, name.data, name.len);
    return dir;
}

bool dir_handle_root(struct dir_pool *pool, const char *path, struct dir_handle **out, struct err *err)
{
    AUTO(fd) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == EACCES) fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return err_sys(err, errno, "cannot open '%s'", path);
    *out = handle_new(pool, span_str(path));
    (*out)->fd = fd;
    (*out)->pins = 1; /* for good */
    fd = -1;
    return true;
}

struct dir_handle *dir_handle_child(struct dir_handle *parent, struct span name, uint64_t device,
                                    uint64_t inode)
{
    struct dir_handle *dir = handle_new(parent->pool, name);
    dir->parent = dir_handle_ref(parent);
    dir->device = device;
    dir->inode = inode;
    return dir;
}

struct dir_handle *dir_handle_ref(struct dir_handle *dir)
{
    (void)atomic_fetch_add_explicit(&dir->refs, 1, memory_order_relaxed);
    return dir;
}

static void idle_remove(struct dir_pool *pool, struct dir_handle *dir)
{
    *(dir->older ? &dir->older->newer : &pool->oldest) = dir->newer;
    *(dir->newer ? &dir->newer->older : &pool->newest) = dir->older;
    dir->older = dir->newer = NULL;
    pool->idle--;
}

static void idle_add(struct dir_pool *pool, struct dir_handle *dir)
{
    dir->older = pool->newest;
    *(pool->newest ? &pool->newest->newer : &pool->oldest) = dir;
    pool->newest = dir;
    pool->idle++;
}

/* The descriptor that was idle for longest, taken out if there are more than `most`; else -1. */
static int idle_take_oldest(struct dir_pool *pool, unsigned most)
{
    struct dir_handle *dir = pool->oldest;
    if (!dir || pool->idle <= most) return -1;
    int fd = dir->fd;
    idle_remove(pool, dir);
    dir->fd = -1;
    return fd;
}

static void handle_close(struct dir_handle *dir)
{
    struct dir_pool *pool = dir->pool;
    (void)pthread_mutex_lock(&pool->mutex);
    if (dir->fd >= 0 && dir->pins == 0) idle_remove(pool, dir);
    (void)pthread_mutex_unlock(&pool->mutex);
    if (dir->fd >= 0) (void)close(dir->fd);
    free(dir);
}

void dir_handle_unref(struct dir_handle *dir)
{
    while (dir && atomic_fetch_sub_explicit(&dir->refs, 1, memory_order_acq_rel) == 1) {
        struct dir_handle *parent = dir->parent;
        handle_close(dir);
        dir = parent;
    }
}

/* One more user of what others use already, if there are any: costs no lock. */
static bool pin_used(struct dir_handle *dir)
{
    unsigned pins = atomic_load_explicit(&dir->pins, memory_order_relaxed);
    while (pins > 0)
        if (atomic_compare_exchange_weak_explicit(&dir->pins, &pins, pins + 1, memory_order_acquire,
                                                  memory_order_relaxed))
            return true;
    return false;
}

/* With the mutex held, of an open one. */
static void pin_locked(struct dir_handle *dir)
{
    if (atomic_fetch_add(&dir->pins, 1) == 0) idle_remove(dir->pool, dir);
}

/* The descriptor if it is open, and one more user of it. */
static int pin_open(struct dir_handle *dir)
{
    struct dir_pool *pool = dir->pool;
    if (pin_used(dir)) return dir->fd;
    (void)pthread_mutex_lock(&pool->mutex);
    int fd = dir->fd;
    if (fd >= 0) pin_locked(dir);
    (void)pthread_mutex_unlock(&pool->mutex);
    return fd;
}

/* Keeps `fd`, unless another thread was first: then closes it and gives the other's. */
static int pin_opened(struct dir_handle *dir, int fd)
{
    struct dir_pool *pool = dir->pool;
    int spare = -1;
    (void)pthread_mutex_lock(&pool->mutex);
    if (dir->fd >= 0) {
        spare = fd;
        pin_locked(dir);
    } else {
        dir->fd = fd;
        atomic_store_explicit(&dir->pins, 1, memory_order_release);
    }
    fd = dir->fd;
    (void)pthread_mutex_unlock(&pool->mutex);
    if (spare >= 0) (void)close(spare);
    return fd;
}

static void drop_idle(struct dir_pool *pool)
{
    (void)pthread_mutex_lock(&pool->mutex);
    for (int fd; (fd = idle_take_oldest(pool, 0)) >= 0;)
        (void)close(fd);
    (void)pthread_mutex_unlock(&pool->mutex);
}

/* For reading; where that is forbidden, at least for looking up names. */
static int open_below(struct dir_pool *pool, int parent, const char *name)
{
    const int flags = O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(parent, name, O_RDONLY | flags);
    if (fd < 0 && (errno == EMFILE || errno == ENFILE)) {
        drop_idle(pool);
        fd = openat(parent, name, O_RDONLY | flags);
    }
    if (fd < 0 && errno == EACCES) fd = openat(parent, name, O_PATH | flags);
    return fd;
}

static bool open_checked(const struct dir_handle *dir, int parent, int *out, struct err *err)
{
    AUTO(fd) int fd = open_below(dir->pool, parent, dir->name);
    if (fd < 0 && (errno == ELOOP || errno == ENOTDIR))
        return err_set(err, ERR_FAILED, "the directory was replaced since it was listed");
    if (fd < 0) return err_sys(err, errno, "cannot open the directory");
    struct stat st;
    if (fstat(fd, &st) != 0) return err_sys(err, errno, "cannot open the directory");
    if (st.st_dev != dir->device || st.st_ino != dir->inode)
        return err_set(err, ERR_FAILED, "the directory was replaced since it was listed");
    *out = fd;
    fd = -1;
    return true;
}

bool dir_handle_get(struct dir_handle *dir, int *fd, struct err *err)
{
    int open = pin_open(dir);
    if (open < 0) {
        int parent;
        if (!dir_handle_get(dir->parent, &parent, err)) return false;
        bool ok = open_checked(dir, parent, &open, err);
        dir_handle_put(dir->parent);
        if (!ok) return false;
        open = pin_opened(dir, open);
    }
    *fd = open;
    return true;
}

/* One user less, unless it is the last: costs no lock. */
static bool unpin_used(struct dir_handle *dir)
{
    unsigned pins = atomic_load_explicit(&dir->pins, memory_order_relaxed);
    while (pins > 1)
        if (atomic_compare_exchange_weak_explicit(&dir->pins, &pins, pins - 1, memory_order_release,
                                                  memory_order_relaxed))
            return true;
    return false;
}

void dir_handle_put(struct dir_handle *dir)
{
    struct dir_pool *pool = dir->pool;
    int surplus = -1;
    if (unpin_used(dir)) return;
    (void)pthread_mutex_lock(&pool->mutex);
    if (atomic_fetch_sub(&dir->pins, 1) == 1) {
        idle_add(pool, dir);
        surplus = idle_take_oldest(pool, pool->open_max);
    }
    (void)pthread_mutex_unlock(&pool->mutex);
    if (surplus >= 0) (void)close(surplus);
}
