/* net_socket through a SOCKS5 proxy, and at the far end of a connection that went silent. */
#include "common/net/net_poll.h"
#include "common/net/net_socket.h"
#include "joiner.h"
#include "loopback.h"
#include "raw.h"
#include "socks_peer.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void dial_through(struct net_socket *socket, const struct joiner *joiner, const char *address)
{
    struct err err;
    const struct net_endpoint endpoint = {.side = NET_CONNECT, .address = address, .socks5 = joiner->proxy};
    cr_assert(net_socket_attach(socket, &endpoint, &err), "%s", err.text);
}

Test(net_proxy, a_client_reaches_its_server_through_a_proxy_that_knows_the_name)
{
    char address[128];
    AUTO(loopback) struct loopback loop;
    AUTO(joiner) struct joiner joiner;
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    joiner_init(&joiner, JOINER_FORWARDS);
    struct net_options options = loopback_client_options(&loop, loop.client_key);
    AUTO(net_socket) struct net_socket *client = make_socket(&loop, &options);
    (void)snprintf(address, sizeof(address), "tcp://no-such-host.invalid:%s", strrchr(loop.address, ':') + 1);
    dial_through(client, &joiner, address);
    send_text(client, NULL, "hello", "");
    struct net_peer peer = receive_text(loop.server, "hello", "");
    cr_assert(same_key(&peer, loop.client_key));
    send_text(loop.server, &peer, "welcome", "");
    (void)receive_text(client, "welcome", "");
    joiner_deinit(&joiner);
    cr_assert_str_eq(joiner.asked_for[0], "no-such-host.invalid");
}

Test(net_proxy, a_client_and_a_server_that_both_dial_meet_at_a_name)
{
    AUTO(loopback) struct loopback loop;
    AUTO(joiner) struct joiner joiner;
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    joiner_init(&joiner, JOINER_JOINS);
    struct net_options options = loopback_client_options(&loop, loop.client_key);
    AUTO(net_socket) struct net_socket *client = make_socket(&loop, &options);
    dial_through(client, &joiner, "tcp://rendezvous-4711:1");
    dial_through(loop.server, &joiner, "tcp://rendezvous-4711:1");
    send_text(client, NULL, "hello", "");
    struct net_peer peer = receive_text(loop.server, "hello", "");
    cr_assert(same_key(&peer, loop.client_key));
    cr_assert_eq(peer.standing, NET_STANDING_ALLOWED);
    send_text(loop.server, &peer, "welcome", "");
    struct net_peer server = receive_text(client, "welcome", "");
    cr_assert(same_key(&server, loop.server_key));
    joiner_deinit(&joiner);
    cr_assert_str_eq(joiner.asked_for[0], "rendezvous-4711");
    cr_assert_str_eq(joiner.asked_for[1], "rendezvous-4711");
}

Test(net_proxy, a_socket_dials_straight_after_it_dialled_through_a_proxy)
{
    AUTO(loopback) struct loopback loop;
    AUTO(joiner) struct joiner joiner;
    AUTO(net_socket) struct net_socket *client = NULL;
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    joiner_init(&joiner, JOINER_JOINS);
    struct net_options options = loopback_client_options(&loop, loop.client_key);
    client = make_socket(&loop, &options);
    attach(client, NET_BIND, "tcp://127.0.0.1:0");
    dial_through(loop.server, &joiner, "tcp://rendezvous-4711:1");
    attach(loop.server, NET_CONNECT, net_socket_bound(client));
    send_text(client, NULL, "hello", "");
    (void)receive_text(loop.server, "hello", "");
}

static void beat_fast(struct net_options *options)
{
    options->heartbeat_ms = 100;
    options->heartbeat_timeout_ms = 1000;
}

