#include "transporter/kms/resolve.h"

#include "common/base/alloc.h"
#include "common/base/clock.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* Belongs to the one who asks and to the thread; the last of them frees it. */
struct lookup {
    pthread_mutex_t lock;
    pthread_cond_t done_now;
    int holders;
    bool done;
    int code;
    struct addrinfo *found;
    char *host;
    char port[8];
};

static struct lookup *lookup_new(const char *host, uint16_t port)
{
    struct lookup *lookup = xcalloc(1, sizeof(*lookup));
    (void)pthread_mutex_init(&lookup->lock, NULL);
    (void)pthread_cond_init(&lookup->done_now, NULL);
    lookup->holders = 1;
    lookup->host = xstrdup(host);
    (void)snprintf(lookup->port, sizeof(lookup->port), "%u", (unsigned)port);
    return lookup;
}

static void lookup_release(struct lookup *lookup)
{
    (void)pthread_mutex_lock(&lookup->lock);
    bool last = --lookup->holders == 0;
    (void)pthread_mutex_unlock(&lookup->lock);
    if (!last) return;
    addresses_free(lookup->found);
    (void)pthread_cond_destroy(&lookup->done_now);
    (void)pthread_mutex_destroy(&lookup->lock);
    free(lookup->host);
    free(lookup);
}
DEFINE_AUTO(lookup, struct lookup *, lookup_release)

static int look(const struct lookup *lookup, int flags, struct addrinfo **out)
{
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | flags};
    return getaddrinfo(lookup->host, lookup->port, &hints, out);
}

static void *run(void *arg)
{
    struct lookup *lookup = arg;
    struct addrinfo *found = NULL;
    int code = look(lookup, 0, &found);
    (void)pthread_mutex_lock(&lookup->lock);
    lookup->code = code;
    lookup->found = code == 0 ? found : NULL;
    lookup->done = true;
    (void)pthread_cond_signal(&lookup->done_now);
    (void)pthread_mutex_unlock(&lookup->lock);
    lookup_release(lookup);
    return NULL;
}

static bool start(struct lookup *lookup)
{
    pthread_t thread;
    pthread_attr_t detached;
    (void)pthread_attr_init(&detached);
    (void)pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    lookup->holders++;
    bool started = pthread_create(&thread, &detached, run, lookup) == 0;
    if (!started) lookup->holders--;
    (void)pthread_attr_destroy(&detached);
    return started;
}

static bool wait_for(struct lookup *lookup, uint64_t end_ms, struct addrinfo **out, struct err *err)
{
    (void)pthread_mutex_lock(&lookup->lock);
    while (!lookup->done && clock_steady_ms() < end_ms)
        clock_wait(&lookup->done_now, &lookup->lock, end_ms);
    bool done = lookup->done;
    int code = lookup->code;
    if (done && code == 0) {
        *out = lookup->found;
        lookup->found = NULL;
    }
    (void)pthread_mutex_unlock(&lookup->lock);
    if (!done) return err_set(err, ERR_UNREACHABLE, "its name was not found in time");
    return code == 0 || err_set(err, ERR_UNREACHABLE, "%s", gai_strerror(code));
}

bool resolve_host(const char *host, uint16_t port, uint64_t end_ms, struct addrinfo **out, struct err *err)
{
    struct addrinfo *found = NULL;
    AUTO(lookup) struct lookup *lookup = lookup_new(host, port);
    if (look(lookup, AI_NUMERICHOST, &found) == 0) { /* asks nobody */
        *out = found;
        return true;
    }
    if (!start(lookup)) return err_set(err, ERR_UNREACHABLE, "there is no thread to look its name up");
    return wait_for(lookup, end_ms, out, err);
}
