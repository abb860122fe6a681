/* What goes through a socket: one message at a time, and whether its peer may speak. */
#include "common/net/net_arrival.h"
#include "common/net/net_guard.h"
#include "common/net/net_routes.h"
#include "common/net/net_socket_inside.h"
#include "common/net/net_zmq.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static enum net_status status_of(int number)
{
    switch (number) {
    case EAGAIN:
        return NET_AGAIN;
    case EHOSTUNREACH:
        return NET_UNREACHABLE;
    case ETERM:
        return NET_TERMINATED;
    default: /* ENOTSOCK, EFSM, EINVAL: our own mistake */
        abort();
    }
}

/* The first frame of a message: only here libzmq finds that there is no room or no such peer. */
static enum net_status send_first(struct net_socket *socket, zmq_msg_t *frame, int timeout_ms)
{
    if (zmq_msg_send(frame, socket->handle, ZMQ_DONTWAIT | ZMQ_SNDMORE) >= 0) return NET_OK;
    if (errno != EAGAIN || timeout_ms == 0) return status_of(errno);
    /* a server cannot poll for one peer's room: libzmq has to do the waiting */
    int64_t deadline = net_deadline(timeout_ms);
    do {
        int left = net_deadline_left(deadline);
        if (zmq_setsockopt(socket->handle, ZMQ_SNDTIMEO, &left, sizeof(left)) != 0) return status_of(errno);
        if (zmq_msg_send(frame, socket->handle, ZMQ_SNDMORE) >= 0) return NET_OK;
    } while (errno == EINTR);
    return status_of(errno);
}

static enum net_status send_route(struct net_socket *socket, const struct net_peer *to, int timeout_ms)
{
    const struct net_route *route = net_routes_find(socket->routes, to->route);
    if (route && (route->refused || memcmp(route->key, to->key, NET_KEY_LEN) != 0)) return NET_UNREACHABLE;
    AUTO(net_zmq_msg) zmq_msg_t frame;
    (void)zmq_msg_init_size(&frame, NET_ROUTE_LEN);
    net_route_format(to->route, zmq_msg_data(&frame));
    return send_first(socket, &frame, timeout_ms);
}

enum net_status net_socket_send(struct net_socket *socket, const struct net_peer *to,
                                struct net_message *message, int timeout_ms)
{
    assert((socket->role == NET_SERVER) == !!to);
    assert(net_message_payload(message).len <= socket->max_payload);
    if (socket->server_at_fault) return NET_AGAIN;
    /* a copy, so that a message that could not be sent is still whole */
    AUTO(net_zmq_msg) zmq_msg_t header;
    (void)zmq_msg_init(&header);
    if (zmq_msg_copy(&header, net_zmq_frame(&message->header)) != 0) abort();
    enum net_status status;
    if (to) {
        status = send_route(socket, to, timeout_ms);
        if (status == NET_OK && zmq_msg_send(&header, socket->handle, ZMQ_DONTWAIT | ZMQ_SNDMORE) < 0)
            status = status_of(errno);
    } else {
        status = send_first(socket, &header, timeout_ms);
    }
    if (status != NET_OK) return status;
    /* never waits: when the connection is lost now, libzmq takes the first frames back */
    if (zmq_msg_send(net_zmq_frame(&message->payload), socket->handle, ZMQ_DONTWAIT) < 0)
        return status_of(errno);
    net_message_deinit(message);
    return NET_OK;
}

/* Whether this key may speak on this route, and may still speak at all. */
static bool entitled(struct net_socket *socket, bool numbered, const struct net_route *route, bool authentic,
                     struct net_peer *from, enum net_fault *fault)
{
    if (!numbered || (route && memcmp(route->key, from->key, NET_KEY_LEN) != 0)) {
        *fault = NET_FAULT_ROUTE;
        return false;
    }
    *fault = NET_FAULT_KEY;
    if (!authentic) return false;
    from->standing = net_zap_standing(socket->zap, socket->domain, from->key);
    return from->standing != NET_STANDING_NONE;
}

