#include "fault.h"

#include "common/base/alloc.h"

#include <errno.h>

struct fault *fault_new(const struct storage *inner)
{
    struct fault *fault = xcalloc(1, sizeof(*fault));
    fault->inner = *inner;
    fault->fail_at = fault->read_fail_at = -1;
    (void)pthread_mutex_init(&fault->lock, NULL);
    (void)pthread_cond_init(&fault->changed, NULL);
    return fault;
}

void fault_hold(struct fault *fault)
{
    (void)pthread_mutex_lock(&fault->lock);
    fault->held = 1;
    (void)pthread_mutex_unlock(&fault->lock);
}

void fault_release(struct fault *fault)
{
    (void)pthread_mutex_lock(&fault->lock);
    fault->held = 0;
    (void)pthread_cond_broadcast(&fault->changed);
    (void)pthread_mutex_unlock(&fault->lock);
}

void fault_await(struct fault *fault)
{
    (void)pthread_mutex_lock(&fault->lock);
    while (!fault->waiting)
        (void)pthread_cond_wait(&fault->changed, &fault->lock);
    (void)pthread_mutex_unlock(&fault->lock);
}

/* What this changing call is to do. */
static enum fault_how next_call(struct fault *fault)
{
    (void)pthread_mutex_lock(&fault->lock);
    int call = fault->calls++;
    enum fault_how how = FAULT_NONE;
    if (fault->fail_at >= 0 && (call == fault->fail_at || (fault->sticky && call > fault->fail_at))) {
        how = fault->how;
        fault->hits++;
    }
    (void)pthread_mutex_unlock(&fault->lock);
    return how;
}

static bool fails(enum fault_how how, const char *what, struct err *err)
{
    return err_sys(err, how == FAULT_EIO || how == FAULT_AFTER ? EIO : ENOSPC, "cannot %s", what);
}

static bool put_if_absent(void *self, const char *name, struct span bytes, struct err *err)
{
    struct fault *fault = self;
    enum fault_how how = next_call(fault);
    if (how == FAULT_NONE || how == FAULT_AFTER) {
        if (!fault->inner.ops->put_if_absent(fault->inner.self, name, bytes, err)) return false;
        if (how == FAULT_NONE) return true;
    }
    return fails(how, name, err);
}

static bool read_fails(struct fault *fault, const char *name, struct err *err)
{
    (void)pthread_mutex_lock(&fault->lock);
    bool fails_now = fault->reads++ == fault->read_fail_at;
    fault->read_hits += fails_now;
    (void)pthread_mutex_unlock(&fault->lock);
    if (!fails_now) return false;
    if (fault->read_how == FAULT_SHORT)
        (void)err_set(err, ERR_TRUNCATED, "'%s' ends early", name);
    else
        (void)err_sys(err, EIO, "cannot read '%s'", name);
    return true;
}

static bool get(void *self, const char *name, size_t limit, struct buf *out, struct err *err)
{
    struct fault *fault = self;
    if (read_fails(fault, name, err)) return false;
    return fault->inner.ops->get(fault->inner.self, name, limit, out, err);
}

static bool get_range(void *self, const char *name, uint64_t offset, void *out, size_t len, struct err *err)
{
    struct fault *fault = self;
    if (read_fails(fault, name, err)) return false;
    return fault->inner.ops->get_range(fault->inner.self, name, offset, out, len, err);
}

static bool object_size(void *self, const char *name, uint64_t *out, struct err *err)
{
    struct fault *fault = self;
    return fault->inner.ops->size(fault->inner.self, name, out, err);
}

static bool list(void *self, const char *directory, storage_each_fn *each, void *arg, struct err *err)
{
    struct fault *fault = self;
    return fault->inner.ops->list(fault->inner.self, directory, each, arg, err);
}

static bool remove_object(void *self, const char *name, struct err *err)
{
    struct fault *fault = self;
    enum fault_how how = next_call(fault);
    if (how != FAULT_NONE) return fails(how, "remove", err);
    return fault->inner.ops->remove(fault->inner.self, name, err);
}

