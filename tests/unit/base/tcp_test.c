#include "common/base/tcp.h"

#include "common/base/auto.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

/* Two ends of a connection over the loopback. */
struct ends {
    int fds[2];
};

static void ends_deinit(struct ends *ends)
{
    auto_close_fd(ends->fds[0]);
    auto_close_fd(ends->fds[1]);
}
DEFINE_AUTO_IN_PLACE(ends, struct ends, ends_deinit)

static struct ends connect_ends(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    AUTO(fd) int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct ends ends = {{socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), -1}};
    cr_assert_eq(bind(listener, (struct sockaddr *)&at, sizeof(at)), 0);
    cr_assert_eq(listen(listener, 1), 0);
    cr_assert_eq(getsockname(listener, (struct sockaddr *)&at, &len), 0);
    cr_assert_eq(connect(ends.fds[0], (struct sockaddr *)&at, sizeof(at)), 0);
    ends.fds[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    cr_assert_geq(ends.fds[1], 0);
    return ends;
}

static int option(int fd, int level, int name)
{
    int value = 0;
    socklen_t len = sizeof(value);
    cr_assert_eq(getsockopt(fd, level, name, &value, &len), 0);
    return value;
}

Test(tcp, knows_the_round_trip_of_either_end)
{
    AUTO(ends) struct ends ends = connect_ends();
    for (int i = 0; i < 2; i++) {
        const uint64_t trip_us = tcp_trip_us(ends.fds[i]);
        cr_assert(trip_us > 0 && trip_us < 1000000, "%llu us over the loopback", (unsigned long long)trip_us);
    }
}

Test(tcp, watches_within_the_time_also_where_nothing_is_under_way)
{
    static const int silences_ms[] = {300, 2000, 20000, 600000};
    AUTO(ends) struct ends ends = connect_ends();
    for (size_t i = 0; i < sizeof(silences_ms) / sizeof(silences_ms[0]); i++) {
        tcp_watch(ends.fds[0], silences_ms[i]);
        cr_assert_eq(option(ends.fds[0], IPPROTO_TCP, TCP_USER_TIMEOUT), silences_ms[i]);
        const int asked_s = option(ends.fds[0], IPPROTO_TCP, TCP_KEEPIDLE) +
                            4 * option(ends.fds[0], IPPROTO_TCP, TCP_KEEPINTVL);
        cr_assert(asked_s <= silences_ms[i] / 1000 || asked_s == 5, "%d s of %d ms", asked_s, silences_ms[i]);
    }
    cr_assert_eq(option(ends.fds[0], SOL_SOCKET, SO_KEEPALIVE), 1);
    cr_assert_eq(option(ends.fds[0], IPPROTO_TCP, TCP_NODELAY), 1);
}

Test(tcp, that_is_kept_short_holds_little_unsent)
{
    AUTO(ends) struct ends ends = connect_ends();
    tcp_keep_short(ends.fds[0]);
    const int unsent = option(ends.fds[0], IPPROTO_TCP, TCP_NOTSENT_LOWAT);
    cr_assert(unsent > 0 && unsent <= 1 << 20, "%d", unsent);
}

Test(tcp, that_takes_little_holds_less_than_its_sender_would_give)
{
    static const uint8_t bytes[1 << 16];
    size_t taken = 0;
    AUTO(ends) struct ends ends = connect_ends();
    tcp_take_little(ends.fds[1]);
    tcp_keep_short(ends.fds[0]);
    for (ssize_t sent; (sent = send(ends.fds[0], bytes, sizeof(bytes), MSG_DONTWAIT)) > 0;)
        taken += (size_t)sent;
    cr_assert_lt(taken, 4U << 20, "%zu in both kernels", taken);
}

Test(tcp, leaves_what_is_no_tcp_as_it_is)
{
    struct ends ends;
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.fds), 0);
    AUTO(ends) struct ends closed = ends;
    cr_assert_eq(tcp_trip_us(closed.fds[0]), 0);
    tcp_watch(closed.fds[0], 1000);
    tcp_keep_short(closed.fds[0]);
    cr_assert_eq(send(closed.fds[0], "x", 1, 0), 1);
}
