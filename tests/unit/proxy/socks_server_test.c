#include "transporter/proxy/core/socks_server.h"

#include <criterion/criterion.h>
#include <string.h>

static const uint8_t greeting[] = {5, 3, 0, 1, 2};
static const uint8_t login[] = "\x01\x03web\x06secret";
static const uint8_t to_ipv4[] = {5, 1, 0, 1, 192, 0, 2, 1, 0x24, 0xe8};
static const uint8_t to_ipv6[] = {5, 1, 0, 4, 0x20, 1, 0xd, 0xb8, 0, 0,    0,
                                  0, 0, 0, 0, 0,    0, 0,   0,    1, 0x24, 0xe8};
static const uint8_t to_name[] = "\x05\x01\x00\x03\x07"
                                 "a.b.net\x24\xe8";

Test(socks_server, reads_a_greeting_and_what_the_client_can_do)
{
    struct socks_greeting out;
    size_t used = 0;
    cr_assert_eq(socks_read_greeting(span_of(greeting, sizeof(greeting)), &used, &out), SOCKS_READ);
    cr_assert_eq(used, sizeof(greeting));
    cr_assert(out.plain && out.login);
    cr_assert_eq(socks_read_greeting(span_of("\x05\x00", 2), &used, &out), SOCKS_READ);
    cr_assert(!out.plain && !out.login);
    cr_assert_eq(socks_read_greeting(span_of("\x04", 1), &used, &out), SOCKS_BROKEN);
}

Test(socks_server, reads_a_login_with_empty_parts_too)
{
    struct socks_login out;
    size_t used = 0;
    cr_assert_eq(socks_read_login(span_of(login, sizeof(login) - 1), &used, &out), SOCKS_READ);
    cr_assert_eq(used, sizeof(login) - 1);
    cr_assert(span_eq(out.user, span_str("web")) && span_eq(out.password, span_str("secret")));
    cr_assert_eq(socks_read_login(span_of("\x01\x00\x00", 3), &used, &out), SOCKS_READ);
    cr_assert_eq(out.user.len + out.password.len, 0);
    cr_assert_eq(socks_read_login(span_of("\x05", 1), &used, &out), SOCKS_BROKEN);
}

Test(socks_server, reads_requests_by_address_and_by_name)
{
    struct socks_request out;
    size_t used = 0;
    cr_assert_eq(socks_read_request(span_of(to_ipv4, sizeof(to_ipv4)), &used, &out), SOCKS_READ);
    cr_assert(out.type == SOCKS_IPV4 && out.port == 9448 && used == 10);
    cr_assert(span_eq(out.address, span_of(to_ipv4 + 4, 4)));
    cr_assert_eq(socks_read_request(span_of(to_ipv6, sizeof(to_ipv6)), &used, &out), SOCKS_READ);
    cr_assert(out.type == SOCKS_IPV6 && out.port == 9448 && used == 22 && out.address.len == 16);
    cr_assert_eq(socks_read_request(span_of(to_name, sizeof(to_name) - 1), &used, &out), SOCKS_READ);
    cr_assert(out.type == SOCKS_NAME && out.port == 9448 && span_eq(out.address, span_str("a.b.net")));
}

Test(socks_server, leaves_what_stands_behind_a_request)
{
    struct socks_request out;
    uint8_t bytes[64];
    size_t used = 0;
    memcpy(bytes, to_ipv4, sizeof(to_ipv4));
    memset(bytes + sizeof(to_ipv4), 0xff, sizeof(bytes) - sizeof(to_ipv4));
    cr_assert_eq(socks_read_request(span_of(bytes, sizeof(bytes)), &used, &out), SOCKS_READ);
    cr_assert_eq(used, sizeof(to_ipv4));
}

Test(socks_server, wants_more_of_every_message_that_is_cut)
{
    static const struct {
        const uint8_t *bytes;
        size_t len;
    } requests[] = {{to_ipv4, sizeof(to_ipv4)}, {to_ipv6, sizeof(to_ipv6)}, {to_name, sizeof(to_name) - 1}};
    struct socks_greeting hello;
    struct socks_login who;
    struct socks_request what;
    size_t used = 99;
    for (size_t cut = 0; cut < sizeof(greeting); cut++)
        cr_assert_eq(socks_read_greeting(span_of(greeting, cut), &used, &hello), SOCKS_MORE);
    for (size_t cut = 0; cut < sizeof(login) - 1; cut++)
        cr_assert_eq(socks_read_login(span_of(login, cut), &used, &who), SOCKS_MORE);
    for (size_t i = 0; i < 3; i++)
        for (size_t cut = 0; cut < requests[i].len; cut++)
            cr_assert_eq(socks_read_request(span_of(requests[i].bytes, cut), &used, &what), SOCKS_MORE);
    cr_assert_eq(used, 99);
}

Test(socks_server, names_what_is_wrong_with_a_request)
{
    static const struct {
        const char *bytes;
        size_t len;
        enum socks_reply reply;
    } broken[] = {
        {"\x04", 1, SOCKS_GENERAL_FAILURE},
        {"\x05\x02", 2, SOCKS_NO_COMMAND},
        {"\x05\x03", 2, SOCKS_NO_COMMAND},
        {"\x05\x01\x01", 3, SOCKS_GENERAL_FAILURE},
        {"\x05\x01\x00\x02\x01", 5, SOCKS_NO_ADDRESS_TYPE},
        {"\x05\x01\x00\x03\x00", 5, SOCKS_GENERAL_FAILURE},
    };
    struct socks_request out;
    size_t used = 0;
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        cr_assert_eq(socks_read_request(span_of(broken[i].bytes, broken[i].len), &used, &out), SOCKS_BROKEN);
        cr_assert_eq(out.reply, broken[i].reply, "%zu", i);
    }
}

Test(socks_server, stays_within_the_bytes_whatever_bit_is_wrong)
{
    struct socks_request out = {0};
    for (size_t bit = 0; bit < 8 * (sizeof(to_name) - 1); bit++) {
        uint8_t bytes[sizeof(to_name) - 1];
        size_t used = 0;
        memcpy(bytes, to_name, sizeof(bytes));
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (socks_read_request(span_of(bytes, sizeof(bytes)), &used, &out) != SOCKS_READ) continue;
        cr_assert_leq(used, sizeof(bytes));
        cr_assert(out.address.data >= bytes && out.address.data + out.address.len + 2 <= bytes + used);
    }
}

Test(socks_server, writes_what_rfc_1928_and_1929_have)
{
    uint8_t choice[SOCKS_CHOICE_LEN], verdict[SOCKS_CHOICE_LEN], reply[SOCKS_REPLY_LEN];
    socks_write_choice(SOCKS_NO_METHOD, choice);
    cr_assert_arr_eq(choice, "\x05\xff", 2);
    socks_write_verdict(SOCKS_WRONG_LOGIN, verdict);
    cr_assert_arr_eq(verdict, "\x01\x01", 2);
    socks_write_reply(SOCKS_REFUSED, reply);
    cr_assert_arr_eq(reply, "\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00", 10);
}
