/* One try to connect, and what is said about it. */
#include "common/net/net_logins.h"
#include "common/net/net_reach.h"

#include "loopback.h"
#include "socks_peer.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static struct net_reach_result reach(const char *address, const char *socks5)
{
    const struct net_reach_try try = {.address = address, .socks5 = socks5, .timeout_ms = DEADLINE_MS};
    return net_reach(&try);
}

static void assert_result(struct net_reach_result result, enum net_reach_reason reason,
                          enum net_reach_end end, const char *text)
{
    char got[NET_REACH_TEXT_MAX];
    net_reach_text(&result, got);
    cr_assert_eq(result.reason, reason, "%s", got);
    cr_assert_eq(result.end, end, "%s", got);
    cr_assert_str_eq(got, text);
}

Test(net_reach, texts_say_what_to_look_at)
{
    static const struct {
        struct net_reach_result result;
        const char *text;
    } cases[] = {
        {{NET_REACHED, NET_REACH_BEHIND_PROXY, 0, 0, 0}, "reached"},
        {{NET_REACH_REFUSED, NET_REACH_TARGET, ECONNREFUSED, 0, 0},
         "refused: nobody listens there, or a firewall rejects it"},
        {{NET_REACH_NO_ANSWER, NET_REACH_TARGET, 0, 9600, 0},
         "no answer within 10 s: a firewall may drop it, or the host is off"},
        {{NET_REACH_NO_ANSWER, NET_REACH_PROXY, 0, 200, 0},
         "the proxy: no answer within 200 ms: a firewall may drop it, or the host is off"},
        {{NET_REACH_NO_ROUTE, NET_REACH_TARGET, ENETUNREACH, 0, 0}, "no route: Network is unreachable"},
        {{NET_REACH_NAME_UNKNOWN, NET_REACH_PROXY, EAI_NONAME, 0, 0},
         "the proxy: the name cannot be looked up: Name or service not known"},
        {{NET_REACH_SYSTEM, NET_REACH_TARGET, EMFILE, 0, 0}, "cannot connect: Too many open files"},
        {{NET_REACH_SYSTEM, NET_REACH_BEHIND_PROXY, EIO, 0, 0}, "cannot connect: Input/output error"},
        {{NET_REACH_NO_ANSWER, NET_REACH_BEHIND_PROXY, 0, 3000, 0},
         "the proxy does not say within 3 s that it connected"},
        {{NET_REACH_NO_ANSWER, NET_REACH_BEHIND_PROXY, 4, 0, 0},
         "the proxy cannot connect: host unreachable, or its name is unknown there"},
        {{NET_REACH_REFUSED, NET_REACH_BEHIND_PROXY, 5, 0, 0},
         "the proxy cannot connect: connection refused"},
        {{NET_REACH_NOT_ALLOWED, NET_REACH_BEHIND_PROXY, 2, 0, 0},
         "the proxy cannot connect: not allowed by its rules"},
        {{NET_REACH_CANNOT, NET_REACH_BEHIND_PROXY, 1, 0, 0}, "the proxy cannot connect: general failure"},
        {{NET_REACH_CANNOT, NET_REACH_BEHIND_PROXY, 255, 0, 0},
         "the proxy cannot connect: an unknown reason"},
        {{NET_REACH_LOGIN_WANTED, NET_REACH_PROXY, 0, 0, 0}, "the proxy wants a user and a password"},
        {{NET_REACH_LOGIN_REFUSED, NET_REACH_PROXY, 0, 0, 0}, "the proxy refuses the user or the password"},
        {{NET_REACH_BAD_ADDRESS, NET_REACH_TARGET, 0, 0, 0}, "not a HOST:PORT"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[NET_REACH_TEXT_MAX];
        net_reach_text(&cases[i].result, text);
        cr_assert_str_eq(text, cases[i].text);
    }
}

Test(net_reach, every_reason_has_a_text_and_a_code)
{
    for (int reason = NET_REACHED; reason <= NET_REACH_SYSTEM; reason++)
        for (int end = NET_REACH_TARGET; end <= NET_REACH_BEHIND_PROXY; end++) {
            char text[NET_REACH_TEXT_MAX];
            const struct net_reach_result result = {.reason = (enum net_reach_reason)reason,
                                                    .end = (enum net_reach_end)end};
            net_reach_text(&result, text);
            cr_assert(strlen(text) > 5 && strlen(text) < NET_REACH_TEXT_MAX - 1);
            cr_assert_eq(net_reach_code(result.reason) == ERR_NONE, reason == NET_REACHED);
        }
}

Test(net_reach, straight_it_says_reached_refused_or_unknown)
{
    char address[64];
    AUTO(fd) int listener = socks_peer_listen(address);
    assert_result(reach(address, NULL), NET_REACHED, NET_REACH_TARGET, "reached");
    close(listener);
    listener = -1;
    assert_result(reach(address, NULL), NET_REACH_REFUSED, NET_REACH_TARGET,
                  "refused: nobody listens there, or a firewall rejects it");
    cr_assert_eq(reach("no-such-host.invalid:1", NULL).reason, NET_REACH_NAME_UNKNOWN);
    cr_assert_eq(reach("no-port", NULL).reason, NET_REACH_BAD_ADDRESS);
    cr_assert_eq(reach("host:1", "no-port").end, NET_REACH_PROXY);
}

Test(net_reach, a_proxy_that_cannot_be_reached_is_told_from_what_is_behind)
{
    char address[64];
    AUTO(fd) int listener = socks_peer_listen(address);
    close(listener);
    listener = -1;
    assert_result(reach("target:7", address), NET_REACH_REFUSED, NET_REACH_PROXY,
                  "the proxy: refused: nobody listens there, or a firewall rejects it");
}

Test(net_reach, a_host_that_drops_is_no_answer_after_the_time)
{
    /* a full queue of calls that nobody takes is what a firewall that drops looks like */
    struct sockaddr_storage name;
    socklen_t len = sizeof(name);
    char address[64];
    int callers[16];
    AUTO(fd) int listener = socks_peer_listen(address);
    cr_assert_eq(listen(listener, 0), 0);
    cr_assert_eq(getsockname(listener, (struct sockaddr *)&name, &len), 0);
    for (size_t i = 0; i < 16; i++) {
        callers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)!connect(callers[i], (struct sockaddr *)&name, len);
    }
    const struct net_reach_try try = {.address = address, .timeout_ms = 100};
    const struct net_reach_result result = net_reach(&try);
    cr_assert_eq(result.reason, NET_REACH_NO_ANSWER);
    cr_assert(result.waited_ms >= 100 && result.waited_ms < DEADLINE_MS, "%d ms", result.waited_ms);
    for (size_t i = 0; i < 16; i++)
        close(callers[i]);
}

