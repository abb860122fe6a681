#include "common/net/net_socket_inside.h"

#include "common/base/alloc.h"
#include "common/net/net_relay.h"
#include "common/net/net_routes.h"
#include "common/net/net_zmq.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct net_options net_options_of(enum net_role role)
{
    return (struct net_options){
        .role = role,
        .max_payload = 1 << 20,
        .send_queue = 32,
        .recv_queue = 32,
        .linger_ms = 1000,
        .connect_timeout_ms = 10000,
        .handshake_timeout_ms = 5000,
        .heartbeat_ms = NET_PACE_DEFAULT.heartbeat_ms,
        .heartbeat_timeout_ms = NET_HEARTBEATS_LOST * NET_PACE_DEFAULT.heartbeat_ms,
        .reconnect_ms = NET_PACE_DEFAULT.reconnect_ms,
        .reconnect_max_ms = NET_PACE_DEFAULT.reconnect_max_ms,
    };
}

struct net_options net_options_in(const struct net_context *context, enum net_role role)
{
    const struct net_pace pace = net_context_pace(context);
    struct net_options options = net_options_of(role);
    options.heartbeat_ms = pace.heartbeat_ms;
    options.heartbeat_timeout_ms = NET_HEARTBEATS_LOST * pace.heartbeat_ms;
    if (options.heartbeat_timeout_ms < options.connect_timeout_ms)
        options.connect_timeout_ms = options.heartbeat_timeout_ms;
    options.reconnect_ms = pace.reconnect_ms;
    options.reconnect_max_ms = pace.reconnect_max_ms;
    return options;
}

const char *net_fault_text(enum net_fault fault)
{
    static const char *const texts[] = {
        [NET_FAULT_FRAMES] = "the message is not a header and a payload",
        [NET_FAULT_HEADER] = "the header is longer than 4096 bytes",
        [NET_FAULT_PAYLOAD] = "the payload is longer than agreed",
        [NET_FAULT_ROUTE] = "the routing id is not the peer's to use",
        [NET_FAULT_KEY] = "the peer's key is no longer allowed",
    };
    return texts[fault];
}

static bool set_numbers(void *handle, const struct net_options *options, struct err *err)
{
    const struct {
        int option;
        int value;
    } numbers[] = {
        {ZMQ_SNDHWM, options->send_queue},
        /* a server never stops reading a connection: libzmq 4.3 keeps the heartbeat timer of one that ended
         * while it was stopped, and aborts the process when that fires. net_monitor_guard bounds what waits
         */
        {ZMQ_RCVHWM, options->role == NET_SERVER ? 0 : options->recv_queue},
        {ZMQ_LINGER, options->linger_ms},
        {ZMQ_CONNECT_TIMEOUT, options->connect_timeout_ms},
        {ZMQ_HANDSHAKE_IVL, options->handshake_timeout_ms},
        /* a client stops reading when its queue is full: it must have no heartbeat timer then (the same
         * assertion). It answers the server's, and ends when they stay away for the server's timeout */
        {ZMQ_HEARTBEAT_IVL, options->role == NET_SERVER ? options->heartbeat_ms : 0},
        {ZMQ_HEARTBEAT_TIMEOUT, options->heartbeat_timeout_ms},
        {ZMQ_HEARTBEAT_TTL, options->heartbeat_timeout_ms},
        {ZMQ_RECONNECT_IVL, options->reconnect_ms},
        {ZMQ_RECONNECT_IVL_MAX, options->reconnect_max_ms},
        /* seconds and a count: also a connection without heartbeats ends half a minute after its host has
           gone */
        {ZMQ_TCP_KEEPALIVE, 1},
        {ZMQ_TCP_KEEPALIVE_IDLE, 10},
        {ZMQ_TCP_KEEPALIVE_INTVL, 5},
        {ZMQ_TCP_KEEPALIVE_CNT, 4},
        /* what was sent and not acknowledged waits no longer than a heartbeat: else a link that is cut before
           a client has had its first one would be missed after a quarter of an hour */
        {ZMQ_TCP_MAXRT, options->heartbeat_timeout_ms},
        {ZMQ_IPV6, 1},
        {ZMQ_BACKLOG, 1024}, /* of calls that wait to be taken, when strangers call in crowds */
        /* no queue without a connection, and none that outlives it */
        {ZMQ_IMMEDIATE, 1},
    };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (!net_zmq_set_int(handle, numbers[i].option, numbers[i].value, err)) return false;
    const int64_t frame = options->max_payload > NET_HEADER_MAX ? options->max_payload : NET_HEADER_MAX;
    const int64_t limit = frame + CURVE_OVERHEAD;
    return net_zmq_set(handle, ZMQ_MAXMSGSIZE, &limit, sizeof(limit), err);
}

