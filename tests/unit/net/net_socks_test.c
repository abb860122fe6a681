#include "common/net/net_socks.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct net_host_port parsed(const char *text)
{
    struct err err;
    struct net_host_port out = {.port = 0};
    cr_assert(net_host_port_parse(text, &out, &err), "%s", err.text);
    return out;
}

Test(net_socks, takes_host_and_port_apart)
{
    static const struct {
        const char *text;
        const char *host;
        uint16_t port;
    } cases[] = {{"proxy.example:1080", "proxy.example", 1080},
                 {"192.0.2.1:1", "192.0.2.1", 1},
                 {"[2001:db8::1]:65535", "2001:db8::1", 65535},
                 {"a:00080", "a", 80}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct net_host_port out = parsed(cases[i].text);
        cr_assert_str_eq(out.host, cases[i].host);
        cr_assert_eq(out.port, cases[i].port);
    }
}

Test(net_socks, refuses_what_is_not_a_host_and_a_port)
{
    static const char *const bad[] = {"",        ":",       "host",           "host:",
                                      ":80",     "host:0",  "host:65536",     "host:-1",
                                      "host:+1", "host: 1", "host:1x",        "host:000080",
                                      "[]:80",   "::1:80",  "2001:db8::1:80", "host:99999999999999999999"};
    char long_host[NET_HOST_MAX + 8];
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct err err;
        struct net_host_port out = {.port = 7};
        cr_assert(!net_host_port_parse(bad[i], &out, &err), "'%s'", bad[i]);
        cr_assert_eq(err.code, ERR_CONFIG);
        cr_assert_eq(out.port, 7);
    }
    for (size_t len = NET_HOST_MAX; len <= NET_HOST_MAX + 1; len++) {
        struct err err;
        struct net_host_port out;
        memset(long_host, 'h', len);
        (void)snprintf(long_host + len, sizeof(long_host) - len, ":80");
        cr_assert_eq(net_host_port_parse(long_host, &out, &err), len == NET_HOST_MAX);
    }
}

static void assert_request(const char *target, const void *expected, size_t len)
{
    uint8_t out[NET_SOCKS_REQUEST_MAX];
    struct net_host_port host_port = parsed(target);
    cr_assert_eq(net_socks_request(&host_port, out), len, "%s", target);
    cr_assert_arr_eq(out, expected, len);
}

Test(net_socks, requests_are_those_of_rfc_1928)
{
    cr_assert_arr_eq(net_socks_greeting, "\5\1\0", 3);
    assert_request("192.0.2.1:4711", "\5\1\0\1\xc0\0\2\1\x12\x67", 10);
    assert_request("[2001:db8::1]:80", "\5\1\0\4\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1\0\x50", 22);
    assert_request("ab.c:256", "\5\1\0\3\4ab.c\1\0", 11);
}

Test(net_socks, the_longest_name_fits)
{
    char text[NET_HOST_MAX + 8];
    uint8_t out[NET_SOCKS_REQUEST_MAX];
    memset(text, 'h', NET_HOST_MAX);
    (void)snprintf(text + NET_HOST_MAX, 8, ":80");
    struct net_host_port host_port = parsed(text);
    cr_assert_eq(net_socks_request(&host_port, out), NET_SOCKS_REQUEST_MAX);
    cr_assert_eq(out[4], NET_HOST_MAX);
}

Test(net_socks, only_version_5_without_authentication_is_a_choice)
{
    for (unsigned version = 0; version < 256; version++)
        for (unsigned method = 0; method < 256; method++) {
            struct err err;
            const uint8_t choice[] = {(uint8_t)version, (uint8_t)method};
            cr_assert_eq(net_socks_check_choice(choice, &err), version == 5 && method == 0);
        }
    struct err err;
    cr_assert(!net_socks_check_choice((const uint8_t *)"\5\xff", &err));
    cr_assert_str_eq(err.text, "the proxy wants a user and a password");
}

Test(net_socks, a_reply_says_how_much_follows)
{
    static const struct {
        uint8_t head[5];
        size_t tail_len;
    } cases[] = {
        {{5, 0, 0, 1, 127}, 5}, {{5, 0, 0, 4, 0x20}, 17}, {{5, 0, 0, 3, 0}, 2}, {{5, 0, 0, 3, 255}, 257}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct err err;
        size_t tail_len = 0;
        cr_assert(net_socks_check_reply(cases[i].head, &tail_len, &err), "%s", err.text);
        cr_assert_eq(tail_len, cases[i].tail_len);
        cr_assert_leq(tail_len, NET_SOCKS_REPLY_TAIL_MAX);
    }
}

Test(net_socks, every_other_version_code_and_address_type_is_an_error)
{
    for (unsigned value = 0; value < 256; value++) {
        struct err err;
        size_t tail_len = 99;
        uint8_t head[3][NET_SOCKS_REPLY_HEAD_LEN] = {{5, 0, 0, 1, 0}, {5, 0, 0, 1, 0}, {5, 0, 0, 1, 0}};
        head[0][0] = head[1][1] = head[2][3] = (uint8_t)value;
        cr_assert_eq(net_socks_check_reply(head[0], &tail_len, &err), value == 5);
        cr_assert_eq(net_socks_check_reply(head[1], &tail_len, &err), value == 0);
        cr_assert_eq(net_socks_check_reply(head[2], &tail_len, &err), value == 1 || value == 3 || value == 4);
    }
    struct err err;
    size_t tail_len = 99;
    cr_assert(!net_socks_check_reply((const uint8_t *)"\5\5\0\1\0", &tail_len, &err));
    cr_assert_eq(err.code, ERR_UNREACHABLE);
    cr_assert_str_eq(err.text, "the proxy cannot connect: connection refused");
    cr_assert_eq(tail_len, 99);
}