Test(net_proxy, a_connection_that_went_silent_ends_at_both_ends)
{
    struct err err;
    AUTO(loopback) struct loopback loop;
    AUTO(joiner) struct joiner joiner;
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    joiner_init(&joiner, JOINER_FORWARDS);
    struct net_options options = loopback_server_options(&loop);
    beat_fast(&options);
    AUTO(net_socket) struct net_socket *server = make_socket(&loop, &options);
    AUTO(net_monitor) struct net_monitor *server_monitor = NULL;
    cr_assert(net_monitor_new(server, &server_monitor, &err));
    attach(server, NET_BIND, "tcp://127.0.0.1:0");
    options = loopback_client_options(&loop, loop.client_key);
    beat_fast(&options);
    AUTO(client) struct client client = {.socket = make_socket(&loop, &options)};
    cr_assert(net_monitor_new(client.socket, &client.monitor, &err));
    dial_through(client.socket, &joiner, net_socket_bound(server));
    send_text(client.socket, NULL, "hello", "");
    (void)receive_text(server, "hello", "");
    /* the client goes by the server's heartbeats: one has to come */
    struct net_poll_item nothing = net_poll_fd(net_zap_fd(loop.zap), NET_READABLE);
    cr_assert(net_poll_wait(&nothing, 1, 500, &err), "%s", err.text);
    atomic_store(&joiner.frozen, true);
    (void)await(client.monitor, NET_DOWN);
    (void)await(server_monitor, NET_DOWN);
}

Test(net_proxy, a_socket_can_be_freed_while_it_waits_to_try_its_proxy_again)
{
    for (int round = 0; round < 20; round++) {
        struct err err;
        AUTO(loopback) struct loopback loop;
        loopback_init(&loop, NET_UNKNOWN_REFUSE);
        struct net_options options = loopback_client_options(&loop, loop.client_key);
        AUTO(client) struct client client = {.socket = make_socket(&loop, &options)};
        cr_assert(net_monitor_new(client.socket, &client.monitor, &err));
        const struct net_endpoint endpoint = {
            .side = NET_CONNECT, .address = "tcp://target.invalid:1", .socks5 = "127.0.0.1:1"};
        cr_assert(net_socket_attach(client.socket, &endpoint, &err), "%s", err.text);
        struct net_monitor_event event = await(client.monitor, NET_FAILED);
        cr_assert_str_eq(event.address, "tcp://target.invalid:1");
        cr_assert_eq(event.cause, NET_CAUSE_UNKNOWN);
        (void)await(client.monitor, NET_RETRIED);
        cr_assert(net_socket_proxy_failure(client.socket, "tcp://target.invalid:1", &err));
        cr_assert_str_eq(err.text, "proxy '127.0.0.1:1': refused: nobody listens there, or a "
                                   "firewall rejects it");
        cr_assert(!net_socket_proxy_failure(client.socket, "tcp://other:1", &err));
    }
}

Test(net_proxy, a_server_cuts_a_peer_that_it_reached_through_a_proxy)
{
    AUTO(loopback) struct loopback loop;
    AUTO(joiner) struct joiner joiner;
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    joiner_init(&joiner, JOINER_JOINS);
    struct net_options options = loopback_client_options(&loop, loop.client_key);
    AUTO(net_socket) struct net_socket *client = make_socket(&loop, &options);
    dial_through(client, &joiner, "tcp://rendezvous-4711:1");
    dial_through(loop.server, &joiner, "tcp://rendezvous-4711:1");
    send_text(client, NULL, "hello", "");
    struct net_peer peer = receive_text(loop.server, "hello", "");
    net_socket_drop(loop.server, &peer);
    (void)await(loop.server_monitor, NET_DOWN);
}

Test(net_proxy, what_was_sent_before_the_socket_is_freed_arrives)
{
    AUTO(loopback) struct loopback loop;
    AUTO(joiner) struct joiner joiner;
    static const uint8_t bytes[90000] = {1, 2, 3};
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    joiner_init(&joiner, JOINER_FORWARDS);
    struct net_options options = loopback_client_options(&loop, loop.client_key);
    options.linger_ms = DEADLINE_MS;
    struct net_socket *client = make_socket(&loop, &options);
    dial_through(client, &joiner, loop.address);
    for (int i = 0; i < 20; i++)
        send_bytes(client, NULL, span_str("data"), span_of(bytes, sizeof(bytes)));
    net_socket_free(client);
    for (int i = 0; i < 20; i++) {
        AUTO(net_message) struct net_message message = {0};
        struct net_peer from;
        enum net_fault fault;
        cr_assert_eq(net_socket_recv(loop.server, &from, &message, &fault, DEADLINE_MS), NET_OK);
        cr_assert(span_eq(net_message_payload(&message), span_of(bytes, sizeof(bytes))));
    }
}

