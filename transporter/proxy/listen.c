#include "transporter/proxy/listen.h"

#include "common/base/alloc.h"
#include "common/base/log.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>

enum { BACKLOG = 1024, TURN = 64, PAUSE_MS = 200 };

static void listener_free(struct listener *listener)
{
    auto_close_fd(listener->watch.fd);
    free(listener);
}

static bool bind_and_listen(int fd, const struct address *at, struct err *err)
{
    static const int on = 1;
    char text[ADDRESS_TEXT_LEN];
    struct sockaddr_storage storage;
    socklen_t len = address_to_sockaddr(at, &storage);
    address_print(at, text);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (storage.ss_family == AF_INET6) (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    if (bind(fd, (const struct sockaddr *)&storage, len) != 0 || listen(fd, BACKLOG) != 0)
        return err_sys(err, errno, "cannot listen at %s", text);
    return true;
}

static bool listener_new(const struct address *at, struct listener **out, struct err *err)
{
    struct sockaddr_storage storage = {0};
    socklen_t len = address_to_sockaddr(at, &storage);
    AUTO(fd) int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return err_sys(err, errno, "cannot make a socket");
    if (!bind_and_listen(fd, at, err)) return false;
    len = sizeof(storage);
    if (getsockname(fd, (struct sockaddr *)&storage, &len) != 0)
        return err_sys(err, errno, "cannot ask a socket for its address");
    struct listener *listener = xcalloc(1, sizeof(*listener));
    listener->watch = (struct watch){.kind = WATCH_LISTENER, .fd = fd};
    listener->asked = *at;
    address_from_sockaddr(&storage, &listener->bound);
    fd = -1;
    *out = listener;
    return true;
}

static struct listener *take_old(struct proxy *proxy, const struct address *at)
{
    for (size_t i = 0; i < proxy->listener_count; i++) {
        struct listener *old = proxy->listeners[i];
        if (!old || old->asked.port != at->port || memcmp(old->asked.bytes, at->bytes, ADDRESS_LEN) != 0)
            continue;
        proxy->listeners[i] = NULL;
        return old;
    }
    return NULL;
}

static bool has_old(const struct proxy *proxy, const struct address *at)
{
    for (size_t i = 0; i < proxy->listener_count; i++) {
        const struct listener *old = proxy->listeners[i];
        if (old->asked.port == at->port && memcmp(old->asked.bytes, at->bytes, ADDRESS_LEN) == 0) return true;
    }
    return false;
}

static void free_all(struct listener **listeners, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (listeners[i]) listener_free(listeners[i]);
    free(listeners);
}

/* First what is new, which may fail; then what stays, which cannot. */
bool listen_as(struct proxy *proxy, const struct proxy_settings *settings, struct err *err)
{
    size_t count = settings->listen_count;
    struct listener **listeners = xcalloc(count, sizeof(struct listener *));
    for (size_t i = 0; i < count; i++) {
        const struct address *at = &settings->listen[i];
        if (has_old(proxy, at)) continue;
        if (!listener_new(at, &listeners[i], err)) {
            free_all(listeners, i);
            return false;
        }
        if (!watch_set(proxy, &listeners[i]->watch, EPOLLIN)) {
            free_all(listeners, i + 1);
            return err_sys(err, errno, "cannot wait for callers");
        }
    }
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        struct listener *at = listeners[i] ? listeners[i] : take_old(proxy, &settings->listen[i]);
        if (at) listeners[kept++] = at; /* an address that is named twice has one */
    }
    listen_no_more(proxy);
    proxy->listeners = listeners;
    proxy->listener_count = kept;
    return true;
}

void listen_no_more(struct proxy *proxy)
{
    free_all(proxy->listeners, proxy->listener_count);
    proxy->listeners = NULL;
    proxy->listener_count = 0;
}

/* No calls for a moment: there are no descriptors. */
static void pause_calls(struct proxy *proxy)
{
    log_event(LOG_WARN, said(proxy, SAID_NO_DESCRIPTORS), "next", "no calls are taken for a moment", NULL);
    proxy->state = PAUSED;
    proxy->resume_ms = proxy->now_ms + PAUSE_MS;
    for (size_t i = 0; i < proxy->listener_count; i++)
        (void)watch_set(proxy, &proxy->listeners[i]->watch, 0);
}

void listen_resume(struct proxy *proxy)
{
    proxy->state = LISTENING;
    for (size_t i = 0; i < proxy->listener_count; i++)
        (void)watch_set(proxy, &proxy->listeners[i]->watch, EPOLLIN);
}

static void log_turned_away(struct proxy *proxy, const struct address *address, const char *reason)
{
    char client[ADDRESS_TEXT_LEN];
    address_print(address, client);
    if (may_log(proxy))
        log_event(LOG_WARN, said(proxy, SAID_REFUSED), "client", client, "reason", reason, NULL);
}

/* Who can best be done without: who was told no, who has not asked, who waits for somebody. NULL: all others
 * are at work. */
static struct end *least_needed(struct proxy *proxy)
{
    if (proxy->refused.first) return proxy->refused.first;
    if (proxy->asking.first) return proxy->asking.first;
    if (proxy->held.first) return proxy->held.first;
    return end_of_number(rendezvous_expire(proxy->meetings, UINT64_MAX));
}

static void make_room(struct proxy *proxy)
{
    struct end *end = proxy->callers >= proxy->callers_most ? least_needed(proxy) : NULL;
    if (!end) return;
    if (end->phase != PHASE_REFUSED)
        log_turned_away(proxy, &end->address, "silent or waiting, and others want to come in");
    end_drop(proxy, end);
}

/* Takes the caller, or leaves its descriptor to be closed. */
static void admit(struct proxy *proxy, int *fd, const struct address *address)
{
    make_room(proxy);
    if (proxy->callers >= proxy->callers_most) {
        log_turned_away(proxy, address, "too many connections (limits.connections)");
        return;
    }
    if (!address_count_enter(proxy->clients, address->bytes, proxy->settings.per_client)) {
        log_turned_away(proxy, address, "too many connections of one client (limits.per_client)");
        return;
    }
    struct end *caller = end_new(proxy, *fd, ROLE_CALLER, address);
    *fd = -1;
    proxy->callers++;
    caller->deadline_ms = proxy->now_ms + proxy->settings.handshake_ms;
    if (!watch_set(proxy, &caller->watch, EPOLLIN)) end_drop(proxy, caller);
}

void listen_accept(struct proxy *proxy, const struct listener *listener)
{
    for (int i = 0; i < TURN; i++) {
        struct sockaddr_storage storage = {0};
        struct address address;
        socklen_t len = sizeof(storage);
        AUTO(fd)
        int fd = accept4(listener->watch.fd, (struct sockaddr *)&storage, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
            pause_calls(proxy);
            return;
        }
        if (fd < 0 && errno == EAGAIN) return;
        if (fd < 0) continue; /* that one is gone already */
        address_from_sockaddr(&storage, &address);
        admit(proxy, &fd, &address);
    }
}
