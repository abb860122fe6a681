#include "common/base/resolve.h"

#include "common/base/alloc.h"
#include "common/base/clock.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

enum { PORT_LEN = 8 };

/* Belongs to the one who asks and to the thread; the last of them frees it. */
struct lookup {
    atomic_int holders;
    int done; /* an eventfd: readable when what follows is there */
    int code, number;
    struct addrinfo *found;
    char port[PORT_LEN];
    char host[];
};

static struct lookup *lookup_new(const char *host, uint16_t port)
{
    const size_t len = strlen(host) + 1;
    struct lookup *lookup = xcalloc(1, sizeof(*lookup) + len);
    atomic_init(&lookup->holders, 1);
    lookup->done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    memcpy(lookup->host, host, len);
    (void)snprintf(lookup->port, sizeof(lookup->port), "%u", (unsigned)port);
    return lookup;
}

static void lookup_release(struct lookup *lookup)
{
    if (!lookup || atomic_fetch_sub(&lookup->holders, 1) > 1) return;
    addresses_free(lookup->found);
    auto_close_fd(lookup->done);
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
    lookup->code = look(lookup, AI_ADDRCONFIG, &lookup->found);
    lookup->number = errno;
    (void)eventfd_write(lookup->done, 1);
    lookup_release(lookup);
    return NULL;
}

static bool start(struct lookup *lookup)
{
    pthread_t thread;
    pthread_attr_t detached;
    if (lookup->done < 0) return false;
    (void)pthread_attr_init(&detached);
    (void)pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    atomic_fetch_add(&lookup->holders, 1);
    int failed = pthread_create(&thread, &detached, run, lookup);
    (void)pthread_attr_destroy(&detached);
    if (!failed) return true;
    atomic_fetch_sub(&lookup->holders, 1);
    errno = failed;
    return false;
}

/* For poll(2): in milliseconds, -1 for ever. */
static int time_left(uint64_t until_ms)
{
    if (until_ms == RESOLVE_FOR_EVER) return -1;
    const uint64_t now_ms = clock_steady_ms(), left_ms = until_ms > now_ms ? until_ms - now_ms : 0;
    return left_ms < INT_MAX ? (int)left_ms : INT_MAX;
}

static int await(struct lookup *lookup, const struct resolve_end *end, struct addrinfo **out)
{
    struct pollfd fds[1 + RESOLVE_FDS_MAX] = {{.fd = lookup->done, .events = POLLIN}};
    assert(end->fd_count <= RESOLVE_FDS_MAX);
    for (size_t i = 0; i < end->fd_count; i++)
        fds[1 + i] = end->fds[i];
    for (;;) {
        int ready = poll(fds, 1 + end->fd_count, time_left(end->until_ms));
        if (ready > 0) break;
        if (ready < 0 && errno != EINTR) return EAI_SYSTEM;
        if (clock_steady_ms() >= end->until_ms) return RESOLVE_GIVEN_UP;
    }
    if (!fds[0].revents) return RESOLVE_GIVEN_UP;
    *out = lookup->found;
    lookup->found = NULL;
    errno = lookup->number;
    return lookup->code;
}

int resolve_host(const char *host, uint16_t port, const struct resolve_end *end, struct addrinfo **out)
{
    struct addrinfo *found = NULL;
    AUTO(lookup) struct lookup *lookup = lookup_new(host, port);
    if (look(lookup, AI_NUMERICHOST, &found) == 0) { /* asks nobody */
        *out = found;
        return 0;
    }
    return start(lookup) ? await(lookup, end, out) : EAI_SYSTEM;
}
