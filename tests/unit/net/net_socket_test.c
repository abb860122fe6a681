#include "common/net/net_socket.h"

#include "common/base/alloc.h"
#include "loopback.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <time.h>

Test(net_socket, carries_messages_both_ways_with_the_peers_key)
{
    AUTO(loopback) struct loopback loop;
    AUTO(client) struct client client;
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    client_init(&client, &loop, loop.client_key);
    send_text(client.socket, NULL, "hello", "");
    struct net_peer peer = receive_text(loop.server, "hello", "");
    cr_assert(same_key(&peer, loop.client_key));
    cr_assert_eq(peer.standing, NET_STANDING_ALLOWED);
    cr_assert_str_eq(peer.address, "127.0.0.1");
    send_text(loop.server, &peer, "welcome", "payload");
    struct net_peer server = receive_text(client.socket, "welcome", "payload");
    cr_assert(same_key(&server, loop.server_key));
}

static void assert_port_after(const char *bound, const char *host)
{
    cr_assert_eq(strncmp(bound, host, strlen(host)), 0, "%s", bound);
    cr_assert_gt(strtoul(bound + strlen(host), NULL, 10), 0, "%s", bound);
}

Test(net_socket, a_bound_server_tells_its_port)
{
    AUTO(loopback) struct loopback loop;
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    assert_port_after(net_socket_bound(loop.server), "tcp://127.0.0.1:");
    attach(loop.server, NET_BIND, "tcp://*:0");
    assert_port_after(net_socket_bound(loop.server), "tcp://[::]:");
}

Test(net_socket, two_connections_of_one_key_are_two_routes)
{
    AUTO(loopback) struct loopback loop;
    AUTO(client) struct client first;
    AUTO(client) struct client second;
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    client_init(&first, &loop, loop.client_key);
    client_init(&second, &loop, loop.client_key);
    send_text(first.socket, NULL, "first", "");
    struct net_peer one = receive_text(loop.server, "first", "");
    send_text(second.socket, NULL, "second", "");
    struct net_peer two = receive_text(loop.server, "second", "");
    cr_assert_neq(one.route, two.route);
    send_text(loop.server, &two, "to second", "");
    send_text(loop.server, &one, "to first", "");
    (void)receive_text(first.socket, "to first", "");
    (void)receive_text(second.socket, "to second", "");
}

struct release {
    sem_t done;
    void *data;
    pthread_t thread;
};

static void note_release(void *data, void *context)
{
    struct release *release = context;
    release->data = data;
    release->thread = pthread_self();
    (void)sem_post(&release->done);
}

static void await_release(struct release *release)
{
    struct timespec deadline;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += DEADLINE_MS / 1000;
    cr_assert_eq(sem_timedwait(&release->done, &deadline), 0, "the payload was not released");
}

Test(net_socket, sends_a_payload_from_the_callers_buffer_and_gives_it_back_on_an_io_thread)
{
    enum { SIZE = 100000 };
    struct err err;
    AUTO(loopback) struct loopback loop;
    AUTO(client) struct client client;
    AUTO(free) uint8_t *data = xmalloc(SIZE);
    struct release release = {0};
    (void)sem_init(&release.done, 0, 0);
    for (size_t i = 0; i < SIZE; i++)
        data[i] = (uint8_t)(i * 7);
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    client_init(&client, &loop, loop.client_key);

    AUTO(net_message) struct net_message message = {0};
    cr_assert(net_message_make(&message, span_str("data"), &err));
    net_message_take_payload(&message, data, SIZE, note_release, &release);
    cr_assert_eq(net_message_payload(&message).data, data);
    cr_assert_eq(net_socket_send(client.socket, NULL, &message, DEADLINE_MS), NET_OK);
    cr_assert(!message.live);

    AUTO(net_message) struct net_message received = {0};
    struct net_peer from;
    enum net_fault fault;
    cr_assert_eq(net_socket_recv(loop.server, &from, &received, &fault, DEADLINE_MS), NET_OK);
    cr_assert(span_eq(net_message_payload(&received), span_of(data, SIZE)));
    await_release(&release);
    cr_assert_eq(release.data, data);
    cr_assert(!pthread_equal(release.thread, pthread_self()));
}

Test(net_socket, resends_a_shared_payload_without_copying_it)
{
    struct err err;
    AUTO(loopback) struct loopback loop;
    AUTO(client) struct client client;
    static uint8_t data[1000] = "sealed bytes";
    struct release release = {0};
    (void)sem_init(&release.done, 0, 0);
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    client_init(&client, &loop, loop.client_key);
    struct net_message kept = {0};
    cr_assert(net_message_make(&kept, span_str("data"), &err));
    net_message_take_payload(&kept, data, sizeof(data), note_release, &release);
    for (int i = 0; i < 3; i++) {
        AUTO(net_message) struct net_message copy = {0};
        AUTO(net_message) struct net_message received = {0};
        struct net_peer from;
        enum net_fault fault;
        net_message_share(&kept, &copy);
        cr_assert_eq(net_message_payload(&copy).data, data);
        cr_assert_eq(net_socket_send(client.socket, NULL, &copy, DEADLINE_MS), NET_OK);
        cr_assert_eq(net_socket_recv(loop.server, &from, &received, &fault, DEADLINE_MS), NET_OK);
        cr_assert(span_eq(net_message_payload(&received), span_of(data, sizeof(data))));
    }
    cr_assert_eq(sem_trywait(&release.done), -1, "released while it was still kept");
    net_message_deinit(&kept);
    await_release(&release);
}

