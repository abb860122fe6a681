#include "common/net/net_monitor.h"

#include "loopback.h"

#include <criterion/criterion.h>
#include <string.h>

Test(net_monitor, tells_of_up_and_down_at_both_ends)
{
    AUTO(loopback) struct loopback loop;
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    struct client client;
    client_init(&client, &loop, loop.client_key);
    struct net_monitor_event event = await(client.monitor, NET_UP);
    cr_assert_str_eq(event.address, loop.address);
    cr_assert_eq(event.cause, NET_CAUSE_NONE);
    event = await(loop.server_monitor, NET_UP);
    cr_assert_str_eq(event.address, loop.address);
    client_deinit(&client);
    (void)await(loop.server_monitor, NET_DOWN);
}

Test(net_monitor, tells_a_client_that_zap_refused_it)
{
    AUTO(loopback) struct loopback loop;
    AUTO(client) struct client client;
    AUTO(net_key) struct net_key *stranger = make_key();
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    client_init(&client, &loop, stranger);
    struct net_monitor_event event = await(client.monitor, NET_FAILED);
    cr_assert_eq(event.cause, NET_CAUSE_AUTH);
    cr_assert_eq(event.detail, 400);
    event = await(loop.server_monitor, NET_FAILED);
    cr_assert_eq(event.cause, NET_CAUSE_AUTH);
    cr_assert_eq(event.detail, 400);
}

Test(net_monitor, tells_a_client_of_a_wrong_server_key)
{
    AUTO(loopback) struct loopback loop;
    AUTO(client) struct client client;
    AUTO(net_key) struct net_key *wrong = make_key();
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    struct net_options options = loopback_client_options(&loop, loop.client_key);
    options.server_key = net_key_public(wrong);
    client_init_with(&client, &loop, &options, loop.address);
    struct net_monitor_event event = await(client.monitor, NET_FAILED);
    cr_assert_eq(event.cause, NET_CAUSE_UNKNOWN);
    event = await(loop.server_monitor, NET_FAILED);
    cr_assert_eq(event.cause, NET_CAUSE_PROTOCOL);
    struct err err;
    AUTO(net_message) struct net_message message = {0};
    cr_assert(net_message_make(&message, span_str("hello"), &err));
    cr_assert_eq(net_socket_send(client.socket, NULL, &message, 0), NET_AGAIN);
}

Test(net_monitor, tells_that_nobody_listens)
{
    AUTO(loopback) struct loopback loop;
    AUTO(client) struct client client;
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    struct net_options options = loopback_client_options(&loop, loop.client_key);
    client_init_with(&client, &loop, &options, "tcp://127.0.0.1:1");
    struct net_monitor_event event = await(client.monitor, NET_RETRIED);
    cr_assert_str_eq(event.address, "tcp://127.0.0.1:1");
}

Test(net_monitor, has_nothing_to_say_before_anything_happens)
{
    AUTO(loopback) struct loopback loop;
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    struct net_monitor_event event;
    cr_assert(!net_monitor_take(loop.server_monitor, &event));
}

Test(net_monitor, a_socket_outlives_its_monitor)
{
    AUTO(loopback) struct loopback loop;
    AUTO(client) struct client client;
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    client_init(&client, &loop, loop.client_key);
    send_text(client.socket, NULL, "hello", "");
    (void)receive_text(loop.server, "hello", "");
    net_monitor_free(loop.server_monitor);
    loop.server_monitor = NULL;
    send_text(client.socket, NULL, "hello", "");
    (void)receive_text(loop.server, "hello", "");
}
