/* What net_socket refuses, and whom. */
#include "common/net/net_socket.h"

#include "common/net/net_routes.h"
#include "loopback.h"
#include "raw.h"

#include <criterion/criterion.h>
#include <string.h>

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
    for (const long deadline = now_ms() + 6 * DEADLINE_MS; cut == 0 && now_ms() < deadline;) {
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
