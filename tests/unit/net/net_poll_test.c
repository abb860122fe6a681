#include "common/net/net_poll.h"

#include "common/net/net_wake.h"
#include "loopback.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <sys/timerfd.h>

static void *wake_up(void *argument)
{
    net_wake_signal(argument);
    return NULL;
}

Test(net_poll, is_woken_by_another_thread)
{
    struct err err;
    pthread_t thread;
    AUTO(net_wake) struct net_wake wake = {.fd = -1};
    cr_assert(net_wake_init(&wake, &err), "%s", err.text);
    cr_assert_eq(pthread_create(&thread, NULL, wake_up, &wake), 0);
    struct net_poll_item item = net_poll_fd(wake.fd, NET_READABLE);
    cr_assert(net_poll_wait(&item, 1, DEADLINE_MS, &err));
    cr_assert_eq(item.ready, NET_READABLE);
    (void)pthread_join(thread, NULL);
}

Test(net_poll, many_signals_are_one_until_cleared)
{
    struct err err;
    AUTO(net_wake) struct net_wake wake = {.fd = -1};
    cr_assert(net_wake_init(&wake, &err));
    struct net_poll_item item = net_poll_fd(wake.fd, NET_READABLE);
    for (int i = 0; i < 5; i++)
        net_wake_signal(&wake);
    net_wake_clear(&wake);
    cr_assert(net_poll_wait(&item, 1, 0, &err));
    cr_assert_eq(item.ready, 0);
    net_wake_clear(&wake); /* does not block */
    net_wake_signal(&wake);
    cr_assert(net_poll_wait(&item, 1, 0, &err));
    cr_assert_eq(item.ready, NET_READABLE);
}

Test(net_poll, tells_which_of_many_are_ready)
{
    struct err err;
    AUTO(loopback) struct loopback loop;
    AUTO(client) struct client client;
    AUTO(net_wake) struct net_wake wake = {.fd = -1};
    AUTO(fd) int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    const struct itimerspec soon = {.it_value = {.tv_nsec = 1}};
    cr_assert(net_wake_init(&wake, &err));
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    client_init(&client, &loop, loop.client_key);
    struct net_poll_item items[] = {net_poll_socket(loop.server, NET_READABLE),
                                    net_poll_monitor(loop.server_monitor), net_poll_fd(wake.fd, NET_READABLE),
                                    net_poll_fd(timer, NET_READABLE),
                                    net_poll_socket(client.socket, NET_READABLE | NET_WRITABLE)};
    (void)await(client.monitor, NET_UP);
    (void)await(loop.server_monitor, NET_UP);
    cr_assert(net_poll_wait(items, 5, DEADLINE_MS, &err));
    cr_assert_eq(items[0].ready, 0);
    cr_assert_eq(items[1].ready, 0);
    cr_assert_eq(items[2].ready, 0);
    cr_assert_eq(items[3].ready, 0);
    cr_assert_eq(items[4].ready, NET_WRITABLE);

    send_text(client.socket, NULL, "hello", "");
    cr_assert(net_poll_wait(items, 4, DEADLINE_MS, &err));
    cr_assert_eq(items[0].ready, NET_READABLE);
    (void)receive_text(loop.server, "hello", "");
    cr_assert_eq(timerfd_settime(timer, 0, &soon, NULL), 0);
    cr_assert(net_poll_wait(items, 4, DEADLINE_MS, &err));
    cr_assert_eq(items[0].ready, 0);
    cr_assert_eq(items[3].ready, NET_READABLE);
}

Test(net_poll, gives_up_in_time_with_nothing_ready)
{
    struct err err;
    AUTO(loopback) struct loopback loop;
    loopback_init(&loop, NET_UNKNOWN_REFUSE);
    struct net_poll_item item = net_poll_socket(loop.server, NET_READABLE);
    item.ready = NET_READABLE;
    cr_assert(net_poll_wait(&item, 1, 20, &err));
    cr_assert_eq(item.ready, 0);
    cr_assert(net_poll_wait(NULL, 0, 1, &err));
}

Test(net_poll, a_hung_up_descriptor_is_ready)
{
    struct err err;
    int pipes[2];
    cr_assert_eq(pipe(pipes), 0);
    close(pipes[0]);
    struct net_poll_item item = net_poll_fd(pipes[1], NET_WRITABLE);
    cr_assert(net_poll_wait(&item, 1, DEADLINE_MS, &err));
    cr_assert_eq(item.ready, NET_WRITABLE);
    item = net_poll_fd(pipes[1], NET_READABLE);
    cr_assert(net_poll_wait(&item, 1, DEADLINE_MS, &err));
    cr_assert_eq(item.ready, NET_READABLE);
    close(pipes[1]);
}
