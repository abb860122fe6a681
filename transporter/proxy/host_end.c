#include "transporter/proxy/host_end.h"

#include "common/base/local_peer.h"
#include "common/base/log.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/un.h>

enum { HELD_MS = 2000 }; /* in which a director's word comes, also over a long way */

static bool is_expected(const struct proxy *proxy, const struct end *caller,
                        char local[static PROXY_LOCAL_MAX])
{
    return caller->name.side == RENDEZVOUS_B &&
           proxy->options.expects(proxy->options.arg, caller->name.id, local);
}

void host_end_refuse(struct proxy *proxy, struct end *caller)
{
    end_refuse(proxy, caller, SOCKS_NOT_ALLOWED, "no run here expects this name", NULL);
}

bool host_end_admits(struct proxy *proxy, struct end *caller)
{
    char local[PROXY_LOCAL_MAX];
    if (is_expected(proxy, caller, local)) return true;
    if (caller->name.side != RENDEZVOUS_B) {
        host_end_refuse(proxy, caller);
        return false;
    }
    end_enter(proxy, caller, PHASE_HELD, proxy->now_ms + HELD_MS);
    if (!watch_set(proxy, &caller->watch, EPOLLRDHUP)) end_drop(proxy, caller);
    return false;
}

void host_end_look(struct proxy *proxy)
{
    char local[PROXY_LOCAL_MAX];
    for (struct end *caller = proxy->held.first, *next; caller; caller = next) {
        next = caller->behind;
        if (is_expected(proxy, caller, local)) caller_meet(proxy, caller);
    }
}

static int listen_locally(const struct end *caller, const char *local)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int len =
        snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "%s%u", local, caller->name.stripe);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len);
    AUTO(fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, size) != 0 || listen(fd, 1) != 0) return -1;
    int taken = fd;
    fd = -1;
    return taken;
}

void host_end_await(struct proxy *proxy, struct end *caller)
{
    char local[PROXY_LOCAL_MAX];
    if (!is_expected(proxy, caller, local)) { /* not any more */
        end_drop(proxy, caller);
        return;
    }
    caller->inside.fd = listen_locally(caller, local);
    if (caller->inside.fd < 0 || !watch_set(proxy, &caller->inside, EPOLLIN)) end_drop(proxy, caller);
}

void host_end_forget(struct proxy *proxy, struct end *caller)
{
    if (caller->inside.fd < 0) return;
    if (caller->inside.events) (void)watch_set(proxy, &caller->inside, 0);
    (void)close(caller->inside.fd);
    caller->inside.fd = -1;
}

void host_end_ready(struct proxy *proxy, struct end *caller)
{
    static const struct address here = {.bytes = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}};
    AUTO(fd) int fd = accept4(caller->inside.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0 || !local_peer_is_self(fd)) return;
    host_end_forget(proxy, caller);
    struct end *own = end_new(proxy, fd, ROLE_ENDPOINT, &here);
    fd = -1;
    own->name = caller->name;
    own->name.side = RENDEZVOUS_A;
    own->meets = true;
    struct rendezvous_answer answer =
        rendezvous_ask(proxy->meetings, &own->name, end_number(own), UINT64_MAX);
    if (answer.partner == end_number(caller))
        end_join(proxy, caller, own);
    else
        end_drop(proxy, own);
}
