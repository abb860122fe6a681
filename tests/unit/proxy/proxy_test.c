/* The proxy over real sockets: it runs on a thread, the test is its callers and endpoints. */
#include "bench.h"

#include "common/base/alloc.h"
#include "common/base/tcp.h"
#include "transporter/proxy/core/socks_server.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/time.h>

static int call(const struct address *at)
{
    struct sockaddr_storage to;
    struct timeval patience = {.tv_sec = 10};
    socklen_t len = address_to_sockaddr(at, &to);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    cr_assert_eq(connect(fd, (struct sockaddr *)&to, len), 0);
    return fd;
}

static void put(int fd, const void *bytes, size_t len)
{
    cr_assert_eq(send(fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}

static void expect_bytes(int fd, const void *bytes, size_t len)
{
    uint8_t got[64];
    cr_assert_eq(recv(fd, got, len, MSG_WAITALL), (ssize_t)len);
    cr_assert_arr_eq(got, bytes, len);
}

/* The other side has closed, in whatever way. */
static void expect_end(int fd)
{
    uint8_t byte;
    errno = 0;
    ssize_t got = recv(fd, &byte, 1, 0);
    cr_assert(got == 0 || (got < 0 && errno == ECONNRESET), "%zd %d", got, errno);
}

static void expect_reply(int fd, enum socks_reply reply)
{
    uint8_t bytes[SOCKS_REPLY_LEN];
    socks_write_reply(reply, bytes);
    expect_bytes(fd, bytes, sizeof(bytes));
}

static void ask_name_on(int fd, const char *name, uint16_t port)
{
    AUTO(buf) struct buf request = {0};
    put(fd, "\x05\x01\x00", 3);
    expect_bytes(fd, "\x05\x00", 2);
    buf_put(&request, "\x05\x01\x00\x03", 4);
    buf_put_u8(&request, (uint8_t)strlen(name));
    buf_put_str(&request, name);
    buf_put_u8(&request, (uint8_t)(port >> 8));
    buf_put_u8(&request, (uint8_t)port);
    put(fd, request.data, request.len);
}

static int ask_name(const struct bench *bench, const char *name, uint16_t port)
{
    int fd = call(&bench->at);
    ask_name_on(fd, name, port);
    return fd;
}

#define ID "aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypq"
#define SIDE_A ID ".0.a.rendezvous.sealift"
#define SIDE_B ID ".0.b.rendezvous.sealift"

/* An endpoint at a port of its own. */
static int endpoint(uint16_t *port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(in);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    *port = ntohs(in.sin_port);
    return fd;
}

static void allow_port(struct proxy_settings *settings, uint16_t port)
{
    char rule[32];
    struct err err;
    (void)snprintf(rule, sizeof(rule), "127.0.0.1:%u", port);
    cr_assert(allow_add(&settings->allow, rule, &err));
}

Test(proxy, answers_both_ends_of_a_rendezvous_only_when_both_are_there)
{
    struct proxy_settings settings = bench_settings();
    uint8_t byte;
    AUTO(bench) struct bench bench;
    bench_start(&bench, &settings);
    AUTO(fd) int a = ask_name(&bench, SIDE_A, 1);
    AUTO(fd) int stranger = ask_name(&bench, ID ".1.b.rendezvous.sealift", 1);
    AUTO(fd)
    int refused = ask_name(&bench, "host.invalid", 1); /* when it is answered, the others were heard */
    expect_reply(refused, SOCKS_NOT_ALLOWED);
    cr_assert_lt(recv(a, &byte, 1, MSG_DONTWAIT), 0);
    cr_assert_lt(recv(stranger, &byte, 1, MSG_DONTWAIT), 0);
    AUTO(fd) int b = ask_name(&bench, SIDE_B, 9448);
    put(b, "early", 5);
    expect_reply(a, SOCKS_CONNECTED);
    expect_reply(b, SOCKS_CONNECTED);
    expect_bytes(a, "early", 5);
    put(a, "and back", 8);
    expect_bytes(b, "and back", 8);
}

Test(proxy, passes_the_end_of_one_direction_on_and_keeps_the_other_open)
{
    struct proxy_settings settings = bench_settings();
    AUTO(bench) struct bench bench;
    bench_start(&bench, &settings);
    AUTO(fd) int a = ask_name(&bench, SIDE_A, 1);
    AUTO(fd) int b = ask_name(&bench, SIDE_B, 1);
    expect_reply(a, SOCKS_CONNECTED);
    expect_reply(b, SOCKS_CONNECTED);
    put(a, "last", 4);
    (void)shutdown(a, SHUT_WR);
    expect_bytes(b, "last", 4);
    expect_end(b);
    put(b, "answer", 6);
    expect_bytes(a, "answer", 6);
    (void)shutdown(b, SHUT_WR);
    expect_end(a);
}

Test(proxy, lets_a_newer_dial_of_a_side_take_the_olders_place)
{
    struct proxy_settings settings = bench_settings();
    AUTO(bench) struct bench bench;
    bench_start(&bench, &settings);
    AUTO(fd) int first = ask_name(&bench, SIDE_A, 1);
    AUTO(fd) int second = ask_name(&bench, SIDE_A, 1);
    expect_end(first);
    AUTO(fd) int b = ask_name(&bench, SIDE_B, 1);
    expect_reply(second, SOCKS_CONNECTED);
    expect_reply(b, SOCKS_CONNECTED);
    AUTO(fd) int third = ask_name(&bench, SIDE_A, 1);
    expect_end(second);
    expect_end(b);
    AUTO(fd) int again = ask_name(&bench, SIDE_B, 1);
    expect_reply(third, SOCKS_CONNECTED);
    expect_reply(again, SOCKS_CONNECTED);
}

Test(proxy, forgets_a_side_that_hangs_up_while_it_waits)
{
    struct proxy_settings settings = bench_settings();
    settings.wait_ms = 300;
    AUTO(bench) struct bench bench;
    bench_start(&bench, &settings);
    int gone = ask_name(&bench, SIDE_A, 1);
    (void)close(gone);
    AUTO(fd) int b = ask_name(&bench, SIDE_B, 1);
    expect_reply(b, SOCKS_HOST_UNREACHABLE); /* the watchdog */
    expect_end(b);
}

Test(proxy, dials_what_is_on_the_list_and_says_why_not_otherwise)
{
    struct proxy_settings settings = bench_settings();
    uint16_t open_port, closed_port;
    AUTO(fd) int listening = endpoint(&open_port);
    AUTO(fd) int closed = endpoint(&closed_port);
    cr_assert_eq(listen(listening, 4), 0);
    allow_port(&settings, open_port);
    allow_port(&settings, closed_port);
    AUTO(bench) struct bench bench;
    bench_start(&bench, &settings);
    AUTO(fd) int good = ask_name(&bench, "127.0.0.1", open_port);
    AUTO(fd) int served = accept(listening, NULL, NULL);
    expect_reply(good, SOCKS_CONNECTED);
    put(served, "hello", 5);
    expect_bytes(good, "hello", 5);
    AUTO(fd) int refused = ask_name(&bench, "127.0.0.1", closed_port);
    expect_reply(refused, SOCKS_REFUSED);
    AUTO(fd) int by_name = ask_name(&bench, "localhost", open_port);
    expect_reply(by_name, SOCKS_NOT_ALLOWED);
    AUTO(fd) int misspelt = ask_name(&bench, "A" ID ".0.a.rendezvous.sealift", 1);
    expect_reply(misspelt, SOCKS_NOT_ALLOWED);
    expect_end(misspelt);
}

Test(proxy, refuses_commands_other_than_connect)
{
    struct proxy_settings settings = bench_settings();
    AUTO(bench) struct bench bench;
    bench_start(&bench, &settings);
    AUTO(fd) int fd = call(&bench.at);
    put(fd, "\x05\x01\x00\x05\x02\x00\x01", 7); /* BIND, sent without waiting for the choice */
    expect_bytes(fd, "\x05\x00", 2);
    expect_reply(fd, SOCKS_NO_COMMAND);
    AUTO(fd) int web = call(&bench.at);
    put(web, "GET / HTTP/1.0\r\n", 16);
    expect_end(web);
}

Test(proxy, lets_only_its_users_ask)
{
    struct proxy_settings settings = bench_settings();
    settings.users = xcalloc(1, sizeof(*settings.users));
    settings.user_count = 1;
    settings.users[0] = (struct proxy_user){.name = xstrdup("web"), .password = secret_copy("secret", 6)};
    AUTO(bench) struct bench bench;
    bench_start(&bench, &settings);
    AUTO(fd) int plain = call(&bench.at);
    put(plain, "\x05\x01\x00", 3);
    expect_bytes(plain, "\x05\xff", 2);
    expect_end(plain);
    AUTO(fd) int wrong = call(&bench.at);
    put(wrong, "\x05\x02\x00\x02\x01\x03web\x06secreT", 4 + 12);
    expect_bytes(wrong, "\x05\x02\x01\x01", 4);
    expect_end(wrong);
    AUTO(fd) int right = call(&bench.at);
    put(right, "\x05\x01\x02\x01\x03web\x06secret\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x01", 3 + 12 + 10);
    expect_bytes(right, "\x05\x02\x01\x00", 4);
    expect_reply(right, SOCKS_NOT_ALLOWED);
}

/* More than the proxy reads before it knows: what lies unread when it closes makes the kernel send a reset,
 * which would overtake the answer. */
Test(proxy, a_refused_caller_hears_why_whatever_else_it_has_sent)
{
    static const char *const refused[] = {"\x05\x01\x02",
                                          "\x05\x01\x03"}; /* a login, and what nobody knows */
    struct proxy_settings settings = bench_settings();
    uint8_t more[2000] = {0}, byte;
    AUTO(bench) struct bench bench;
    bench_start(&bench, &settings);
    for (size_t i = 0; i < 2; i++) {
        AUTO(fd) int fd = call(&bench.at);
        memcpy(more, refused[i], 3);
        put(fd, more, sizeof(more));
        struct pollfd end = {.fd = fd, .events = POLLRDHUP};
        cr_assert_eq(poll(&end, 1, 10000), 1, "it closes its half");
        put(fd, "x", 1);
        expect_bytes(fd, "\x05\xff", 2);
        errno = 0;
        cr_assert_eq(recv(fd, &byte, 1, 0), 0, "%d", errno);
    }
}

Test(proxy, drops_who_is_silent_and_what_is_idle)
{
    struct proxy_settings settings = bench_settings();
    settings.handshake_ms = settings.idle_ms = 250;
    AUTO(bench) struct bench bench;
    bench_start(&bench, &settings);
    AUTO(fd) int silent = call(&bench.at);
    put(silent, "\x05", 1);
    expect_end(silent);
    AUTO(fd) int a = ask_name(&bench, SIDE_A, 1);
    AUTO(fd) int b = ask_name(&bench, SIDE_B, 1);
    expect_reply(a, SOCKS_CONNECTED);
    expect_end(a);
}

/* What TCP asks of one that takes nothing is what it asks of one that is gone. */
Test(proxy, drops_who_takes_nothing_for_so_long)
{
    static const uint8_t bytes[1 << 16];
    struct proxy_settings settings = bench_settings();
    settings.silence_ms = 300;
    AUTO(bench) struct bench bench;
    bench_start(&bench, &settings);
    AUTO(fd) int a = ask_name(&bench, SIDE_A, 1);
    AUTO(fd) int b = ask_name(&bench, SIDE_B, 1);
    expect_reply(a, SOCKS_CONNECTED);
    while (send(a, bytes, sizeof(bytes), MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
        continue;
    expect_end(a);
}

Test(proxy, gives_the_place_of_the_oldest_silent_caller_to_a_new_one)
{
    struct proxy_settings settings = bench_settings();
    settings.connections = 2;
    AUTO(bench) struct bench bench;
    bench_start(&bench, &settings);
    AUTO(fd) int oldest = call(&bench.at);
    AUTO(fd) int silent = call(&bench.at);
    AUTO(fd) int a = ask_name(&bench, SIDE_A, 1);
    expect_end(oldest);
    AUTO(fd) int b = ask_name(&bench, SIDE_B, 1);
    expect_end(silent);
    expect_reply(a, SOCKS_CONNECTED);
    expect_reply(b, SOCKS_CONNECTED);
    AUTO(fd) int no_more = call(&bench.at); /* both places are in use */
    expect_end(no_more);
}

Test(proxy, gives_the_place_of_who_waits_longest_to_a_new_one)
{
    struct proxy_settings settings = bench_settings();
    settings.connections = 3;
    AUTO(bench) struct bench bench;
    bench_start(&bench, &settings);
    AUTO(fd) int longest = ask_name(&bench, ID ".1.a.rendezvous.sealift", 1);
    AUTO(fd) int a = ask_name(&bench, SIDE_A, 1);
    AUTO(fd) int refused = ask_name(&bench, "host.invalid", 1); /* when it is answered, the others wait */
    expect_reply(refused, SOCKS_NOT_ALLOWED);
    AUTO(fd) int b = ask_name(&bench, SIDE_B, 1); /* in the place of the one that was refused */
    expect_reply(a, SOCKS_CONNECTED);
    expect_reply(b, SOCKS_CONNECTED);
    AUTO(fd) int newest = call(&bench.at);
    expect_end(longest);
}

Test(proxy, limits_the_connections_of_one_client)
{
    struct proxy_settings settings = bench_settings();
    settings.per_client = 1;
    AUTO(bench) struct bench bench;
    bench_start(&bench, &settings);
    AUTO(fd) int one = ask_name(&bench, SIDE_A, 1);
    AUTO(fd) int two = call(&bench.at);
    expect_end(two);
}

Test(proxy, ends_when_asked_to_though_somebody_waits)
{
    struct proxy_settings settings = bench_settings();
    struct bench bench;
    bench_start(&bench, &settings);
    AUTO(fd) int a = ask_name(&bench, SIDE_A, 1);
    bench_end(&bench);
    cr_assert(bench.ran);
    expect_end(a);
}

/* --- long ways --- */

/* Connections of these ports are measured as long ways. */
static _Atomic uint16_t long_ways[2];

uint64_t __wrap_tcp_trip_us(int fd);

uint64_t __wrap_tcp_trip_us(int fd)
{
    struct sockaddr_in peer = {0};
    socklen_t len = sizeof(peer);
    if (getpeername(fd, (struct sockaddr *)&peer, &len) != 0) return 0;
    const uint16_t port = ntohs(peer.sin_port);
    return port == long_ways[0] || port == long_ways[1] ? TCP_LONG_US : TCP_LONG_US - 1;
}

static uint16_t own_port(int fd)
{
    struct sockaddr_in in = {0};
    socklen_t len = sizeof(in);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    return ntohs(in.sin_port);
}

/* The proxy's end of the connection: it runs in this process. */
static int proxys_end(int caller)
{
    const uint16_t port = own_port(caller);
    for (int fd = 0; fd < 1024; fd++) {
        struct sockaddr_in in = {0};
        socklen_t len = sizeof(in);
        if (getpeername(fd, (struct sockaddr *)&in, &len) == 0 && ntohs(in.sin_port) == port) return fd;
    }
    cr_assert_fail("the proxy has no such connection");
    return -1;
}

static int option(int fd, int level, int name)
{
    int value = 0;
    socklen_t len = sizeof(value);
    cr_assert_eq(getsockopt(fd, level, name, &value, &len), 0);
    return value;
}

/* Else megabytes would lie in its kernel, which by another way had arrived long since. */
Test(proxy, holds_little_for_a_long_way_and_takes_little_from_a_short_one_that_leads_there)
{
    struct proxy_settings settings = bench_settings();
    AUTO(bench) struct bench bench;
    bench_start(&bench, &settings);
    AUTO(fd) int other = ask_name(&bench, ID ".1.a.rendezvous.sealift", 1);
    const int untouched = proxys_end(other);
    for (unsigned far = 0; far < 4; far++) { /* bit 0: the way to a, bit 1: to b */
        AUTO(fd) int a = ask_name(&bench, SIDE_A, 1);
        long_ways[0] = far & 1 ? own_port(a) : 0;
        AUTO(fd) int b = call(&bench.at);
        long_ways[1] = far & 2 ? own_port(b) : 0;
        ask_name_on(b, SIDE_B, 1);
        expect_reply(a, SOCKS_CONNECTED);
        const int ends[2] = {proxys_end(a), proxys_end(b)};
        for (unsigned i = 0; i < 2; i++) {
            const bool is_far = (far >> i & 1) != 0, is_before_far = !is_far && far != 0;
            const int unsent = option(ends[i], IPPROTO_TCP, TCP_NOTSENT_LOWAT);
            cr_assert_eq(unsent != option(untouched, IPPROTO_TCP, TCP_NOTSENT_LOWAT), is_far, "%u %u", far,
                         i);
            cr_assert_eq(option(ends[i], SOL_SOCKET, SO_RCVBUF) != option(untouched, SOL_SOCKET, SO_RCVBUF),
                         is_before_far, "%u %u", far, i);
        }
    }
}