Test(net_socket, the_largest_header_and_payload_pass)
{
    static const uint8_t bytes[100000] = {1, 2, 3};
    AUTO(loopback) struct loopback loop;
    AUTO(client) struct client client;
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    client_init(&client, &loop, loop.client_key);
    send_bytes(client.socket, NULL, span_of(bytes, NET_HEADER_MAX), span_of(bytes, sizeof(bytes)));
    AUTO(net_message) struct net_message message = {0};
    struct net_peer from;
    enum net_fault fault;
    cr_assert_eq(net_socket_recv(loop.server, &from, &message, &fault, DEADLINE_MS), NET_OK);
    cr_assert(span_eq(net_message_header(&message), span_of(bytes, NET_HEADER_MAX)));
    cr_assert(span_eq(net_message_payload(&message), span_of(bytes, sizeof(bytes))));
}

Test(net_socket, a_client_without_a_connection_keeps_its_message)
{
    struct err err;
    AUTO(loopback) struct loopback loop;
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    struct net_options options = loopback_client_options(&loop, loop.client_key);
    AUTO(net_socket) struct net_socket *client = make_socket(&loop, &options);
    AUTO(net_message) struct net_message message = {0};
    cr_assert(net_message_make(&message, span_str("hello"), &err));
    cr_assert_eq(net_socket_send(client, NULL, &message, 0), NET_AGAIN);
    cr_assert_eq(net_socket_send(client, NULL, &message, 20), NET_AGAIN);
    attach(client, NET_CONNECT, loop.address);
    cr_assert_eq(net_socket_send(client, NULL, &message, DEADLINE_MS), NET_OK);
    (void)receive_text(loop.server, "hello", "");
}

Test(net_socket, a_peer_that_does_not_read_fills_up_alone)
{
    static uint8_t bytes[100000];
    struct err err;
    AUTO(loopback) struct loopback loop;
    AUTO(client) struct client slow;
    AUTO(client) struct client quick;
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    client_init(&slow, &loop, loop.client_key);
    client_init(&quick, &loop, loop.client_key);
    send_text(slow.socket, NULL, "slow", "");
    struct net_peer slow_peer = receive_text(loop.server, "slow", "");
    send_text(quick.socket, NULL, "quick", "");
    struct net_peer quick_peer = receive_text(loop.server, "quick", "");
    AUTO(net_message) struct net_message message = {0};
    enum net_status status = NET_OK;
    for (int i = 0; i < 100000 && status == NET_OK; i++) {
        if (!message.live) {
            cr_assert(net_message_make(&message, span_str("data"), &err));
            net_message_copy_payload(&message, span_of(bytes, sizeof(bytes)));
        }
        status = net_socket_send(loop.server, &slow_peer, &message, 100);
    }
    cr_assert_eq(status, NET_AGAIN);
    cr_assert_eq(net_message_payload(&message).len, sizeof(bytes));
    send_text(loop.server, &quick_peer, "hello", "");
    (void)receive_text(quick.socket, "hello", "");
}

Test(net_socket, receiving_gives_up_in_time)
{
    AUTO(loopback) struct loopback loop;
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    AUTO(net_message) struct net_message message = {0};
    struct net_peer from;
    enum net_fault fault;
    cr_assert_eq(net_socket_recv(loop.server, &from, &message, &fault, 0), NET_AGAIN);
    cr_assert_eq(net_socket_recv(loop.server, &from, &message, &fault, 20), NET_AGAIN);
}

Test(net_socket, works_over_a_unix_socket)
{
    char directory[] = "/tmp/sealift-net-XXXXXX";
    char address[64];
    AUTO(loopback) struct loopback loop;
    AUTO(client) struct client client;
    cr_assert_not_null(mkdtemp(directory));
    (void)snprintf(address, sizeof(address), "ipc://%s/socket", directory);
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    attach(loop.server, NET_BIND, address);
    cr_assert_str_eq(net_socket_bound(loop.server), address);
    struct net_options options = loopback_client_options(&loop, loop.client_key);
    client_init_with(&client, &loop, &options, address);
    send_text(client.socket, NULL, "hello", "");
    struct net_peer peer = receive_text(loop.server, "hello", "");
    cr_assert(same_key(&peer, loop.client_key));
    (void)unlink(address + strlen("ipc://"));
    (void)rmdir(directory);
}

/* Printed, not asserted: the machine may be busy. */
Test(net_socket, throughput_smoke)
{
    enum { SIZE = 1 << 20, COUNT = 200 };
    struct err err;
    AUTO(loopback) struct loopback loop;
    AUTO(free) uint8_t *data = xcalloc(1, SIZE);
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    struct net_options options = loopback_server_options(&loop);
    options.max_payload = SIZE;
    AUTO(net_socket) struct net_socket *server = make_socket(&loop, &options);
    attach(server, NET_BIND, "tcp://127.0.0.1:0");
    AUTO(client) struct client client;
    options = loopback_client_options(&loop, loop.client_key);
    client_init_with(&client, &loop, &options, net_socket_bound(server));
    (void)await(client.monitor, NET_UP);
    struct timespec start;
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    int sent = 0;
    for (int received = 0; received < COUNT;) {
        if (sent < COUNT && sent - received < 4) {
            AUTO(net_message) struct net_message message = {0};
            cr_assert(net_message_make(&message, span_str("data"), &err));
            net_message_copy_payload(&message, span_of(data, SIZE));
            cr_assert_eq(net_socket_send(client.socket, NULL, &message, DEADLINE_MS), NET_OK);
            sent++;
            continue;
        }
        AUTO(net_message) struct net_message message = {0};
        struct net_peer from;
        enum net_fault fault;
        cr_assert_eq(net_socket_recv(server, &from, &message, &fault, DEADLINE_MS), NET_OK);
        received++;
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    double seconds = (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
    cr_log_info("%d MiB under CURVE in one thread: %.0f MiB/s\n", COUNT, COUNT / seconds);
}
