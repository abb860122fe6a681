#include "common/base/alloc.h"
#include "common/base/log.h"
#include "common/base/tcp.h"
#include "transporter/proxy/host_end.h"

#include <inttypes.h>
#include <string.h>
#include <sys/epoll.h>

enum { REFUSED_MS = 1000 };

static struct end_list *list_of(struct proxy *proxy, const struct end *end)
{
    if (end->role == ROLE_CALLER && end->phase <= PHASE_REQUEST) return &proxy->asking;
    if (end->phase == PHASE_HELD) return &proxy->held;
    return end->phase == PHASE_REFUSED ? &proxy->refused : &proxy->settled;
}

static void list_append(struct end_list *list, struct end *end)
{
    end->before = list->last;
    end->behind = NULL;
    *(list->last ? &list->last->behind : &list->first) = end;
    list->last = end;
}

static void list_remove(struct end_list *list, struct end *end)
{
    *(end->before ? &end->before->behind : &list->first) = end->behind;
    *(end->behind ? &end->behind->before : &list->last) = end->before;
}

struct end *end_new(struct proxy *proxy, int fd, enum role role, const struct address *address)
{
    struct end *end = xcalloc(1, sizeof(*end));
    end->watch = (struct watch){.kind = WATCH_END, .fd = fd};
    end->role = role;
    end->phase = role == ROLE_CALLER ? PHASE_GREETING : PHASE_DIALLING;
    end->address = *address;
    end->inside = (struct watch){.kind = WATCH_INSIDE, .fd = -1};
    end->flow.pipe[0] = end->flow.pipe[1] = -1;
    /* TCP itself would wait for a quarter of an hour, and the other end would not learn of it */
    tcp_watch(fd, (int)proxy->settings.silence_ms);
    list_append(list_of(proxy, end), end);
    return end;
}

void end_enter(struct proxy *proxy, struct end *end, enum phase phase, uint64_t deadline_ms)
{
    struct end_list *old = list_of(proxy, end);
    if (phase == PHASE_JOINED && end->role == ROLE_CALLER) proxy->joined++;
    end->phase = phase;
    end->deadline_ms = deadline_ms;
    struct end_list *list = list_of(proxy, end);
    if (list == old) return;
    list_remove(old, end);
    list_append(list, end);
}

static void log_end(const struct proxy *proxy, const struct end *end)
{
    char client[ADDRESS_TEXT_LEN], sent[24], received[24];
    address_print(&end->address, client);
    (void)snprintf(sent, sizeof(sent), "%" PRIu64, end->flow.moved);
    (void)snprintf(received, sizeof(received), "%" PRIu64, end->partner ? end->partner->flow.moved : 0);
    log_event(LOG_INFO, said(proxy, SAID_ENDED), "client", client, "sent", sent, "received", received, NULL);
}

static void close_end(struct proxy *proxy, struct end *end)
{
    list_remove(list_of(proxy, end), end);
    host_end_forget(proxy, end);
    if (end->watch.events) (void)watch_set(proxy, &end->watch, 0);
    (void)close(end->watch.fd);
    end->watch.fd = -1;
    flow_deinit(&end->flow);
    if (end->meets) rendezvous_leave(proxy->meetings, &end->name, end_number(end));
    if (end->role == ROLE_CALLER) {
        address_count_leave(proxy->clients, end->address.bytes);
        proxy->callers--;
        if (end->phase == PHASE_JOINED) proxy->joined--;
    }
    wipe(end->in, sizeof(end->in));
    end->partner = NULL;
    end->behind = proxy->dead;
    proxy->dead = end;
}

void end_drop(struct proxy *proxy, struct end *end)
{
    struct end *partner = end->partner;
    if (end->phase == PHASE_JOINED) log_end(proxy, end->role == ROLE_CALLER || !partner ? end : partner);
    close_end(proxy, end);
    if (partner) close_end(proxy, partner);
}

