#include "common/net/net_monitor.h"

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/tcp.h"
#include "common/net/net_denials.h"
#include "common/net/net_guard.h"
#include "common/net/net_line.h"
#include "common/net/net_zmq.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

struct net_monitor {
    struct net_socket *socket;
    void *handle;            /* the PAIR that hears of the events */
    struct net_guard *guard; /* a client's: from its first connection on */
    struct net_denials denials;
    struct net_line line; /* of a client that has connected */
    uint64_t trip_us;
    uint64_t heard, heard_ms; /* of it: the bytes that had come, and when they were last more than before */
    enum net_silence silence;
    uint64_t second; /* in which `told` denials were taken */
    unsigned told;
};

/* what the kernel may hold of a connection besides */
#define KERNEL_BUFFER (8 << 20)
/* a client's queue may be long, of messages that are mostly small */
#define CLIENT_WINDOW (64 << 20)

static size_t most_silent(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < RLIM_INFINITY ? limit.rlim_cur / 4 : 256;
}

static void watch_over(struct net_monitor *monitor)
{
    uint64_t window = net_socket_window(monitor->socket);
    if (net_socket_role(monitor->socket) == NET_CLIENT && window > CLIENT_WINDOW) window = CLIENT_WINDOW;
    monitor->guard = net_guard_new(window + KERNEL_BUFFER, most_silent());
    net_socket_set_guard(monitor->socket, monitor->guard);
}

bool net_monitor_new(struct net_socket *socket, struct net_monitor **out, struct err *err)
{
    static atomic_uint serial;
    char endpoint[64];
    (void)snprintf(endpoint, sizeof(endpoint), "inproc://sealift-monitor-%u", atomic_fetch_add(&serial, 1));
    const int events = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CONNECT_RETRIED |
                       ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                       ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_CONNECTED;
    AUTO(net_zmq) void *handle = zmq_socket(net_context_handle(net_socket_context(socket)), ZMQ_PAIR);
    if (!handle) return net_zmq_fail(err, errno, "cannot make a monitor");
    if (!net_zmq_set_int(handle, ZMQ_LINGER, 0, err)) return false;
    if (zmq_socket_monitor(net_socket_handle(socket), endpoint, events) != 0 ||
        zmq_connect(handle, endpoint) != 0)
        return net_zmq_fail(err, errno, "cannot monitor a socket");
    struct net_monitor *monitor = xmalloc(sizeof(*monitor));
    *monitor = (struct net_monitor){.socket = socket, .handle = handle, .line = {.fd = -1}};
    handle = NULL;
    if (net_socket_role(socket) == NET_SERVER) watch_over(monitor);
    *out = monitor;
    return true;
}

void net_monitor_free(struct net_monitor *monitor)
{
    if (!monitor) return;
    (void)zmq_socket_monitor(net_socket_handle(monitor->socket), NULL, 0);
    net_zmq_close(monitor->handle);
    net_socket_set_guard(monitor->socket, NULL);
    net_guard_free(monitor->guard);
    free(monitor);
}

/* The two frames of one event: a number and a value in the machine's byte order, then the endpoint. */
static bool receive(void *handle, uint16_t *number, uint32_t *value, char *address, size_t size)
{
    AUTO(net_zmq_msg) zmq_msg_t event;
    AUTO(net_zmq_msg) zmq_msg_t endpoint;
    (void)zmq_msg_init(&event);
    (void)zmq_msg_init(&endpoint);
    if (zmq_msg_recv(&event, handle, ZMQ_DONTWAIT) < 0) return false;
    assert(zmq_msg_size(&event) == sizeof(*number) + sizeof(*value) && zmq_msg_more(&event));
    memcpy(number, zmq_msg_data(&event), sizeof(*number));
    memcpy(value, (const char *)zmq_msg_data(&event) + sizeof(*number), sizeof(*value));
    if (zmq_msg_recv(&endpoint, handle, ZMQ_DONTWAIT) < 0) return false;
    struct span text = net_zmq_span(&endpoint);
    (void)snprintf(address, size, "%.*s", (int)(text.len < size ? text.len : size - 1),
                   (const char *)text.data);
    return true;
}

static bool classify(uint16_t number, struct net_monitor_event *out)
{
    switch (number) {
    case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
        out->kind = NET_UP;
        return true;
    case ZMQ_EVENT_DISCONNECTED:
        out->kind = NET_DOWN;
        return true;
    case ZMQ_EVENT_CONNECT_RETRIED:
        out->kind = NET_RETRIED;
        return true;
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
        out->kind = NET_FAILED;
        out->cause = NET_CAUSE_AUTH;
        return true;
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
        out->kind = NET_FAILED;
        out->cause = NET_CAUSE_PROTOCOL;
        return true;
    case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
        out->kind = NET_FAILED;
        out->cause = NET_CAUSE_UNKNOWN;
        return true;
    default: /* ZMQ_EVENT_MONITOR_STOPPED */
        return false;
    }
}

