#include "common/net/net_socket.h"

#include "common/base/alloc.h"
#include "common/net/net_poll.h"
#include "common/net/net_routes.h"
#include "loopback.h"
#include "raw.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
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

/* What was refused stays refused: after the fault the next message that arrives is the one that was
 * sent over a new connection. */
static void assert_cut_and_back(struct loopback *loop, struct client *client, const struct net_peer *refused)
{
    (void)await(client->monitor, NET_DOWN);
    (void)await(client->monitor, NET_UP);
    send_text(client->socket, NULL, "again", "");
    struct net_peer back = receive_text(loop->server, "again", "");
    cr_assert_neq(back.route, refused->route);
}

Test(net_socket, a_payload_just_over_the_limit_is_refused_and_the_connection_with_it)
{
    static const uint8_t bytes[100001];
    AUTO(loopback) struct loopback loop;
    AUTO(client) struct client client;
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    client_init(&client, &loop, loop.client_key);
    send_bytes(client.socket, NULL, span_str("data"), span_of(bytes, sizeof(bytes)));
    send_text(client.socket, NULL, "good", "");
    send_text(client.socket, NULL, "good", "");
    struct net_peer refused = receive_refusal(loop.server, NET_FAULT_PAYLOAD);
    cr_assert(same_key(&refused, loop.client_key));
    assert_cut_and_back(&loop, &client, &refused);
}

Test(net_socket, a_payload_far_over_the_limit_ends_the_connection)
{
    static const uint8_t bytes[200000];
    AUTO(loopback) struct loopback loop;
    AUTO(client) struct client client;
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    client_init(&client, &loop, loop.client_key);
    send_text(client.socket, NULL, "hello", "");
    struct net_peer before = receive_text(loop.server, "hello", "");
    (void)await(client.monitor, NET_UP);
    send_bytes(client.socket, NULL, span_str("data"), span_of(bytes, sizeof(bytes)));
    (void)await(loop.server_monitor, NET_DOWN);
    assert_cut_and_back(&loop, &client, &before);
}

Test(net_socket, a_server_says_no_to_a_header_over_the_limit)
{
    AUTO(loopback) struct loopback loop;
    AUTO(raw) struct raw raw;
    char header[NET_HEADER_MAX + 2];
    memset(header, 'h', sizeof(header) - 1);
    header[sizeof(header) - 1] = '\0';
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    raw_init(&raw, &loop, loop.client_key, (struct span){0});
    raw_send(&raw, header, 2);
    struct net_peer refused = receive_refusal(loop.server, NET_FAULT_HEADER);
    cr_assert(same_key(&refused, loop.client_key));
    cr_assert_str_eq(refused.address, "127.0.0.1");
}

Test(net_socket, messages_of_one_three_or_many_frames_are_refused)
{
    static const int counts[] = {1, 3, 4, 1000};
    AUTO(loopback) struct loopback loop;
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        AUTO(raw) struct raw raw;
        raw_init(&raw, &loop, loop.client_key, (struct span){0});
        raw_send(&raw, "good", 2);
        struct net_peer before = receive_text(loop.server, "good", "good");
        raw_send(&raw, "frame", counts[i]);
        struct net_peer refused = receive_refusal(loop.server, NET_FAULT_FRAMES);
        cr_assert_eq(refused.route, before.route);
        cr_assert(same_key(&refused, loop.client_key));
    }
}

Test(net_socket, a_message_that_never_ends_is_cut_off)
{
    struct net_monitor_event event;
    AUTO(loopback) struct loopback loop;
    AUTO(client) struct client good;
    AUTO(raw) struct raw raw;
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    client_init(&good, &loop, loop.client_key);
    send_text(good.socket, NULL, "hello", "");
    (void)receive_text(loop.server, "hello", "");
    raw_init(&raw, &loop, loop.client_key, (struct span){0});
    /* 400,000 frames come to about 15 MB; one message of them all is there when the last has come */
    raw_send(&raw, "x", 400000);
    size_t cut = 0;
    for (const long deadline = now_ms() + DEADLINE_MS; cut == 0 && now_ms() < deadline;) {
        while (net_monitor_take(loop.server_monitor, &event))
            continue;
        cut = net_monitor_guard(loop.server_monitor);
    }
    cr_assert_eq(cut, 1);
    send_text(good.socket, NULL, "hello", "");
    struct net_peer peer = {0};
    AUTO(net_message) struct net_message message = {0};
    enum net_fault fault;
    /* the monstrous message may have been complete by then */
    enum net_status status = net_socket_recv(loop.server, &peer, &message, &fault, DEADLINE_MS);
    if (status == NET_REFUSED) status = net_socket_recv(loop.server, &peer, &message, &fault, DEADLINE_MS);
    cr_assert_eq(status, NET_OK);
    cr_assert(span_eq(net_message_header(&message), span_str("hello")));
}

