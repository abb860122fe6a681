/* A client that listens, its server that calls, and strangers who call and leave, or do not leave. */
#include "common/net/net_socket.h"
#include "loopback.h"
#include "socks_peer.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* The client listens, the server has called it, and both have been heard. The server's peer. */
static struct net_peer call_client(struct client *client, struct loopback *loop,
                                   const struct net_options *options, enum net_reasons reasons)
{
    struct err err;
    *client = (struct client){.socket = make_socket(loop, options)};
    cr_assert(net_monitor_new(client->socket, &client->monitor, &err));
    attach(client->socket, NET_BIND, "tcp://127.0.0.1:0");
    const struct net_endpoint there = {
        .side = NET_CONNECT, .address = net_socket_bound(client->socket), .reasons = reasons};
    cr_assert(net_socket_attach(loop->server, &there, &err), "%s", err.text);
    (void)await(client->monitor, NET_UP);
    send_text(client->socket, NULL, "hello", "");
    struct net_peer peer = receive_text(loop->server, "hello", "");
    send_text(loop->server, &peer, "welcome", "");
    (void)receive_text(client->socket, "welcome", "");
    return peer;
}

Test(net_listening_client, hears_of_its_server_and_not_of_strangers)
{
    /* HTTP; a ZMTP 1.0 peer that knows no encryption, with a message; a ZMTP 3 greeting for NULL */
    static const struct {
        const char *said;
        size_t len;
    } strangers[] = {
        {"GET / HTTP/1.1\r\n\r\n", 18},
        {"\1\0\6\0hello", 9},
        {"\xff\0\0\0\0\0\0\0\1\x7f\3\0NULL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
         "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
         64},
    };
    struct err err;
    struct net_monitor_event event;
    AUTO(loopback) struct loopback loop;
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    struct net_options options = loopback_client_options(&loop, loop.client_key);
    AUTO(client) struct client client;
    struct net_peer peer = call_client(&client, &loop, &options, NET_REASONS_KEPT);
    const char *bound = net_socket_bound(client.socket);
    for (size_t i = 0; i < sizeof(strangers) / sizeof(strangers[0]); i++) {
        char got[256];
        AUTO(fd) int stranger = socks_peer_call(bound);
        cr_assert_eq(send(stranger, strangers[i].said, strangers[i].len, MSG_NOSIGNAL),
                     (ssize_t)strangers[i].len);
        while (recv(stranger, got, sizeof(got), 0) > 0)
            continue; /* until it is cut off */
        while (net_monitor_take(client.monitor, &event))
            cr_assert_eq(event.kind, NET_FAILED);
    }
    AUTO(net_message) struct net_message none = {0};
    struct net_peer nobody;
    enum net_fault fault;
    cr_assert_eq(net_socket_recv(client.socket, &nobody, &none, &fault, 0), NET_AGAIN);
    send_text(client.socket, NULL, "still", "");
    (void)receive_text(loop.server, "still", "");
    cr_assert(net_socket_detach(loop.server, bound, &err));
    net_socket_drop(loop.server, &peer);
    const long deadline = now_ms() + DEADLINE_MS;
    bool down = false;
    while (!down && now_ms() < deadline) {
        cr_assert_eq(net_socket_recv(loop.server, &nobody, &none, &fault, 10), NET_AGAIN);
        while (net_monitor_take(client.monitor, &event))
            down = down || event.kind == NET_DOWN;
    }
    cr_assert(down, "the end of the server's connection did not show");
}

Test(net_listening_client, sheds_silent_strangers_and_keeps_its_server)
{
    enum { DESCRIPTORS = 200, STRANGERS = 80 };
    struct net_monitor_event event;
    int strangers[STRANGERS];
    const struct rlimit few = {DESCRIPTORS, DESCRIPTORS};
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
    AUTO(loopback) struct loopback loop;
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    struct net_options options = loopback_client_options(&loop, loop.client_key);
    options.handshake_timeout_ms = 10 * DEADLINE_MS;
    AUTO(client) struct client client;
    (void)call_client(&client, &loop, &options, NET_REASONS_NONE);
    const char *bound = net_socket_bound(client.socket);
    for (int i = 0; i < STRANGERS; i++)
        strangers[i] = socks_peer_call(bound);
    size_t shed = 0;
    const long deadline = now_ms() + DEADLINE_MS;
    while (shed < STRANGERS - DESCRIPTORS / 4 && now_ms() < deadline) {
        while (net_monitor_take(client.monitor, &event))
            cr_assert_neq(event.kind, NET_DOWN);
        shed += net_monitor_shed(client.monitor);
    }
    cr_assert_geq(shed, STRANGERS - DESCRIPTORS / 4);
    for (int i = 0; i < STRANGERS; i++)
        (void)close(strangers[i]);
    send_text(client.socket, NULL, "still", "");
    (void)receive_text(loop.server, "still", "");
}
