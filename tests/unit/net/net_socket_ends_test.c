/* Where sockets dial and listen, and what the end of a connection, of a peer or of the context does to them.
 */
#include "common/net/net_socket.h"

#include "common/net/net_poll.h"
#include "loopback.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

Test(net_socket, a_server_can_be_the_side_that_dials)
{
    AUTO(loopback) struct loopback loop;
    AUTO(net_socket) struct net_socket *client = NULL;
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    struct net_options options = loopback_client_options(&loop, loop.client_key);
    client = make_socket(&loop, &options);
    attach(client, NET_BIND, "tcp://127.0.0.1:0");
    attach(loop.server, NET_CONNECT, net_socket_bound(client));
    send_text(client, NULL, "hello", "");
    struct net_peer peer = receive_text(loop.server, "hello", "");
    cr_assert(same_key(&peer, loop.client_key));
    send_text(loop.server, &peer, "welcome", "");
    (void)receive_text(client, "welcome", "");
}

Test(net_socket, a_dialling_server_admits_by_zap_too)
{
    AUTO(loopback) struct loopback loop;
    AUTO(net_key) struct net_key *stranger = make_key();
    AUTO(net_socket) struct net_socket *client = NULL;
    struct net_denial denial;
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    struct net_options options = loopback_client_options(&loop, stranger);
    client = make_socket(&loop, &options);
    attach(client, NET_BIND, "tcp://127.0.0.1:0");
    attach(loop.server, NET_CONNECT, net_socket_bound(client));
    struct err err;
    struct net_poll_item item = net_poll_fd(net_zap_fd(loop.zap), NET_READABLE);
    cr_assert(net_poll_wait(&item, 1, DEADLINE_MS, &err));
    cr_assert(net_zap_take_denial(loop.zap, &denial));
    cr_assert_eq(memcmp(denial.key, net_key_public(stranger), NET_KEY_LEN), 0);
}

Test(net_socket, a_detached_address_is_left)
{
    struct err err;
    AUTO(loopback) struct loopback loop;
    AUTO(client) struct client client;
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    client_init(&client, &loop, loop.client_key);
    send_text(client.socket, NULL, "hello", "");
    (void)receive_text(loop.server, "hello", "");
    cr_assert(net_socket_detach(client.socket, loop.address, &err), "%s", err.text);
    struct net_poll_item items[] = {net_poll_socket(client.socket, NET_READABLE),
                                    net_poll_monitor(loop.server_monitor)};
    struct net_monitor_event event = {.kind = NET_UP};
    while (event.kind != NET_DOWN) {
        cr_assert(net_poll_wait(items, 2, DEADLINE_MS, &err));
        cr_assert_eq(items[1].ready, NET_READABLE, "the connection did not end");
        (void)net_monitor_take(loop.server_monitor, &event);
    }
    cr_assert(!net_socket_detach(client.socket, "tcp://127.0.0.1:1", &err));
    cr_assert_eq(err.code, ERR_NOT_FOUND);
}

Test(net_socket, only_tcp_and_ipc_are_addresses)
{
    struct err err;
    static const char *const bad[] = {"inproc://x", "127.0.0.1:80", "", "udp://127.0.0.1:1",
                                      "tcp:/127.0.0.1:1"};
    AUTO(loopback) struct loopback loop;
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct net_endpoint endpoint = {.side = NET_BIND, .address = bad[i]};
        cr_assert(!net_socket_attach(loop.server, &endpoint, &err), "%s", bad[i]);
        cr_assert_eq(err.code, ERR_CONFIG);
    }
    cr_assert_str_eq(err.text, "'tcp:/127.0.0.1:1' is not an address: tcp://HOST:PORT is needed");
}

Test(net_socket, a_taken_port_is_an_error_that_names_it)
{
    struct err err;
    char expected[256];
    AUTO(loopback) struct loopback loop;
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    struct net_options options = loopback_server_options(&loop);
    AUTO(net_socket) struct net_socket *second = make_socket(&loop, &options);
    struct net_endpoint endpoint = {.side = NET_BIND, .address = loop.address};
    cr_assert(!net_socket_attach(second, &endpoint, &err));
    (void)snprintf(expected, sizeof(expected), "cannot listen at '%s': Address already in use", loop.address);
    cr_assert_str_eq(err.text, expected);
    cr_assert_str_eq(net_socket_bound(second), "");
}

Test(net_socket, a_peer_that_left_is_unreachable_and_the_message_still_whole)
{
    AUTO(loopback) struct loopback loop;
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    struct client client;
    client_init(&client, &loop, loop.client_key);
    send_text(client.socket, NULL, "hello", "");
    struct net_peer peer = receive_text(loop.server, "hello", "");
    client_deinit(&client);
    (void)await(loop.server_monitor, NET_DOWN);
    AUTO(net_message) struct net_message message = {0};
    await_unreachable(loop.server, &peer, &message);
    cr_assert(span_eq(net_message_header(&message), span_str("hello")));
    struct net_peer nobody = peer;
    nobody.route += 12345;
    cr_assert_eq(net_socket_send(loop.server, &nobody, &message, 0), NET_UNREACHABLE);
}