Test(net_socket, a_peer_whose_messages_are_received_may_send_without_end)
{
    static const uint8_t bytes[100000];
    struct net_monitor_event event;
    AUTO(loopback) struct loopback loop;
    AUTO(client) struct client client;
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    client_init(&client, &loop, loop.client_key);
    for (int i = 0; i < 250; i++) { /* 25 MB, where a_message_that_never_ends is cut off after 12 */
        AUTO(net_message) struct net_message message = {0};
        struct net_peer from;
        enum net_fault fault;
        send_bytes(client.socket, NULL, span_str("data"), span_of(bytes, sizeof(bytes)));
        cr_assert_eq(net_socket_recv(loop.server, &from, &message, &fault, DEADLINE_MS), NET_OK);
        while (net_monitor_take(loop.server_monitor, &event))
            continue;
        cr_assert_eq(net_monitor_guard(loop.server_monitor), 0);
    }
}

Test(net_socket, a_client_is_done_with_a_server_that_breaks_the_rules)
{
    struct err err;
    static const uint8_t bytes[2000];
    AUTO(loopback) struct loopback loop;
    AUTO(client) struct client client;
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    struct net_options options = loopback_client_options(&loop, loop.client_key);
    options.max_payload = 1999;
    client_init_with(&client, &loop, &options, loop.address);
    send_text(client.socket, NULL, "hello", "");
    struct net_peer peer = receive_text(loop.server, "hello", "");
    send_bytes(loop.server, &peer, span_str("data"), span_of(bytes, sizeof(bytes)));
    send_text(loop.server, &peer, "good", "");
    struct net_peer server = receive_refusal(client.socket, NET_FAULT_PAYLOAD);
    cr_assert(same_key(&server, loop.server_key));
    AUTO(net_message) struct net_message message = {0};
    enum net_fault fault;
    cr_assert_eq(net_socket_recv(client.socket, &server, &message, &fault, 50), NET_AGAIN);
    cr_assert(net_message_make(&message, span_str("hello"), &err));
    cr_assert_eq(net_socket_send(client.socket, NULL, &message, 0), NET_AGAIN);
}

Test(net_socket, a_routing_id_of_the_peers_choice_is_refused_once)
{
    AUTO(loopback) struct loopback loop;
    AUTO(raw) struct raw raw;
    AUTO(client) struct client client;
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    raw_init(&raw, &loop, loop.client_key, span_str("director"));
    for (int i = 0; i < 3; i++)
        raw_send(&raw, "frame", 2);
    struct net_peer refused = receive_refusal(loop.server, NET_FAULT_ROUTE);
    cr_assert(same_key(&refused, loop.client_key));
    client_init(&client, &loop, loop.client_key);
    send_text(client.socket, NULL, "next", "");
    (void)receive_text(loop.server, "next", "");
}

/* Sends until the socket knows that this peer has left; `message` is the one that did not go. */
static void await_unreachable(struct net_socket *server, const struct net_peer *peer,
                              struct net_message *message)
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

/* A connected peer, the server's view of it, and somebody else who was let in. */
struct theft {
    struct loopback loop;
    struct client victim;
    struct net_peer peer;
    struct net_key *thief_key;
    struct raw thief;
};

static void theft_init(struct theft *theft)
{
    loopback_init(&theft->loop, NET_UNKNOWN_REFUSE);
    theft->thief_key = make_key();
    net_zap_allow(theft->loop.zap, DOMAIN, net_key_public(theft->thief_key));
    client_init(&theft->victim, &theft->loop, theft->loop.client_key);
    send_text(theft->victim.socket, NULL, "hello", "");
    theft->peer = receive_text(theft->loop.server, "hello", "");
    (void)await(theft->loop.server_monitor, NET_UP);
}

/* the thief dials, and says something under the victim's route */
static void theft_commit(struct theft *theft)
{
    uint8_t id[NET_ROUTE_LEN];
    net_route_format(theft->peer.route, id);
    raw_init(&theft->thief, &theft->loop, theft->thief_key, span_of(id, sizeof(id)));
    (void)await(theft->loop.server_monitor, NET_UP);
    raw_send(&theft->thief, "stolen", 2);
}

static void theft_deinit(struct theft *theft)
{
    raw_deinit(&theft->thief);
    net_key_free(theft->thief_key);
    loopback_deinit(&theft->loop);
}
DEFINE_AUTO_IN_PLACE(theft, struct theft, theft_deinit)

Test(net_socket, nobody_takes_the_route_of_a_peer_that_is_there)
{
    AUTO(theft) struct theft theft = {0};
    theft_init(&theft);
    theft_commit(&theft);
    send_text(theft.victim.socket, NULL, "still here", "");
    struct net_peer still = receive_text(theft.loop.server, "still here", "");
    cr_assert_eq(still.route, theft.peer.route);
    cr_assert(same_key(&still, theft.loop.client_key));
    send_text(theft.loop.server, &theft.peer, "for the victim", "");
    (void)receive_text(theft.victim.socket, "for the victim", "");
    client_deinit(&theft.victim);
}