static bool set_keys(void *handle, const struct net_options *options, struct err *err)
{
    const struct net_key *key = options->key;
    if (!net_zmq_set(handle, ZMQ_CURVE_PUBLICKEY, net_key_public(key), NET_KEY_LEN, err) ||
        !net_zmq_set(handle, ZMQ_CURVE_SECRETKEY, net_key_secret(key)->data, NET_KEY_LEN, err))
        return false;
    if (options->role == NET_CLIENT)
        return net_zmq_set(handle, ZMQ_CURVE_SERVERKEY, options->server_key, NET_KEY_LEN, err);
    /* by default libzmq lets everybody in while no ZAP handler is there */
    return net_zmq_set_int(handle, ZMQ_CURVE_SERVER, 1, err) &&
           net_zmq_set_text(handle, ZMQ_ZAP_DOMAIN, options->domain, err) &&
           net_zmq_set_int(handle, NET_ZMQ_ZAP_ENFORCE_DOMAIN, 1, err) &&
           net_zmq_set_int(handle, ZMQ_ROUTER_MANDATORY, 1, err);
}

/* libzmq numbers a ROUTER's connections from rand() on, and does not seed that: every process
 * would count from the same number. A peer that takes the next one for its own routing id makes
 * libzmq 4.3 abort the process when the next connection comes. */
static void hide_next_route(void)
{
    unsigned seed;
    random_bytes(&seed, sizeof(seed));
    srand(seed);
}

static struct net_socket *socket_of(struct net_context *context, const struct net_options *options,
                                    void *handle)
{
    struct net_socket *socket = xcalloc(1, sizeof(*socket));
    socket->handle = handle;
    socket->context = context;
    socket->role = options->role;
    socket->max_payload = options->max_payload;
    socket->recv_queue = options->recv_queue;
    socket->linger_ms = options->linger_ms;
    socket->connect_timeout_ms = options->connect_timeout_ms;
    socket->handshake_timeout_ms = options->handshake_timeout_ms;
    socket->heartbeat_timeout_ms = options->heartbeat_timeout_ms;
    socket->reconnect_ms = options->reconnect_ms;
    socket->reconnect_max_ms = options->reconnect_max_ms;
    socket->server_fd = -1;
    if (options->role == NET_CLIENT) {
        memcpy(socket->server_key, options->server_key, NET_KEY_LEN);
    } else {
        socket->zap = options->zap;
        (void)snprintf(socket->domain, sizeof(socket->domain), "%s", options->domain);
        socket->routes = xcalloc(1, sizeof(*socket->routes));
    }
    return socket;
}

bool net_socket_new(struct net_context *context, const struct net_options *options, struct net_socket **out,
                    struct err *err)
{
    assert(options->key &&
           (options->role == NET_CLIENT ? !!options->server_key : options->zap && options->domain));
    if (options->role == NET_SERVER) hide_next_route();
    AUTO(net_zmq)
    void *handle =
        zmq_socket(net_context_handle(context), options->role == NET_SERVER ? ZMQ_ROUTER : ZMQ_DEALER);
    if (!handle) return net_zmq_fail(err, errno, "cannot make a socket");
    if (!set_numbers(handle, options, err) || !set_keys(handle, options, err)) return false;
    *out = socket_of(context, options, handle);
    handle = NULL;
    return true;
}

static void remove_proxied(struct net_socket *socket, struct proxied **place)
{
    struct proxied *gone = *place;
    *place = gone->next;
    net_relay_finish(gone->relay, socket->linger_ms);
    free(gone->address);
    free(gone);
}

void net_socket_free(struct net_socket *socket)
{
    if (!socket) return;
    net_zmq_close(socket->handle);
    while (socket->proxied)
        remove_proxied(socket, &socket->proxied);
    free(socket->routes);
    free(socket);
}

#define TCP "tcp://"
#define IPC "ipc://"

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool listen_at(struct net_socket *socket, const char *address, struct err *err)
{
    char bound[sizeof(socket->bound)];
    size_t size = sizeof(bound);
    if (zmq_bind(socket->handle, address) != 0 ||
        zmq_getsockopt(socket->handle, ZMQ_LAST_ENDPOINT, bound, &size) != 0)
        return net_zmq_fail(err, errno, "cannot listen at '%s'", address);
    net_zmq_address(bound, socket->bound, sizeof(socket->bound));
    return true;
}

static bool dial(struct net_socket *socket, const char *address, struct err *err)
{
    if (zmq_connect(socket->handle, address) == 0) return true;
    return net_zmq_fail(err, errno, "cannot dial '%s'", address);
}

/* The relay minds the handshake: to libzmq it is a peer that is there at once, and then perhaps silent for
 * minutes. */
static bool dial_relay(struct net_socket *socket, const struct net_relay *relay, struct err *err)
{
    return net_zmq_set_int(socket->handle, ZMQ_HANDSHAKE_IVL, 0, err) &&
           dial(socket, net_relay_address(relay), err) &&
           net_zmq_set_int(socket->handle, ZMQ_HANDSHAKE_IVL, socket->handshake_timeout_ms, err);
}