Test(net_reach, is_given_up_when_it_is_told_to)
{
    struct err err;
    char address[64];
    AUTO(net_wake) struct net_wake wake = {-1};
    AUTO(fd) int listener = socks_peer_listen(address);
    cr_assert(net_wake_init(&wake, &err));
    net_wake_signal(&wake);
    const struct net_reach_try try = {
        .address = "target:7", .socks5 = address, .timeout_ms = DEADLINE_MS, .give_up = &wake};
    cr_assert_eq(net_reach(&try).reason, NET_REACH_GIVEN_UP);
}

/* What a proxy says, step by step, and what is to come of it. */
static const struct {
    struct socks_peer_step steps[4];
    enum { NOBODY, ME } login;
    enum net_reach_reason reason;
    enum net_reach_end end;
} talks[] = {
    {{{"\5\1\0", 3, "\5\0", 2}, {"\5\1\0\3\6target\0\7", 13, "\5\0\0\1\0\0\0\0\0\0", 10}},
     NOBODY,
     NET_REACHED,
     NET_REACH_BEHIND_PROXY},
    {{{"\5\2\0\2", 4, "\5\0", 2}, {"\5\1\0\3\6target\0\7", 13, "\5\0\0\1\0\0\0\0\0\0", 10}},
     ME,
     NET_REACHED,
     NET_REACH_BEHIND_PROXY},
    {{{"\5\2\0\2", 4, "\5\2", 2},
      {"\1\2me\6secret", 11, "\1\0", 2},
      {"\5\1\0\3\6target\0\7", 13, "\5\0\0\3\1x\0\0", 8}},
     ME,
     NET_REACHED,
     NET_REACH_BEHIND_PROXY},
    {{{"\5\2\0\2", 4, "\5\2", 2}, {"\1\2me\6secret", 11, "\1\1", 2}},
     ME,
     NET_REACH_LOGIN_REFUSED,
     NET_REACH_PROXY},
    {{{"\5\2\0\2", 4, "\5\2", 2}, {"\1\2me\6secret", 11, "", 0}},
     ME,
     NET_REACH_LOGIN_REFUSED,
     NET_REACH_PROXY},
    {{{"\5\2\0\2", 4, "\5\xff", 2}}, ME, NET_REACH_LOGIN_REFUSED, NET_REACH_PROXY},
    {{{"\5\1\0", 3, "\5\xff", 2}}, NOBODY, NET_REACH_LOGIN_WANTED, NET_REACH_PROXY},
    {{{"\5\1\0", 3, "\5\2", 2}}, NOBODY, NET_REACH_LOGIN_WANTED, NET_REACH_PROXY},
    {{{"\5\1\0", 3, "HTTP/1.1 400 Bad Request\r\n", 26}}, NOBODY, NET_REACH_NOT_SOCKS5, NET_REACH_PROXY},
    {{{"\5\1\0", 3, "", 0}}, NOBODY, NET_REACH_CLOSED, NET_REACH_PROXY},
    {{{"\5\1\0", 3, "\5\0", 2}, {"\5\1\0\3\6target\0\7", 13, "\5\0\0", 3}},
     NOBODY,
     NET_REACH_CLOSED,
     NET_REACH_BEHIND_PROXY},
    {{{"\5\1\0", 3, "\5\0", 2}, {"\5\1\0\3\6target\0\7", 13, "\5\2\0\1\0\0\0\0\0\0", 10}},
     NOBODY,
     NET_REACH_NOT_ALLOWED,
     NET_REACH_BEHIND_PROXY},
    {{{"\5\1\0", 3, "\5\0", 2}, {"\5\1\0\3\6target\0\7", 13, "\5\5\0\1\0\0\0\0\0\0", 10}},
     NOBODY,
     NET_REACH_REFUSED,
     NET_REACH_BEHIND_PROXY},
    {{{"\5\1\0", 3, "\5\0", 2}, {"\5\1\0\3\6target\0\7", 13, "\5\3\0\1\0\0\0\0\0\0", 10}},
     NOBODY,
     NET_REACH_NO_ROUTE,
     NET_REACH_BEHIND_PROXY},
};

Test(net_reach, each_thing_that_a_proxy_can_say_has_its_reason)
{
    AUTO(secret) struct secret *password = secret_copy("secret", 6);
    for (size_t i = 0; i < sizeof(talks) / sizeof(talks[0]); i++) {
        struct err err;
        struct socks_peer peer;
        AUTO(net_logins) struct net_logins *logins = NULL;
        socks_peer_start(&peer, talks[i].steps, 4);
        const struct login login = {.address = peer.address, .user = (char[]){"me"}, .password = password};
        cr_assert(net_logins_of(&login, talks[i].login == ME ? 1 : 0, &logins, &err), "%s", err.text);
        const struct net_reach_try try = {
            .address = "target:7", .socks5 = peer.address, .logins = logins, .timeout_ms = DEADLINE_MS};
        const struct net_reach_result result = net_reach(&try);
        cr_assert_eq(socks_peer_join(&peer), 0, "case %zu: other bytes than expected", i);
        cr_assert_eq(result.reason, talks[i].reason, "case %zu: %d", i, result.reason);
        cr_assert_eq(result.end, talks[i].end, "case %zu", i);
    }
}