/* what is sent before that may go down with the old connection */
static void await_unwritable(struct net_socket *socket)
{
    struct err err;
    struct net_poll_item item = net_poll_socket(socket, NET_WRITABLE);
    const long deadline = now_ms() + DEADLINE_MS;
    do {
        cr_assert(net_poll_wait(&item, 1, 0, &err), "%s", err.text);
    } while (item.ready && now_ms() < deadline);
    cr_assert(!item.ready);
}

Test(net_proxy, a_proxied_address_can_be_left_and_dialled_anew)
{
    struct err err;
    AUTO(loopback) struct loopback loop;
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    struct net_options options = loopback_client_options(&loop, loop.client_key);
    AUTO(net_socket) struct net_socket *client = make_socket(&loop, &options);
    for (int i = 0; i < 3; i++) {
        AUTO(joiner) struct joiner joiner;
        joiner_init(&joiner, JOINER_FORWARDS);
        dial_through(client, &joiner, loop.address);
        send_text(client, NULL, "hello", "");
        (void)receive_text(loop.server, "hello", "");
        cr_assert(net_socket_detach(client, loop.address, &err), "%s", err.text);
        await_unwritable(client);
    }
    cr_assert(!net_socket_detach(client, loop.address, &err));
}

Test(net_proxy, only_tcp_goes_through_a_proxy)
{
    struct err err;
    AUTO(loopback) struct loopback loop;
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    struct net_endpoint endpoint = {.side = NET_CONNECT, .address = "ipc:///tmp/x", .socks5 = "127.0.0.1:1"};
    cr_assert(!net_socket_attach(loop.server, &endpoint, &err));
    cr_assert_str_eq(err.text, "'ipc:///tmp/x' cannot be dialled through a proxy");
    endpoint.address = "tcp://nowhere";
    cr_assert(!net_socket_attach(loop.server, &endpoint, &err));
    cr_assert_str_eq(err.text,
                     "cannot dial through '127.0.0.1:1': address: 'nowhere' has no port: HOST:PORT");
}

Test(net_proxy, a_socket_logs_in_as_its_context_says)
{
    struct err err;
    AUTO(loopback) struct loopback loop;
    AUTO(joiner) struct joiner joiner;
    AUTO(secret) struct secret *password = secret_copy("secret", 6);
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    joiner_init_with_login(&joiner, JOINER_FORWARDS, "\1\2me\6secret");
    struct net_options options = loopback_client_options(&loop, loop.client_key);
    AUTO(net_socket) struct net_socket *client = make_socket(&loop, &options);
    const struct login login = {.address = joiner.proxy, .user = (char[]){"me"}, .password = password};
    AUTO(net_logins) struct net_logins *logins = NULL;
    cr_assert(net_logins_of(&login, 1, &logins, &err), "%s", err.text);
    net_logins_swap(net_context_logins(loop.context), logins);
    wipe(password->data, password->len); /* the context has its own */
    dial_through(client, &joiner, loop.address);
    send_text(client, NULL, "hello", "");
    (void)receive_text(loop.server, "hello", "");
}

static void pass_time(struct loopback *loop, int ms)
{
    struct err err;
    struct net_poll_item nothing = net_poll_fd(net_zap_fd(loop->zap), NET_READABLE);
    cr_assert(net_poll_wait(&nothing, 1, ms, &err), "%s", err.text);
}

