#include "loopback.h"

#include "common/net/net_poll.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

void loopback_init(struct loopback *loop, enum net_unknown unknown)
{
    struct err err;
    *loop = (struct loopback){0};
    cr_assert(net_context_new(1, &loop->context, &err), "%s", err.text);
    cr_assert(net_zap_start(loop->context, &loop->zap, &err), "%s", err.text);
    loop->server_key = make_key();
    loop->client_key = make_key();
    net_zap_set_domain(loop->zap, DOMAIN, unknown);
    net_zap_allow(loop->zap, DOMAIN, net_key_public(loop->client_key));
    struct net_options options = loopback_server_options(loop);
    loop->server = make_socket(loop, &options);
    cr_assert(net_monitor_new(loop->server, &loop->server_monitor, &err), "%s", err.text);
    attach(loop->server, NET_BIND, "tcp://127.0.0.1:0");
    (void)snprintf(loop->address, sizeof(loop->address), "%s", net_socket_bound(loop->server));
}

void loopback_deinit(struct loopback *loop)
{
    net_monitor_free(loop->server_monitor);
    net_socket_free(loop->server);
    net_zap_stop(loop->zap);
    net_key_free(loop->server_key);
    net_key_free(loop->client_key);
    net_context_free(loop->context);
}

struct net_options loopback_server_options(const struct loopback *loop)
{
    struct net_options options = net_options_of(NET_SERVER);
    options.key = loop->server_key;
    options.zap = loop->zap;
    options.domain = DOMAIN;
    options.max_payload = 100000;
    options.linger_ms = 0;
    return options;
}

struct net_options loopback_client_options(const struct loopback *loop, const struct net_key *key)
{
    struct net_options options = net_options_of(NET_CLIENT);
    options.key = key;
    options.server_key = net_key_public(loop->server_key);
    options.linger_ms = 0;
    options.reconnect_ms = 10;
    return options;
}

struct net_key *make_key(void)
{
    struct err err;
    struct net_key *key = NULL;
    cr_assert(net_key_make(&key, &err), "%s", err.text);
    return key;
}

struct net_socket *make_socket(const struct loopback *loop, const struct net_options *options)
{
    struct err err;
    struct net_socket *socket = NULL;
    cr_assert(net_socket_new(loop->context, options, &socket, &err), "%s", err.text);
    return socket;
}

void attach(struct net_socket *socket, enum net_side side, const char *address)
{
    struct err err;
    const struct net_endpoint endpoint = {.side = side, .address = address};
    cr_assert(net_socket_attach(socket, &endpoint, &err), "%s", err.text);
}

void client_init(struct client *client, const struct loopback *loop, const struct net_key *key)
{
    struct net_options options = loopback_client_options(loop, key);
    client_init_with(client, loop, &options, loop->address);
}

void client_init_with(struct client *client, const struct loopback *loop, const struct net_options *options,
                      const char *address)
{
    struct err err;
    client->socket = make_socket(loop, options);
    cr_assert(net_monitor_new(client->socket, &client->monitor, &err), "%s", err.text);
    attach(client->socket, NET_CONNECT, address);
}

void client_deinit(struct client *client)
{
    net_monitor_free(client->monitor);
    net_socket_free(client->socket);
}

long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

struct net_monitor_event await(struct net_monitor *monitor, enum net_monitor_kind kind)
{
    struct err err;
    struct net_monitor_event event;
    long deadline = now_ms() + DEADLINE_MS;
    for (long left = DEADLINE_MS; left > 0; left = deadline - now_ms()) {
        struct net_poll_item item = net_poll_monitor(monitor);
        cr_assert(net_poll_wait(&item, 1, (int)left, &err), "%s", err.text);
        while (net_monitor_take(monitor, &event))
            if (event.kind == kind) return event;
    }
    cr_assert_fail("no event of kind %d", kind);
    return event;
}

void send_text(struct net_socket *socket, const struct net_peer *to, const char *header, const char *payload)
{
    send_bytes(socket, to, span_str(header), span_str(payload));
}

void send_bytes(struct net_socket *socket, const struct net_peer *to, struct span header, struct span payload)
{
    struct err err;
    AUTO(net_message) struct net_message message = {0};
    cr_assert(net_message_make(&message, header, &err), "%s", err.text);
    net_message_copy_payload(&message, payload);
    cr_assert_eq(net_socket_send(socket, to, &message, DEADLINE_MS), NET_OK);
}

struct net_peer receive_text(struct net_socket *socket, const char *header, const char *payload)
{
    AUTO(net_message) struct net_message message = {0};
    struct net_peer from;
    enum net_fault fault = NET_FAULT_FRAMES;
    enum net_status status = net_socket_recv(socket, &from, &message, &fault, DEADLINE_MS);
    cr_assert_neq(status, NET_REFUSED, "refused: %s", net_fault_text(fault));
    cr_assert_eq(status, NET_OK, "status %d while waiting for '%s'", status, header);
    struct span got = net_message_header(&message);
    cr_assert(span_eq(got, span_str(header)), "'%.*s', not '%s'", (int)got.len, (const char *)got.data,
              header);
    cr_assert(span_eq(net_message_payload(&message), span_str(payload)));
    return from;
}

struct net_peer receive_refusal(struct net_socket *socket, enum net_fault fault)
{
    AUTO(net_message) struct net_message message = {0};
    struct net_peer from;
    enum net_fault found;
    cr_assert_eq(net_socket_recv(socket, &from, &message, &found, DEADLINE_MS), NET_REFUSED);
    cr_assert_eq(found, fault, "refused because %s", net_fault_text(found));
    cr_assert(!message.live);
    return from;
}

bool same_key(const struct net_peer *peer, const struct net_key *key)
{
    return memcmp(peer->key, net_key_public(key), NET_KEY_LEN) == 0;
}

void await_unreachable(struct net_socket *server, const struct net_peer *peer, struct net_message *message)
{
    struct err err;
    AUTO(net_message) struct net_message none = {0};
    const long deadline = now_ms() + DEADLINE_MS;
    enum net_status status;
    do {
        struct net_peer from;
        enum net_fault fault;
        if (!message->live) cr_assert(net_message_make(message, span_str("hello"), &err));
        cr_assert_eq(net_socket_recv(server, &from, &none, &fault, 0), NET_AGAIN);
        status = net_socket_send(server, peer, message, 0);
    } while ((status == NET_OK || status == NET_AGAIN) && now_ms() < deadline);
    cr_assert_eq(status, NET_UNREACHABLE);
}
