#include "common/net/net_socks.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct host_port parsed(const char *text)
{
    struct err err;
    struct host_port out = {.port = 0};
    cr_assert(host_port_parse(text, HOST_PORT_DIALLED, &out, &err), "%s", err.text);
    return out;
}

static void assert_request(const char *target, const void *expected, size_t len)
{
    uint8_t out[NET_SOCKS_REQUEST_MAX];
    struct host_port host_port = parsed(target);
    cr_assert_eq(net_socks_request(&host_port, out), len, "%s", target);
    cr_assert_arr_eq(out, expected, len);
}

Test(net_socks, requests_are_those_of_rfc_1928)
{
    assert_request("192.0.2.1:4711", "\5\1\0\1\xc0\0\2\1\x12\x67", 10);
    assert_request("[2001:db8::1]:80", "\5\1\0\4\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1\0\x50", 22);
    assert_request("ab.c:256", "\5\1\0\3\4ab.c\1\0", 11);
}

Test(net_socks, the_longest_name_fits)
{
    char text[HOST_PORT_HOST_MAX + 8];
    uint8_t out[NET_SOCKS_REQUEST_MAX];
    memset(text, 'h', HOST_PORT_HOST_MAX);
    (void)snprintf(text + HOST_PORT_HOST_MAX, 8, ":80");
    struct host_port host_port = parsed(text);
    cr_assert_eq(net_socks_request(&host_port, out), NET_SOCKS_REQUEST_MAX);
    cr_assert_eq(out[4], HOST_PORT_HOST_MAX);
}

Test(net_socks, the_greeting_offers_what_there_is)
{
    uint8_t out[NET_SOCKS_GREETING_MAX];
    cr_assert_eq(net_socks_greeting(NET_SOCKS_OFFER_NOTHING, out), 3);
    cr_assert_arr_eq(out, "\5\1\0", 3);
    cr_assert_eq(net_socks_greeting(NET_SOCKS_OFFER_LOGIN, out), 4);
    cr_assert_arr_eq(out, "\5\2\0\2", 4);
}

Test(net_socks, logins_are_those_of_rfc_1929)
{
    uint8_t out[NET_SOCKS_LOGIN_MAX];
    uint8_t longest[NET_SOCKS_TEXT_MAX];
    cr_assert_eq(net_socks_login(span_str("me"), span_of("\0p\xff", 3), out), 8);
    cr_assert_arr_eq(out, "\1\2me\3\0p\xff", 8);
    memset(longest, 'x', sizeof(longest));
    const struct span most = span_of(longest, sizeof(longest));
    cr_assert_eq(net_socks_login(most, most, out), NET_SOCKS_LOGIN_MAX);
    cr_assert_eq(out[1], 255);
    cr_assert_eq(out[257], 255);
}

/* What a choice must be taken for, by its two bytes. */
static enum net_socks_choice meaning(unsigned version, unsigned method, enum net_socks_offer offer)
{
    if (version != 5) return NET_SOCKS_BROKEN;
    if (method == 0) return NET_SOCKS_NO_LOGIN;
    if (method == 2 && offer == NET_SOCKS_OFFER_LOGIN) return NET_SOCKS_LOGIN;
    return method == 2 || method == 0xff ? NET_SOCKS_NONE_OFFERED : NET_SOCKS_BROKEN;
}

Test(net_socks, a_choice_is_one_of_what_was_offered)
{
    for (unsigned version = 0; version < 256; version++)
        for (unsigned method = 0; method < 256; method++)
            for (unsigned offer = NET_SOCKS_OFFER_NOTHING; offer <= NET_SOCKS_OFFER_LOGIN; offer++) {
                const uint8_t choice[] = {(uint8_t)version, (uint8_t)method};
                cr_assert_eq(net_socks_read_choice(choice, offer), meaning(version, method, offer));
            }
}

Test(net_socks, only_zero_is_a_welcome)
{
    for (unsigned code = 0; code < 256; code++) {
        const uint8_t verdict[] = {1, (uint8_t)code};
        cr_assert_eq(net_socks_welcomes(verdict), code == 0);
    }
}

Test(net_socks, a_reply_says_how_much_follows)
{
    static const struct {
        uint8_t head[5];
        size_t tail_len;
    } cases[] = {
        {{5, 0, 0, 1, 127}, 5}, {{5, 0, 0, 4, 0x20}, 17}, {{5, 0, 0, 3, 0}, 2}, {{5, 0, 0, 3, 255}, 257}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t code = 99;
        size_t tail_len = 0;
        cr_assert(net_socks_read_reply(cases[i].head, &code, &tail_len));
        cr_assert_eq(code, 0);
        cr_assert_eq(tail_len, cases[i].tail_len);
        cr_assert_leq(tail_len, NET_SOCKS_REPLY_TAIL_MAX);
    }
}

Test(net_socks, every_other_version_and_address_type_is_an_error_and_every_code_is_told)
{
    for (unsigned value = 0; value < 256; value++) {
        uint8_t code = 99;
        size_t tail_len = 99;
        uint8_t head[3][NET_SOCKS_REPLY_HEAD_LEN] = {{5, 0, 0, 1, 0}, {5, 0, 0, 1, 0}, {5, 0, 0, 1, 0}};
        head[0][0] = head[1][1] = head[2][3] = (uint8_t)value;
        cr_assert_eq(net_socks_read_reply(head[2], &code, &tail_len), value == 1 || value == 3 || value == 4);
        cr_assert_eq(net_socks_read_reply(head[0], &code, &tail_len), value == 5);
        cr_assert(net_socks_read_reply(head[1], &code, &tail_len));
        cr_assert_eq(code, value);
        cr_assert(value == 0 || tail_len == 0);
    }
}

Test(net_socks, a_refusal_needs_no_address)
{
    uint8_t code = 0;
    size_t tail_len = 99;
    cr_assert(net_socks_read_reply((const uint8_t *)"\5\2\0\0\0", &code, &tail_len));
    cr_assert_eq(code, 2);
    cr_assert_eq(tail_len, 0);
}

Test(net_socks, every_code_but_zero_has_a_reason)
{
    static const enum net_reach_reason reasons[] = {
        NET_REACH_CANNOT,    NET_REACH_CANNOT,    NET_REACH_NOT_ALLOWED,
        NET_REACH_NO_ROUTE,  NET_REACH_NO_ANSWER, NET_REACH_REFUSED,
        NET_REACH_NO_ANSWER, NET_REACH_CANNOT,    NET_REACH_CANNOT};
    for (unsigned code = 1; code < 256; code++)
        cr_assert_eq(net_socks_reason((uint8_t)code), code < 9 ? reasons[code] : NET_REACH_CANNOT);
}