bool end_send(const struct end *end, const void *bytes, size_t len)
{
    /* a few bytes into an empty buffer: all of them or an error */
    return send(end->watch.fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len;
}

void end_say_last(struct proxy *proxy, struct end *caller, const void *bytes, size_t len)
{
    if (!end_send(caller, bytes, len) || shutdown(caller->watch.fd, SHUT_WR) != 0 ||
        !watch_set(proxy, &caller->watch, EPOLLIN)) {
        end_drop(proxy, caller);
        return;
    }
    end_enter(proxy, caller, PHASE_REFUSED, proxy->now_ms + REFUSED_MS);
}

void end_refuse(struct proxy *proxy, struct end *caller, enum socks_reply reply, const char *reason,
                const char *asked)
{
    uint8_t bytes[SOCKS_REPLY_LEN];
    char client[ADDRESS_TEXT_LEN];
    address_print(&caller->address, client);
    if (may_log(proxy))
        log_event(LOG_WARN, said(proxy, SAID_REFUSED), "client", client, "reason", reason,
                  asked ? "asked" : NULL, asked, NULL);
    if (caller->partner) {
        struct end *endpoint = caller->partner;
        caller->partner = NULL;
        close_end(proxy, endpoint);
    }
    socks_write_reply(reply, bytes);
    end_say_last(proxy, caller, bytes, sizeof(bytes));
}

static bool greet(const struct end *end)
{
    uint8_t bytes[SOCKS_REPLY_LEN];
    socks_write_reply(SOCKS_CONNECTED, bytes);
    return end->role == ROLE_ENDPOINT || end_send(end, bytes, sizeof(bytes));
}

static void log_join(struct proxy *proxy, const struct end *one, const struct end *other)
{
    char client[ADDRESS_TEXT_LEN], with[ADDRESS_TEXT_LEN], tag[RENDEZVOUS_TAG_LEN + 1] = "", stripe[4] = "";
    address_print(&one->address, client);
    address_print(&other->address, with);
    if (one->meets) {
        rendezvous_tag(proxy->meetings, &one->name, tag);
        (void)snprintf(stripe, sizeof(stripe), "%u", one->name.stripe);
    }
    log_event(LOG_INFO, said(proxy, SAID_JOINED), "client", client, "with", with,
              one->meets ? "rendezvous" : NULL, tag, "stripe", stripe, NULL);
}

/* What is given to a long way waits with who sends it, who may have other ways, and not here. */
static void keep_short(const struct end *far, const struct end *near)
{
    if (tcp_trip_us(far->watch.fd) < TCP_LONG_US) return;
    tcp_keep_short(far->watch.fd);
    if (tcp_trip_us(near->watch.fd) < TCP_LONG_US) tcp_take_little(near->watch.fd);
}

void end_join(struct proxy *proxy, struct end *one, struct end *other)
{
    one->partner = other;
    other->partner = one;
    one->moved_ms = other->moved_ms = proxy->now_ms;
    log_join(proxy, one, other);
    keep_short(one, other);
    keep_short(other, one);
    end_enter(proxy, one, PHASE_JOINED, UINT64_MAX);
    end_enter(proxy, other, PHASE_JOINED, UINT64_MAX);
    if (!greet(one) || !greet(other) ||
        !flow_init(&one->flow, &proxy->pipes, span_of(one->in, one->in_len)) ||
        !flow_init(&other->flow, &proxy->pipes, span_of(other->in, other->in_len))) {
        end_drop(proxy, one);
        return;
    }
    one->flow_state = other->flow_state = FLOW_WANTS_INPUT;
    end_pass(proxy, one);
}

/* The bytes from one end, as far as they go now. */
static bool pass_on(struct proxy *proxy, struct end *from)
{
    uint64_t before = from->flow.moved;
    if (from->flow_state == FLOW_OVER) return true;
    from->flow_state = flow_move(&from->flow, &proxy->pipes, from->watch.fd, from->partner->watch.fd);
    if (from->flow.moved != before) from->moved_ms = from->partner->moved_ms = proxy->now_ms;
    return from->flow_state != FLOW_BROKEN;
}

/* An end of which nothing is wanted is not waited for at all: one that hung up would wake the loop for ever.
 */
static bool watch_for_flows(struct proxy *proxy, struct end *end)
{
    uint32_t events = (end->flow_state == FLOW_WANTS_INPUT ? EPOLLIN : 0) |
                      (end->partner->flow_state == FLOW_WANTS_OUTPUT ? EPOLLOUT : 0);
    return watch_set(proxy, &end->watch, events);
}

void end_pass(struct proxy *proxy, struct end *end)
{
    struct end *other = end->partner;
    bool sound = pass_on(proxy, end) && pass_on(proxy, other);
    bool over = end->flow_state == FLOW_OVER && other->flow_state == FLOW_OVER;
    if (!sound || over || !watch_for_flows(proxy, end) || !watch_for_flows(proxy, other))
        end_drop(proxy, end);
}