static bool free_space(void *self, uint64_t *free_bytes, uint64_t *total_bytes, struct err *err)
{
    struct fault *fault = self;
    if (!fault->inner.ops->free_space(fault->inner.self, free_bytes, total_bytes, err)) return false;
    if (fault->pretend_free) *free_bytes = fault->pretend_free;
    return true;
}

static bool claim(void *self, struct err *err)
{
    struct fault *fault = self;
    return fault->inner.ops->claim(fault->inner.self, err);
}

static bool settle(void *self, struct err *err)
{
    struct fault *fault = self;
    return fault->inner.ops->settle(fault->inner.self, err);
}

static bool journal_create(void *self, const char *name, struct journal **out, struct err *err)
{
    struct fault *fault = self;
    enum fault_how how = next_call(fault);
    if (how != FAULT_NONE) return fails(how, "create", err);
    return fault->inner.ops->journal_create(fault->inner.self, name, out, err);
}

static bool journal_open(void *self, const char *name, struct journal **out, struct err *err)
{
    struct fault *fault = self;
    return fault->inner.ops->journal_open(fault->inner.self, name, out, err);
}

static bool journal_append(void *self, struct journal *journal, struct span bytes, struct err *err)
{
    struct fault *fault = self;
    enum fault_how how = next_call(fault);
    if (how == FAULT_SHORT) bytes.len /= 2;
    if (how != FAULT_EIO && how != FAULT_ENOSPC &&
        !fault->inner.ops->journal_append(fault->inner.self, journal, bytes, err))
        return false;
    return how == FAULT_NONE || fails(how, "append", err);
}

static bool journal_sync(void *self, struct journal *journal, struct err *err)
{
    struct fault *fault = self;
    (void)pthread_mutex_lock(&fault->lock);
    fault->syncs++;
    fault->waiting++;
    (void)pthread_cond_broadcast(&fault->changed);
    while (fault->held)
        (void)pthread_cond_wait(&fault->changed, &fault->lock);
    fault->waiting--;
    (void)pthread_mutex_unlock(&fault->lock);
    enum fault_how how = next_call(fault);
    if (how != FAULT_NONE) return fails(how, "sync", err);
    return fault->inner.ops->journal_sync(fault->inner.self, journal, err);
}

static bool journal_truncate(void *self, struct journal *journal, uint64_t size, struct err *err)
{
    struct fault *fault = self;
    enum fault_how how = next_call(fault);
    if (how != FAULT_NONE) return fails(how, "truncate", err);
    return fault->inner.ops->journal_truncate(fault->inner.self, journal, size, err);
}

static bool journal_publish(void *self, struct journal *journal, const char *name, struct err *err)
{
    struct fault *fault = self;
    enum fault_how how = next_call(fault);
    if (how == FAULT_NONE || how == FAULT_AFTER) {
        if (!fault->inner.ops->journal_publish(fault->inner.self, journal, name, err)) return false;
        if (how == FAULT_NONE) return true;
    }
    return fails(how, "publish", err);
}

static void journal_close(void *self, struct journal *journal)
{
    struct fault *fault = self;
    fault->inner.ops->journal_close(fault->inner.self, journal);
}

static void fault_close(void *self)
{
    struct fault *fault = self;
    fault->inner.ops->close(fault->inner.self);
    (void)pthread_mutex_destroy(&fault->lock);
    (void)pthread_cond_destroy(&fault->changed);
    free(fault);
}

static const struct storage_ops fault_ops = {
    .put_if_absent = put_if_absent,
    .get = get,
    .get_range = get_range,
    .size = object_size,
    .list = list,
    .remove = remove_object,
    .free_space = free_space,
    .claim = claim,
    .settle = settle,
    .journal_create = journal_create,
    .journal_open = journal_open,
    .journal_append = journal_append,
    .journal_sync = journal_sync,
    .journal_truncate = journal_truncate,
    .journal_publish = journal_publish,
    .journal_close = journal_close,
    .close = fault_close,
};

struct storage fault_storage(struct fault *fault)
{
    return (struct storage){.ops = &fault_ops, .self = fault};
}
