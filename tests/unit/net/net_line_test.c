#include "common/net/net_line.h"

#include "common/net/net_guard.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

/* Two connected TCP sockets on loopback. */
struct connection {
    int ends[2];
};

static struct connection connect_pair(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(address);
    AUTO(fd) int listener = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert(bind(listener, (struct sockaddr *)&address, len) == 0 && listen(listener, 1) == 0);
    cr_assert_eq(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    struct connection pair;
    pair.ends[0] = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(connect(pair.ends[0], (struct sockaddr *)&address, len), 0);
    pair.ends[1] = accept(listener, NULL, NULL);
    cr_assert_geq(pair.ends[1], 0);
    return pair;
}

static bool is_cut(const struct connection *pair)
{
    char byte;
    return recv(pair->ends[0], &byte, 1, MSG_DONTWAIT) == 0;
}

static void close_pair(struct connection *pair)
{
    close(pair->ends[0]);
    close(pair->ends[1]);
}
DEFINE_AUTO_IN_PLACE(connection, struct connection, close_pair)

Test(net_line, a_cut_ends_the_connection)
{
    AUTO(connection) struct connection pair = connect_pair();
    struct net_line line = net_line_of(pair.ends[1], "127.0.0.1");
    cr_assert(!is_cut(&pair));
    net_line_cut(&line);
    cr_assert(is_cut(&pair));
}

Test(net_line, does_not_lead_to_another_address)
{
    AUTO(connection) struct connection pair = connect_pair();
    struct net_line line = net_line_of(pair.ends[1], "127.0.0.2");
    cr_assert_eq(line.fd, -1);
    net_line_cut(&line);
    cr_assert(!is_cut(&pair));
}

Test(net_line, spares_a_descriptor_that_went_to_another_connection)
{
    AUTO(connection) struct connection old = connect_pair();
    AUTO(connection) struct connection young = connect_pair();
    uint64_t received;
    struct net_line line = net_line_of(old.ends[1], "127.0.0.1");
    cr_assert_geq(dup2(young.ends[1], old.ends[1]), 0);
    cr_assert(!net_line_received(&line, &received));
    net_line_cut(&line);
    cr_assert(!is_cut(&young));
}

Test(net_line, leads_nowhere_from_what_is_not_a_connection)
{
    AUTO(fd) int unconnected = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(net_line_of(-1, NULL).fd, -1);
    cr_assert_eq(net_line_of(1 << 20, NULL).fd, -1);
    cr_assert_eq(net_line_of(STDERR_FILENO, NULL).fd, -1);
    cr_assert_eq(net_line_of(unconnected, NULL).fd, -1);
}

static void send_bytes_over(const struct connection *pair, size_t len)
{
    static char bytes[1000];
    char got[1000];
    cr_assert_eq(send(pair->ends[0], bytes, len, 0), (ssize_t)len);
    cr_assert_eq(recv(pair->ends[1], got, len, MSG_WAITALL), (ssize_t)len);
}

Test(net_line, counts_what_was_received)
{
    AUTO(connection) struct connection pair = connect_pair();
    struct net_line line = net_line_of(pair.ends[1], NULL);
    uint64_t received = 99;
    cr_assert(net_line_received(&line, &received));
    cr_assert_eq(received, 0);
    send_bytes_over(&pair, 1000);
    cr_assert(net_line_received(&line, &received));
    cr_assert_eq(received, 1000);
}

Test(net_guard, cuts_a_connection_that_sends_past_its_limit_without_a_message)
{
    AUTO(net_guard) struct net_guard *guard = net_guard_new(1500, 100);
    AUTO(connection) struct connection good = connect_pair();
    AUTO(connection) struct connection bad = connect_pair();
    net_guard_opened(guard, good.ends[1]);
    net_guard_opened(guard, bad.ends[1]);
    for (size_t i = 0; i < 2; i++) {
        send_bytes_over(&good, 1000);
        send_bytes_over(&bad, 1000);
        net_guard_progress(guard, good.ends[1]);
        cr_assert_eq(net_guard_pass(guard), i);
    }
    cr_assert(is_cut(&bad));
    cr_assert(!is_cut(&good));
    cr_assert_eq(net_guard_pass(guard), 0);
    send_bytes_over(&good, 500);
    cr_assert_eq(net_guard_pass(guard), 0);
    send_bytes_over(&good, 1000);
    cr_assert_eq(net_guard_pass(guard), 0, "exactly the limit");
    send_bytes_over(&good, 1);
    cr_assert_eq(net_guard_pass(guard), 1);
}

Test(net_guard, leaves_alone_what_it_was_told_is_closed)
{
    AUTO(net_guard) struct net_guard *guard = net_guard_new(10, 100);
    AUTO(connection) struct connection pair = connect_pair();
    net_guard_opened(guard, pair.ends[1]);
    (void)net_guard_closed(guard, pair.ends[1], (char[NET_GUARD_ADDRESS_MAX + 1]){0});
    (void)net_guard_closed(guard, 1 << 20, (char[NET_GUARD_ADDRESS_MAX + 1]){0});
    net_guard_progress(guard, -1);
    net_guard_opened(guard, -1);
    send_bytes_over(&pair, 100);
    cr_assert_eq(net_guard_pass(guard), 0);
    cr_assert(!is_cut(&pair));
}

Test(net_guard, sheds_the_oldest_silent_connections_and_keeps_who_has_spoken)
{
    enum { MOST = 8, ALL = 12 };
    AUTO(net_guard) struct net_guard *guard = net_guard_new(1500, MOST);
    struct connection pairs[ALL];
    for (size_t i = 0; i < ALL; i++) {
        pairs[i] = connect_pair();
        net_guard_opened(guard, pairs[i].ends[1]);
        if (i == 0) net_guard_progress(guard, pairs[i].ends[1]);
        if (i == MOST) cr_assert_eq(net_guard_shed(guard), 0, "as many as may be");
    }
    cr_assert(!is_cut(&pairs[0]), "one that has spoken was cut");
    cr_assert(is_cut(&pairs[1]) && is_cut(&pairs[2]), "the oldest stay");
    cr_assert(!is_cut(&pairs[ALL - 1]) && !is_cut(&pairs[ALL - 2]), "the newest were cut");
    cr_assert_geq(net_guard_shed(guard), ALL - 1 - MOST);
    cr_assert_eq(net_guard_shed(guard), 0);
    for (size_t i = 0; i < ALL; i++)
        close_pair(&pairs[i]);
}

Test(net_guard, tells_whose_connection_ended_without_a_message)
{
    char address[NET_GUARD_ADDRESS_MAX + 1];
    AUTO(net_guard) struct net_guard *guard = net_guard_new(1500, 100);
    AUTO(connection) struct connection silent = connect_pair();
    AUTO(connection) struct connection good = connect_pair();
    net_guard_opened(guard, silent.ends[1]);
    net_guard_opened(guard, good.ends[1]);
    net_guard_progress(guard, good.ends[1]);
    cr_assert(net_guard_closed(guard, silent.ends[1], address));
    cr_assert_str_eq(address, "127.0.0.1");
    cr_assert(!net_guard_closed(guard, silent.ends[1], address), "it had ended already");
    cr_assert(!net_guard_closed(guard, good.ends[1], address));
}

Test(net_line, knows_how_long_its_way_is)
{
    AUTO(connection) struct connection pair = connect_pair();
    int ends[2];
    struct net_line line = net_line_of(pair.ends[0], NULL);
    uint64_t trip_us = net_line_trip_us(&line);
    cr_assert(trip_us > 0 && trip_us < 1000000, "%llu us over the loopback", (unsigned long long)trip_us);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    line = net_line_of(ends[0], NULL);
    cr_assert_eq(net_line_trip_us(&line), 0, "none is measured");
    close(ends[0]);
    close(ends[1]);
}

Test(net_line, that_is_kept_short_takes_little_that_it_cannot_send)
{
    AUTO(connection) struct connection pair = connect_pair();
    struct net_line line = net_line_of(pair.ends[0], NULL);
    int unsent = 0;
    socklen_t len = sizeof(unsent);
    net_line_keep_short(&line);
    cr_assert_eq(getsockopt(pair.ends[0], IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, &len), 0);
    cr_assert(unsent > 0 && unsent <= 1 << 20, "%d", unsent);
}
