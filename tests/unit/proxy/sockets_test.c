/* Sockets of common/net that meet through the proxy. */
#include "bench.h"
#include "common/net/net_socket.h"
#include "transporter/proxy/core/rendezvous_name.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

enum { DEADLINE_MS = 10000 };

struct ends {
    struct net_context *context;
    struct net_zap *zap;
    struct net_key *client_key, *server_key;
    struct net_socket *client, *server;
};

static void ends_init(struct ends *ends)
{
    struct err err;
    *ends = (struct ends){0};
    cr_assert(net_context_new(1, &ends->context, &err) && net_zap_start(ends->context, &ends->zap, &err));
    cr_assert(net_key_make(&ends->client_key, &err) && net_key_make(&ends->server_key, &err));
    net_zap_set_domain(ends->zap, "data", NET_UNKNOWN_REFUSE);
    net_zap_allow(ends->zap, "data", net_key_public(ends->client_key));
    struct net_options options = net_options_of(NET_SERVER);
    options.key = ends->server_key;
    options.zap = ends->zap;
    options.domain = "data";
    options.linger_ms = 0;
    options.reconnect_ms = 10;
    cr_assert(net_socket_new(ends->context, &options, &ends->server, &err), "%s", err.text);
    options = net_options_of(NET_CLIENT);
    options.key = ends->client_key;
    options.server_key = net_key_public(ends->server_key);
    options.linger_ms = 0;
    options.reconnect_ms = 10;
    cr_assert(net_socket_new(ends->context, &options, &ends->client, &err), "%s", err.text);
}

static void ends_deinit(struct ends *ends)
{
    net_socket_free(ends->client);
    net_socket_free(ends->server);
    net_zap_stop(ends->zap);
    net_key_free(ends->client_key);
    net_key_free(ends->server_key);
    net_context_free(ends->context);
}
DEFINE_AUTO_IN_PLACE(ends, struct ends, ends_deinit)

static void dial(struct net_socket *socket, const char *proxy, enum rendezvous_side side, uint8_t id,
                 char address[static 100])
{
    struct err err;
    struct rendezvous_name name = {.side = side};
    char text[RENDEZVOUS_NAME_LEN + 1];
    memset(name.id, id, sizeof(name.id));
    rendezvous_name_print(&name, text);
    (void)snprintf(address, 100, "tcp://%s:1", text);
    const struct net_endpoint endpoint = {.side = NET_CONNECT,
                                          .address = address,
                                          .socks5 = proxy,
                                          .socks5_patience_ms = NET_PATIENCE_FOR_EVER};
    cr_assert(net_socket_attach(socket, &endpoint, &err), "%s", err.text);
}

static struct net_peer pass(struct net_socket *from, const struct net_peer *to, struct net_socket *at)
{
    struct err err;
    struct net_peer peer;
    enum net_fault fault;
    AUTO(net_message) struct net_message sent = {0};
    AUTO(net_message) struct net_message got = {0};
    cr_assert(net_message_make(&sent, span_str("hello"), &err));
    cr_assert_eq(net_socket_send(from, to, &sent, DEADLINE_MS), NET_OK);
    cr_assert_eq(net_socket_recv(at, &peer, &got, &fault, DEADLINE_MS), NET_OK);
    cr_assert(span_eq(net_message_header(&got), span_str("hello")));
    return peer;
}

/* The server stays; the ways to it, each to another client, come and go. */
Test(sockets, ends_that_both_dial_meet_and_part_again_and_again)
{
    struct err err;
    char proxy[64];
    AUTO(bench) struct bench bench;
    struct proxy_settings settings = bench_settings();
    bench_start(&bench, &settings);
    (void)snprintf(proxy, sizeof(proxy), "127.0.0.1:%u", bench.at.port);
    for (int round = 0; round < 3; round++) {
        char client_name[100];
        char server_name[100];
        AUTO(ends) struct ends ends;
        ends_init(&ends);
        for (uint8_t id = 1; id < 4; id++) {
            dial(ends.server, proxy, RENDEZVOUS_B, id, server_name);
            dial(ends.client, proxy, RENDEZVOUS_A, id, client_name);
            const struct net_peer peer = pass(ends.client, NULL, ends.server);
            cr_assert_arr_eq(peer.key, net_key_public(ends.client_key), NET_KEY_LEN);
            (void)pass(ends.server, &peer, ends.client);
            cr_assert(net_socket_detach(ends.server, server_name, &err), "%s", err.text);
            cr_assert(net_socket_detach(ends.client, client_name, &err), "%s", err.text);
            net_socket_free(ends.client); /* what a client sends next must not go the old way */
            struct net_options options = net_options_of(NET_CLIENT);
            options.key = ends.client_key;
            options.server_key = net_key_public(ends.server_key);
            options.linger_ms = 0;
            cr_assert(net_socket_new(ends.context, &options, &ends.client, &err));
        }
    }
}
