#include "common/net/net_resolve.h"

#include "common/base/alloc.h"
#include "common/base/auto.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

enum { ENDINGS_MAX = 4, PORT_LEN = 8 };

/* Belongs to the one who asks and to the thread; the last of them frees it. */
struct lookup {
    atomic_int holders;
    int done; /* an eventfd: readable when what follows is there */
    int code, number;
    struct addrinfo *found;
    char port[PORT_LEN];
    char host[];
};

static struct lookup *lookup_new(const char *host, const char *port)
{
    const size_t len = strlen(host) + 1;
    struct lookup *lookup = xcalloc(1, sizeof(*lookup) + len);
    atomic_init(&lookup->holders, 1);
    lookup->done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    memcpy(lookup->host, host, len);
    (void)snprintf(lookup->port, sizeof(lookup->port), "%s", port);
    return lookup;
}

static void lookup_release(struct lookup *lookup)
{
    if (!lookup || atomic_fetch_sub(&lookup->holders, 1) > 1) return;
    if (lookup->found) freeaddrinfo(lookup->found);
    auto_close_fd(lookup->done);
    free(lookup);
}
DEFINE_AUTO(lookup, struct lookup *, lookup_release)

static int look(const char *host, const char *port, int flags, struct addrinfo **out)
{
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | flags};
    return getaddrinfo(host, port, &hints, out);
}

static void *run(void *arg)
{
    struct lookup *lookup = arg;
    lookup->code = look(lookup->host, lookup->port, AI_ADDRCONFIG, &lookup->found);
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

static int await(struct lookup *lookup, const struct pollfd *endings, size_t count, struct addrinfo **out)
{
    struct pollfd fds[1 + ENDINGS_MAX] = {{.fd = lookup->done, .events = POLLIN}};
    assert(count <= ENDINGS_MAX);
    for (size_t i = 0; i < count; i++)
        fds[1 + i] = endings[i];
    for (;;) {
        if (poll(fds, 1 + count, -1) < 0) {
            if (errno != EINTR) return EAI_SYSTEM;
            continue;
        }
        if (!fds[0].revents) return NET_RESOLVE_GIVEN_UP;
        *out = lookup->found;
        lookup->found = NULL;
        errno = lookup->number;
        return lookup->code;
    }
}

int net_resolve(const char *host, const char *port, const struct pollfd *endings, size_t count,
                struct addrinfo **out)
{
    struct addrinfo *found = NULL;
    if (look(host, port, AI_NUMERICHOST, &found) == 0) { /* asks nobody */
        *out = found;
        return 0;
    }
    AUTO(lookup) struct lookup *lookup = lookup_new(host, port);
    return start(lookup) ? await(lookup, endings, count, out) : EAI_SYSTEM;
}