/* The handshake's time is half of what the first caller waits. */
Test(net_proxy, a_rendezvous_waits_for_its_other_end_without_a_try_more)
{
    enum { HANDSHAKE_MS = 600 };
    struct err err;
    struct net_monitor_event event;
    AUTO(loopback) struct loopback loop;
    AUTO(joiner) struct joiner joiner;
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    joiner_init(&joiner, JOINER_MEETS);
    struct net_options options = loopback_client_options(&loop, loop.client_key);
    options.handshake_timeout_ms = options.connect_timeout_ms = HANDSHAKE_MS;
    AUTO(client) struct client client = {.socket = make_socket(&loop, &options)};
    cr_assert(net_monitor_new(client.socket, &client.monitor, &err));
    const struct net_endpoint endpoint = {.side = NET_CONNECT,
                                          .address = "tcp://rendezvous-4711:1",
                                          .socks5 = joiner.proxy,
                                          .socks5_patience_ms = NET_PATIENCE_FOR_EVER};
    cr_assert(net_socket_attach(client.socket, &endpoint, &err), "%s", err.text);
    pass_time(&loop, 2 * HANDSHAKE_MS);
    cr_assert(!net_monitor_take(client.monitor, &event), "event %d", event.kind);
    cr_assert_eq(atomic_load(&joiner.callers), 1);
    dial_through(loop.server, &joiner, "tcp://rendezvous-4711:1");
    send_text(client.socket, NULL, "hello", "");
    (void)receive_text(loop.server, "hello", "");
    (void)await(client.monitor, NET_UP);
    cr_assert(!net_socket_proxy_failure(client.socket, endpoint.address, &err));
}

Test(net_proxy, an_end_that_shakes_no_hands_is_left_and_told)
{
    struct err err;
    AUTO(loopback) struct loopback loop;
    AUTO(joiner) struct joiner joiner;
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    joiner_init(&joiner, JOINER_JOINS); /* says that it has connected, with nobody there */
    struct net_options options = loopback_client_options(&loop, loop.client_key);
    options.handshake_timeout_ms = 50;
    AUTO(client) struct client client = {.socket = make_socket(&loop, &options)};
    cr_assert(net_monitor_new(client.socket, &client.monitor, &err));
    dial_through(client.socket, &joiner, "tcp://rendezvous-4711:1");
    (void)await(client.monitor, NET_FAILED);
    cr_assert(net_socket_proxy_failure(client.socket, "tcp://rendezvous-4711:1", &err));
    cr_assert(strstr(err.text, "connected, but the other end does not shake hands within 50 ms"), "%s",
              err.text);
}