Test(net_socket, a_client_comes_back_when_its_server_does)
{
    struct err err;
    AUTO(loopback) struct loopback loop;
    AUTO(client) struct client client;
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    client_init(&client, &loop, loop.client_key);
    send_text(client.socket, NULL, "hello", "");
    struct net_peer before = receive_text(loop.server, "hello", "");
    net_monitor_free(loop.server_monitor);
    loop.server_monitor = NULL;
    net_socket_free(loop.server);
    (void)await(client.monitor, NET_DOWN);
    (void)await(client.monitor, NET_RETRIED);
    struct net_options options = loopback_server_options(&loop);
    loop.server = make_socket(&loop, &options);
    struct net_endpoint endpoint = {.side = NET_BIND, .address = loop.address};
    const long deadline = now_ms() + DEADLINE_MS;
    while (!net_socket_attach(loop.server, &endpoint, &err)) /* until the old listener is gone */
        cr_assert(err.sys == EADDRINUSE && now_ms() < deadline, "%s", err.text);
    (void)await(client.monitor, NET_UP);
    send_text(client.socket, NULL, "hello again", "");
    struct net_peer after = receive_text(loop.server, "hello again", "");
    cr_assert(same_key(&after, loop.client_key));
    cr_assert_neq(after.route, before.route);
}

static void *shut_down(void *argument)
{
    net_context_shutdown(argument);
    return NULL;
}

Test(net_socket, a_shutdown_of_the_context_ends_every_wait)
{
    struct err err;
    AUTO(loopback) struct loopback loop;
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    AUTO(net_message) struct net_message message = {0};
    struct net_peer from;
    enum net_fault fault;
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, shut_down, loop.context), 0);
    cr_assert_eq(net_socket_recv(loop.server, &from, &message, &fault, -1), NET_TERMINATED);
    (void)pthread_join(thread, NULL);
    cr_assert(net_message_make(&message, span_str("hello"), &err));
    cr_assert_eq(net_socket_send(loop.server, &(struct net_peer){.route = 1}, &message, -1), NET_TERMINATED);
    struct net_poll_item item = net_poll_socket(loop.server, NET_READABLE);
    cr_assert(!net_poll_wait(&item, 1, -1, &err));
    cr_assert_eq(err.code, ERR_CANCELLED);
}

/* libzmq 4.3 aborts the process when the heartbeat timer of such a connection fires, if it had stopped
 * reading it. */
Test(net_socket, a_server_survives_a_peer_that_sends_more_than_is_read_and_hangs_up)
{
    struct err err;
    AUTO(loopback) struct loopback loop;
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    struct net_options options = loopback_server_options(&loop);
    options.heartbeat_ms = 50;
    options.heartbeat_timeout_ms = 10000;
    options.recv_queue = 2;
    AUTO(net_socket) struct net_socket *server = make_socket(&loop, &options);
    AUTO(net_monitor) struct net_monitor *monitor = NULL;
    cr_assert(net_monitor_new(server, &monitor, &err), "%s", err.text);
    attach(server, NET_BIND, "tcp://127.0.0.1:0");
    struct net_options talker = loopback_client_options(&loop, loop.client_key);
    talker.linger_ms = DEADLINE_MS;
    struct client client;
    client_init_with(&client, &loop, &talker, net_socket_bound(server));
    for (int i = 0; i < 100; i++)
        send_text(client.socket, NULL, "hello", "");
    client_deinit(&client);
    (void)await(monitor, NET_DOWN);
    (void)receive_text(server, "hello", "");
}

/* The same at the other end: whoever reads slowly (a paused command line) must survive a server that goes. */
Test(net_socket, a_client_survives_a_server_that_sends_more_than_is_read_and_hangs_up)
{
    AUTO(loopback) struct loopback loop;
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    struct net_options options = loopback_server_options(&loop);
    options.send_queue = 1000;
    options.linger_ms = 0;
    struct net_socket *server = make_socket(&loop, &options);
    attach(server, NET_BIND, "tcp://127.0.0.1:0");
    struct net_options slow = loopback_client_options(&loop, loop.client_key);
    slow.heartbeat_ms = 50;
    slow.heartbeat_timeout_ms = 10000;
    slow.recv_queue = 2;
    AUTO(client) struct client client;
    client_init_with(&client, &loop, &slow, net_socket_bound(server));
    send_text(client.socket, NULL, "hello", "");
    struct net_peer peer = receive_text(server, "hello", "");
    static const uint8_t much[90000];
    for (int i = 0; i < 200; i++)
        send_bytes(server, &peer, span_str("much"), span_of(much, sizeof(much)));
    net_socket_drop(server, &peer);
    net_socket_free(server);
    /* four times the interval: long enough for a timer to fire */
    struct err err;
    struct net_poll_item nothing = net_poll_fd(net_zap_fd(loop.zap), NET_READABLE);
    cr_assert(net_poll_wait(&nothing, 1, 200, &err), "%s", err.text);
    AUTO(net_message) struct net_message message = {0};
    enum net_fault fault;
    cr_assert_eq(net_socket_recv(client.socket, &peer, &message, &fault, 0), NET_OK);
}