/* NET_AGAIN: from a connection that was refused before. */
static enum net_status judge_peer(struct net_socket *socket, struct net_arrival *arrival,
                                  struct net_peer *from, enum net_fault *fault)
{
    uint64_t id;
    bool numbered = net_route_parse(net_zmq_span(&arrival->route), &id);
    bool authentic = net_arrival_key(arrival, from->key);
    from->route = (uint32_t)id;
    net_zmq_address(net_arrival_address(arrival), from->address, sizeof(from->address));

    struct net_route *route = net_routes_find(socket->routes, id);
    bool known = route && memcmp(route->key, from->key, NET_KEY_LEN) == 0;
    if (known && route->refused) return NET_AGAIN;
    bool good = entitled(socket, numbered, route, authentic, from, fault) &&
                net_arrival_well_formed(arrival, socket->max_payload, fault);
    int fd = net_arrival_fd(arrival);
    if (!known)
        route =
            net_routes_claim(socket->routes, id, from->key, net_line_of(fd, net_arrival_address(arrival)));
    if (socket->guard) net_guard_progress(socket->guard, fd);
    if (good) return NET_OK;
    net_route_cut(route);
    return NET_REFUSED;
}

static enum net_status judge_server(struct net_socket *socket, struct net_arrival *arrival,
                                    struct net_peer *from, enum net_fault *fault)
{
    if (socket->server_at_fault) return NET_AGAIN;
    memcpy(from->key, socket->server_key, NET_KEY_LEN);
    from->standing = NET_STANDING_ALLOWED;
    net_zmq_address(net_arrival_address(arrival), from->address, sizeof(from->address));
    socket->server_fd = net_arrival_fd(arrival);
    if (socket->guard) net_guard_progress(socket->guard, socket->server_fd);
    if (net_arrival_well_formed(arrival, socket->max_payload, fault)) return NET_OK;
    socket->server_at_fault = true;
    return NET_REFUSED;
}

/* The next message that is worth a word. */
static enum net_status receive_now(struct net_socket *socket, struct net_peer *from,
                                   struct net_message *message, enum net_fault *fault)
{
    for (;;) {
        AUTO(net_arrival) struct net_arrival arrival;
        net_arrival_init(&arrival);
        int failed = net_arrival_receive(&arrival, socket->handle, socket->role);
        if (failed) return status_of(failed);
        struct net_peer peer = {.standing = NET_STANDING_NONE};
        enum net_fault found = NET_FAULT_FRAMES;
        enum net_status status = socket->role == NET_SERVER ? judge_peer(socket, &arrival, &peer, &found)
                                                            : judge_server(socket, &arrival, &peer, &found);
        if (status == NET_AGAIN) continue;
        *from = peer;
        if (status == NET_OK)
            net_message_adopt(message, &arrival.header, &arrival.payload);
        else
            *fault = found;
        return status;
    }
}

enum net_status net_socket_recv(struct net_socket *socket, struct net_peer *from, struct net_message *message,
                                enum net_fault *fault, int timeout_ms)
{
    assert(!message->live);
    enum net_status status = receive_now(socket, from, message, fault);
    if (status != NET_AGAIN || timeout_ms == 0) return status;
    int64_t deadline = net_deadline(timeout_ms);
    zmq_pollitem_t item = {.socket = socket->handle, .events = ZMQ_POLLIN};
    for (;;) {
        int left = net_deadline_left(deadline);
        if (zmq_poll(&item, 1, left) < 0 && errno != EINTR) return status_of(errno);
        status = receive_now(socket, from, message, fault);
        if (status != NET_AGAIN || left == 0) return status;
    }
}

void net_socket_drop(struct net_socket *socket, const struct net_peer *peer)
{
    assert(socket->role == NET_SERVER);
    struct net_route *route = net_routes_find(socket->routes, peer->route);
    if (!route) route = net_routes_claim(socket->routes, peer->route, peer->key, (struct net_line){.fd = -1});
    if (memcmp(route->key, peer->key, NET_KEY_LEN) == 0) net_route_cut(route);
}
