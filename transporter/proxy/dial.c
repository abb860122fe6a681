#include "transporter/proxy/inside.h"

#include <errno.h>
#include <sys/epoll.h>

static enum socks_reply reply_of(int sys)
{
    switch (sys) {
    case ECONNREFUSED:
        return SOCKS_REFUSED;
    case ENETUNREACH:
        return SOCKS_NETWORK_UNREACHABLE;
    case EHOSTUNREACH:
    case ETIMEDOUT:
        return SOCKS_HOST_UNREACHABLE;
    default:
        return SOCKS_GENERAL_FAILURE;
    }
}

static const char *reason_of(int sys)
{
    switch (sys) {
    case ECONNREFUSED:
        return "the endpoint refuses connections";
    case ENETUNREACH:
        return "no route to the endpoint's network";
    case EHOSTUNREACH:
    case ETIMEDOUT:
        return "the endpoint does not answer";
    default:
        return "the endpoint cannot be dialled";
    }
}

static void fail(struct proxy *proxy, struct end *caller, const struct address *address, int sys)
{
    char text[ADDRESS_TEXT_LEN];
    address_print(address, text);
    end_refuse(proxy, caller, reply_of(sys), reason_of(sys), text);
}

/* The address has begun to be dialled, or 0 and errno. */
static struct end *begin(struct proxy *proxy, const struct address *address)
{
    struct sockaddr_storage to;
    socklen_t len = address_to_sockaddr(address, &to);
    AUTO(fd) int fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return NULL;
    if (connect(fd, (const struct sockaddr *)&to, len) != 0 && errno != EINPROGRESS) return NULL;
    struct end *endpoint = end_new(proxy, fd, ROLE_ENDPOINT, address);
    fd = -1;
    return endpoint;
}

void dial_next(struct proxy *proxy, struct end *caller)
{
    const struct address *address = NULL;
    int sys = EHOSTUNREACH;
    while (caller->next_candidate < caller->candidate_count) {
        address = &caller->candidates[caller->next_candidate++];
        struct end *endpoint = begin(proxy, address);
        sys = errno;
        if (!endpoint) continue;
        endpoint->deadline_ms = UINT64_MAX; /* the caller's is the one that counts */
        endpoint->partner = caller;
        caller->partner = endpoint;
        if (!watch_set(proxy, &endpoint->watch, EPOLLOUT)) end_drop(proxy, caller);
        return;
    }
    fail(proxy, caller, address, sys);
}

void dial_ready(struct proxy *proxy, struct end *endpoint)
{
    struct end *caller = endpoint->partner;
    int sys = 0;
    socklen_t len = sizeof(sys);
    if (getsockopt(endpoint->watch.fd, SOL_SOCKET, SO_ERROR, &sys, &len) != 0) sys = errno;
    if (sys == 0) {
        end_join(proxy, caller, endpoint);
        return;
    }
    struct address address = endpoint->address;
    caller->partner = NULL;
    endpoint->partner = NULL;
    end_drop(proxy, endpoint);
    if (caller->next_candidate < caller->candidate_count)
        dial_next(proxy, caller);
    else
        fail(proxy, caller, &address, sys);
}

void dial_late(struct proxy *proxy, struct end *caller)
{
    fail(proxy, caller, &caller->partner->address, ETIMEDOUT);
}