Test(net_socket, nobody_takes_the_route_of_a_peer_that_has_left)
{
    AUTO(theft) struct theft theft = {0};
    AUTO(net_message) struct net_message late = {0};
    theft_init(&theft);
    client_deinit(&theft.victim);
    (void)await(theft.loop.server_monitor, NET_DOWN);
    await_unreachable(theft.loop.server, &theft.peer, &late);
    theft_commit(&theft);
    struct net_peer refused = receive_refusal(theft.loop.server, NET_FAULT_ROUTE);
    cr_assert(same_key(&refused, theft.thief_key));
    cr_assert_eq(refused.route, theft.peer.route);
    cr_assert_eq(net_socket_send(theft.loop.server, &theft.peer, &late, 0), NET_UNREACHABLE);
}

Test(net_socket, routes_are_not_the_same_in_every_process)
{
    AUTO(loopback) struct loopback loop;
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    struct net_options options = loopback_server_options(&loop);
    srandom(1); /* rand() as each process finds it */
    AUTO(net_socket) struct net_socket *server = make_socket(&loop, &options);
    attach(server, NET_BIND, "tcp://127.0.0.1:0");
    AUTO(client) struct client client;
    options = loopback_client_options(&loop, loop.client_key);
    client_init_with(&client, &loop, &options, net_socket_bound(server));
    send_text(client.socket, NULL, "hello", "");
    struct net_peer peer = receive_text(server, "hello", "");
    cr_assert_neq(peer.route & 0x7fffffff, 0x6b8b4567);
}

Test(net_socket, a_removed_key_is_refused_on_its_standing_connection_and_at_its_next_dial)
{
    AUTO(loopback) struct loopback loop;
    AUTO(client) struct client client;
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    client_init(&client, &loop, loop.client_key);
    send_text(client.socket, NULL, "hello", "");
    (void)receive_text(loop.server, "hello", "");
    net_zap_remove(loop.zap, DOMAIN, net_key_public(loop.client_key));
    send_text(client.socket, NULL, "hello", "");
    struct net_peer refused = receive_refusal(loop.server, NET_FAULT_KEY);
    cr_assert(same_key(&refused, loop.client_key));
    struct net_monitor_event event = await(client.monitor, NET_FAILED);
    cr_assert_eq(event.cause, NET_CAUSE_AUTH);
    cr_assert_eq(event.detail, 400);
}

Test(net_socket, a_pending_key_is_marked_and_becomes_allowed_where_it_stands)
{
    AUTO(loopback) struct loopback loop;
    AUTO(client) struct client client;
    AUTO(net_key) struct net_key *key = make_key();
    loopback_init(&loop, NET_UNKNOWN_PENDING);
    client_init(&client, &loop, key);
    send_text(client.socket, NULL, "join", "");
    struct net_peer peer = receive_text(loop.server, "join", "");
    cr_assert(same_key(&peer, key));
    cr_assert_eq(peer.standing, NET_STANDING_PENDING);
    net_zap_allow(loop.zap, DOMAIN, net_key_public(key));
    send_text(client.socket, NULL, "hello", "");
    struct net_peer again = receive_text(loop.server, "hello", "");
    cr_assert_eq(again.standing, NET_STANDING_ALLOWED);
    cr_assert_eq(again.route, peer.route);
}

Test(net_socket, dropping_a_peer_ends_its_connection_and_what_it_had_queued)
{
    AUTO(loopback) struct loopback loop;
    AUTO(client) struct client client;
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    client_init(&client, &loop, loop.client_key);
    send_text(client.socket, NULL, "hello", "");
    send_text(client.socket, NULL, "queued", "");
    struct net_peer peer = receive_text(loop.server, "hello", "");
    net_socket_drop(loop.server, &peer);
    struct err err;
    AUTO(net_message) struct net_message message = {0};
    cr_assert(net_message_make(&message, span_str("hello"), &err));
    cr_assert_eq(net_socket_send(loop.server, &peer, &message, 0), NET_UNREACHABLE);
    cr_assert(message.live);
    assert_cut_and_back(&loop, &client, &peer);
}

Test(net_socket, without_a_zap_handler_in_the_context_nobody_gets_in)
{
    struct err err;
    AUTO(loopback) struct loopback loop;
    loopback_init(&loop, NET_UNKNOWN_PENDING);
    struct loopback other = {.server_key = loop.server_key};
    AUTO(net_context) struct net_context *context = NULL;
    cr_assert(net_context_new(1, &context, &err));
    other.context = context;
    struct net_options options = loopback_server_options(&loop);
    AUTO(net_socket) struct net_socket *server = make_socket(&other, &options);
    attach(server, NET_BIND, "tcp://127.0.0.1:0");
    AUTO(client) struct client client;
    options = loopback_client_options(&loop, loop.client_key);
    client_init_with(&client, &loop, &options, net_socket_bound(server));
    (void)await(client.monitor, NET_FAILED);
    AUTO(net_message) struct net_message message = {0};
    cr_assert(net_message_make(&message, span_str("hello"), &err));
    cr_assert_eq(net_socket_send(client.socket, NULL, &message, 0), NET_AGAIN);
}

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