static bool start_relay(struct net_socket *socket, const struct net_endpoint *endpoint,
                        struct net_relay **out, struct err *err)
{
    const struct net_relay_options options = {
        .proxy = endpoint->socks5,
        .target = endpoint->address + strlen(TCP),
        .way_out = endpoint->way_out,
        .connect_ms = socket->connect_timeout_ms,
        .answer_ms = endpoint->socks5_patience_ms ? endpoint->socks5_patience_ms : socket->connect_timeout_ms,
        .handshake_ms = socket->handshake_timeout_ms,
        .silence_ms = socket->heartbeat_timeout_ms,
        .reconnect_ms = socket->reconnect_ms,
        .reconnect_max_ms = socket->reconnect_max_ms,
    };
    return net_relay_start(socket->context, &options, out, err);
}

static bool dial_through(struct net_socket *socket, const struct net_endpoint *endpoint, struct err *err)
{
    if (!starts_with(endpoint->address, TCP))
        return err_set(err, ERR_CONFIG, "'%s' cannot be dialled through a proxy", endpoint->address);
    struct net_relay *relay = NULL;
    if (!start_relay(socket, endpoint, &relay, err)) {
        /* behind a proxy the address may be the name of a rendezvous, which is for no log */
        const bool proxied = endpoint->socks5 != NULL;
        return err_wrap(err, "cannot dial %s'%s'", proxied ? "through " : "",
                        proxied ? endpoint->socks5 : endpoint->address);
    }
    if (!dial_relay(socket, relay, err)) {
        net_relay_finish(relay, 0);
        return false;
    }
    struct proxied *proxied = xmalloc(sizeof(*proxied));
    *proxied =
        (struct proxied){.next = socket->proxied, .address = xstrdup(endpoint->address), .relay = relay};
    socket->proxied = proxied;
    return true;
}

bool net_socket_attach(struct net_socket *socket, const struct net_endpoint *endpoint, struct err *err)
{
    const char *address = endpoint->address;
    if (!starts_with(address, TCP) && !starts_with(address, IPC))
        return err_set(err, ERR_CONFIG, "'%s' is not an address: tcp://HOST:PORT is needed", address);
    if (endpoint->side == NET_BIND) return listen_at(socket, address, err);
    return endpoint->socks5 || endpoint->reasons == NET_REASONS_KEPT ? dial_through(socket, endpoint, err)
                                                                     : dial(socket, address, err);
}

static struct proxied **find_proxied(struct net_socket *socket, const char *address)
{
    struct proxied **place = &socket->proxied;
    while (*place && strcmp((*place)->address, address) != 0)
        place = &(*place)->next;
    return place;
}

bool net_socket_detach(struct net_socket *socket, const char *address, struct err *err)
{
    struct proxied **place = find_proxied(socket, address);
    const char *dialled = *place ? net_relay_address((*place)->relay) : address;
    if (zmq_disconnect(socket->handle, dialled) != 0)
        return net_zmq_fail(err, errno, "cannot leave '%s'", address);
    if (*place) remove_proxied(socket, place);
    return true;
}

bool net_socket_proxy_failure(struct net_socket *socket, const char *address, struct err *out)
{
    struct proxied **place = find_proxied(socket, address);
    return *place && net_relay_failure((*place)->relay, out);
}

const char *net_socket_dialled(const struct net_socket *socket, const char *endpoint)
{
    for (const struct proxied *proxied = socket->proxied; proxied; proxied = proxied->next)
        if (strcmp(net_relay_address(proxied->relay), endpoint) == 0) return proxied->address;
    return endpoint;
}

bool net_socket_is_of_stranger(const struct net_socket *socket, int fd)
{
    return socket->role == NET_CLIENT && socket->bound[0] && fd != socket->server_fd;
}

const char *net_socket_bound(const struct net_socket *socket)
{
    return socket->bound;
}

enum net_role net_socket_role(const struct net_socket *socket)
{
    return socket->role;
}

uint64_t net_socket_window(const struct net_socket *socket)
{
    const uint64_t message = (uint64_t)socket->max_payload + NET_HEADER_MAX + 2 * CURVE_OVERHEAD;
    return message * (uint64_t)(socket->recv_queue + 1);
}

bool net_socket_has_denied(const struct net_socket *socket, const char *address)
{
    return net_zap_has_denied(socket->zap, socket->domain, address);
}

const char *net_socket_domain(const struct net_socket *socket)
{
    return socket->domain;
}

void net_socket_set_guard(struct net_socket *socket, struct net_guard *guard)
{
    socket->guard = guard;
}

void *net_socket_handle(const struct net_socket *socket)
{
    return socket->handle;
}

struct net_context *net_socket_context(const struct net_socket *socket)
{
    return socket->context;
}