static void note_denial(struct net_monitor *monitor, const char *address)
{
    struct net_denial denial = {.reason = NET_DENIED_NO_MESSAGE};
    if (net_socket_role(monitor->socket) != NET_SERVER) return; /* it judges nobody */
    if (monitor->silence == NET_SILENCE_EXPECTED) return;
    if (net_socket_has_denied(monitor->socket, address)) return;
    (void)snprintf(denial.domain, sizeof(denial.domain), "%s", net_socket_domain(monitor->socket));
    (void)snprintf(denial.address, sizeof(denial.address), "%s", address);
    (void)net_denials_add(&monitor->denials, &denial);
}

/* The value of these three is the connection's descriptor. */
static void keep_guard(struct net_monitor *monitor, uint16_t number, uint32_t value)
{
    char address[NET_GUARD_ADDRESS_MAX + 1];
    const bool opened = number == ZMQ_EVENT_ACCEPTED || number == ZMQ_EVENT_CONNECTED;
    if (opened && !monitor->guard) watch_over(monitor);
    if (!monitor->guard) return;
    if (opened) net_guard_opened(monitor->guard, (int)value);
    if (number == ZMQ_EVENT_CONNECTED) {
        monitor->line = net_line_of((int)value, NULL);
        monitor->heard = 0;
        monitor->heard_ms = clock_steady_ms();
        net_guard_progress(monitor->guard, (int)value); /* we called: no stranger */
        monitor->trip_us = net_line_trip_us(&monitor->line);
        if (monitor->trip_us >= TCP_LONG_US) net_line_keep_short(&monitor->line);
    }
    if (number == ZMQ_EVENT_DISCONNECTED && net_guard_closed(monitor->guard, (int)value, address))
        note_denial(monitor, address);
}

void net_monitor_silence(struct net_monitor *monitor, enum net_silence silence)
{
    monitor->silence = silence;
}

bool net_monitor_take_denial(struct net_monitor *monitor, struct net_denial *out)
{
    enum { MOST_IN_A_SECOND = 8 };
    const uint64_t second = clock_steady_ms() / 1000;
    if (second != monitor->second) monitor->told = 0;
    monitor->second = second;
    if (monitor->told >= MOST_IN_A_SECOND || !net_denials_take(&monitor->denials, out)) return false;
    monitor->told++;
    return true;
}

uint64_t net_monitor_trip_us(const struct net_monitor *monitor)
{
    return monitor->trip_us;
}

uint64_t net_monitor_acked(const struct net_monitor *monitor)
{
    return monitor->trip_us ? net_line_acked(&monitor->line) : 0;
}

size_t net_monitor_shed(struct net_monitor *monitor)
{
    return monitor->guard ? net_guard_shed(monitor->guard) : 0;
}

size_t net_monitor_guard(struct net_monitor *monitor)
{
    return monitor->guard ? net_guard_pass(monitor->guard) : 0;
}

bool net_monitor_cut_silent(struct net_monitor *monitor, uint64_t silence_ms)
{
    uint64_t received, now_ms = clock_steady_ms();
    if (!net_line_received(&monitor->line, &received)) return false;
    if (received != monitor->heard || net_line_unread(&monitor->line)) {
        monitor->heard = received;
        monitor->heard_ms = now_ms;
    }
    if (now_ms - monitor->heard_ms < silence_ms) return false;
    net_line_cut(&monitor->line);
    return true;
}

bool net_monitor_take(struct net_monitor *monitor, struct net_monitor_event *out)
{
    struct net_monitor_event event = {.cause = NET_CAUSE_NONE};
    char address[sizeof(event.address)];
    uint16_t number;
    while (receive(monitor->handle, &number, &event.detail, address, sizeof(address))) {
        keep_guard(monitor, number, event.detail);
        if (!classify(number, &event)) continue;
        if (event.kind == NET_DOWN && net_socket_is_of_stranger(monitor->socket, (int)event.detail)) continue;
        net_zmq_address(net_socket_dialled(monitor->socket, address), event.address, sizeof(event.address));
        *out = event;
        return true;
    }
    return false;
}

void *net_monitor_handle(const struct net_monitor *monitor)
{
    return monitor->handle;
}