static size_t count_entries(const char *path)
{
    size_t count = 0;
    DIR *dir = opendir(path);
    cr_assert_not_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

/* each run attaches its way, and leaves it, at a server that lives for months */
Test(net_proxy, a_server_attaches_and_leaves_many_ways_and_keeps_nothing_of_them)
{
    enum { ROUNDS = 40 };
    struct err err;
    char address[64];
    char target[64];
    AUTO(loopback) struct loopback loop;
    AUTO(fd) int silent = socks_peer_listen(address); /* takes calls and says nothing */
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    cr_assert_eq(listen(silent, ROUNDS), 0);
    const size_t threads = count_entries("/proc/self/task");
    const size_t files = count_entries("/proc/self/fd");
    for (int i = 0; i < ROUNDS; i++) {
        (void)snprintf(target, sizeof(target), "tcp://rendezvous-%d:1", i);
        const struct net_endpoint endpoint = {.side = NET_CONNECT,
                                              .address = target,
                                              .socks5 = i % 2 ? address : "127.0.0.1:1",
                                              .socks5_patience_ms = NET_PATIENCE_FOR_EVER};
        cr_assert(net_socket_attach(loop.server, &endpoint, &err), "%s", err.text);
        cr_assert(net_socket_detach(loop.server, target, &err), "%s", err.text);
    }
    const long deadline = now_ms() + DEADLINE_MS;
    AUTO(client) struct client client;
    client_init(&client, &loop, loop.client_key); /* the server is as good as before */
    send_text(client.socket, NULL, "hello", "");
    (void)receive_text(loop.server, "hello", "");
    client_deinit(&client);
    client = (struct client){NULL, NULL};
    while ((count_entries("/proc/self/task") > threads || count_entries("/proc/self/fd") > files + 2) &&
           now_ms() < deadline) {
        struct net_peer from;
        enum net_fault fault;
        AUTO(net_message) struct net_message message = {0};
        cr_assert_eq(net_socket_recv(loop.server, &from, &message, &fault, 10), NET_AGAIN);
    }
    cr_assert_eq(count_entries("/proc/self/task"), threads);
    cr_assert_leq(count_entries("/proc/self/fd"), files + 2, "%zu of %zu", count_entries("/proc/self/fd"),
                  files);
}

Test(net_proxy, a_straight_dial_can_tell_why_it_does_not_come_up)
{
    struct err err;
    char address[80], expected[200], port[64];
    AUTO(loopback) struct loopback loop;
    AUTO(fd) int free_port = socks_peer_listen(port);
    close(free_port);
    free_port = -1;
    (void)snprintf(address, sizeof(address), "tcp://%s", port);
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    struct net_options options = loopback_client_options(&loop, loop.client_key);
    AUTO(client) struct client client = {.socket = make_socket(&loop, &options)};
    cr_assert(net_monitor_new(client.socket, &client.monitor, &err));
    const struct net_endpoint nowhere = {
        .side = NET_CONNECT, .address = address, .reasons = NET_REASONS_KEPT};
    cr_assert(net_socket_attach(client.socket, &nowhere, &err), "%s", err.text);
    (void)await(client.monitor, NET_FAILED);
    cr_assert(net_socket_proxy_failure(client.socket, address, &err));
    (void)snprintf(expected, sizeof(expected),
                   "'%s': refused: nobody listens there, or a firewall rejects it", port);
    cr_assert_str_eq(err.text, expected);
    cr_assert(net_socket_detach(client.socket, address, &err));
    const struct net_endpoint there = {
        .side = NET_CONNECT, .address = loop.address, .reasons = NET_REASONS_KEPT};
    cr_assert(net_socket_attach(client.socket, &there, &err), "%s", err.text);
    send_text(client.socket, NULL, "hello", "");
    (void)receive_text(loop.server, "hello", "");
}

/* true once its monitor has cut somebody */
static bool await_cut(struct net_monitor *monitor)
{
    struct net_monitor_event event;
    size_t cut = 0;
    for (const long deadline = now_ms() + 6 * DEADLINE_MS; cut == 0 && now_ms() < deadline;) {
        while (net_monitor_take(monitor, &event))
            continue;
        cut = net_monitor_guard(monitor);
    }
    return cut > 0;
}

Test(net_proxy, a_message_that_never_ends_is_cut_off_behind_a_relay_too)
{
    struct err err;
    char address[128];
    AUTO(loopback) struct loopback loop;
    AUTO(raw) struct raw raw;
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    raw_init_listening(&raw, &loop, loop.client_key, address);
    const struct net_endpoint there = {.side = NET_CONNECT, .address = address, .reasons = NET_REASONS_KEPT};
    cr_assert(net_socket_attach(loop.server, &there, &err), "%s", err.text);
    raw_send(&raw, "x", 400000); /* about 15 MB */
    cr_assert(await_cut(loop.server_monitor));
}

/* One that the server's guard would let pass: its queue is short. */
Test(net_proxy, a_client_leaves_a_server_whose_message_never_ends)
{
    char address[128];
    AUTO(loopback) struct loopback loop;
    AUTO(raw) struct raw raw;
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    raw_init_server(&raw, &loop, address);
    struct net_options options = loopback_client_options(&loop, loop.client_key);
    options.max_payload = 100000;
    AUTO(client) struct client client;
    client_init_with(&client, &loop, &options, address);
    send_text(client.socket, NULL, "hello", "");
    raw_answer(&raw, "x", 400000);
    cr_assert(await_cut(client.monitor));
}
