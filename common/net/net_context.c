#include "common/net/net_context.h"

#include "common/base/alloc.h"
#include "common/net/net_zmq.h"

#include <errno.h>
#include <sys/resource.h>

#define MAX_FILES 65536
#define MAX_SOCKETS 4096
#define MAX_IO_THREADS 16

struct net_context {
    void *handle;
    struct net_pace pace;
    struct net_logins *logins;
    pthread_mutex_t lock; /* of `inside` */
    pthread_cond_t left;
    unsigned inside;
};

static bool raise_file_limit(struct err *err)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return err_sys(err, errno, "cannot read the limit of open files");
    rlim_t wanted = limit.rlim_max < MAX_FILES ? limit.rlim_max : MAX_FILES;
    if (limit.rlim_cur >= wanted) return true;
    limit.rlim_cur = wanted;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        return err_sys(err, errno, "cannot raise the limit of open files to %llu",
                       (unsigned long long)wanted);
    return true;
}

static bool set_limits(void *handle, unsigned io_threads, struct err *err)
{
    if (zmq_ctx_set(handle, ZMQ_IO_THREADS, (int)io_threads) == 0 &&
        zmq_ctx_set(handle, ZMQ_MAX_SOCKETS, MAX_SOCKETS) == 0)
        return true;
    return net_zmq_fail(err, errno, "cannot set up the messaging context");
}

bool net_context_new(unsigned io_threads, struct net_context **out, struct err *err)
{
    if (io_threads < 1 || io_threads > MAX_IO_THREADS)
        return err_set(err, ERR_CONFIG, "%u i/o threads: from 1 to %d are possible", io_threads,
                       MAX_IO_THREADS);
    if (!raise_file_limit(err)) return false;
    void *handle = zmq_ctx_new();
    if (!handle) return net_zmq_fail(err, errno, "cannot make the messaging context");
    if (!set_limits(handle, io_threads, err)) {
        (void)zmq_ctx_term(handle);
        return false;
    }
    struct net_context *context = xmalloc(sizeof(*context));
    *context = (struct net_context){.handle = handle, .pace = NET_PACE_DEFAULT, .logins = net_logins_new()};
    (void)pthread_mutex_init(&context->lock, NULL);
    (void)pthread_cond_init(&context->left, NULL);
    *out = context;
    return true;
}

void net_context_set_pace(struct net_context *context, const struct net_pace *pace)
{
    context->pace = *pace;
}

struct net_pace net_context_pace(const struct net_context *context)
{
    return context->pace;
}

struct net_logins *net_context_logins(const struct net_context *context)
{
    return context->logins;
}

void net_context_shutdown(struct net_context *context)
{
    (void)zmq_ctx_shutdown(context->handle);
}

void net_context_free(struct net_context *context)
{
    if (!context) return;
    while (zmq_ctx_term(context->handle) != 0 && errno == EINTR)
        continue;
    (void)pthread_mutex_lock(&context->lock);
    while (context->inside > 0)
        (void)pthread_cond_wait(&context->left, &context->lock);
    (void)pthread_mutex_unlock(&context->lock);
    (void)pthread_cond_destroy(&context->left);
    (void)pthread_mutex_destroy(&context->lock);
    net_logins_free(context->logins);
    free(context);
}

void net_context_enter(struct net_context *context)
{
    (void)pthread_mutex_lock(&context->lock);
    context->inside++;
    (void)pthread_mutex_unlock(&context->lock);
}

void net_context_leave(struct net_context *context)
{
    (void)pthread_mutex_lock(&context->lock);
    context->inside--;
    (void)pthread_cond_signal(&context->left);
    (void)pthread_mutex_unlock(&context->lock);
}

void *net_context_handle(const struct net_context *context)
{
    return context->handle;
}
