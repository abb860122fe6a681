#include "transporter/proxy/allow.h"

#include <criterion/criterion.h>
#include <string.h>

DEFINE_AUTO_IN_PLACE(allow, struct allow, allow_deinit)

static void add(struct allow *allow, const char *rule)
{
    struct err err;
    cr_assert(allow_add(allow, rule, &err), "%s", err.text);
}

static bool may(const struct allow *allow, const char *text)
{
    struct address address;
    struct err err;
    cr_assert(address_port_parse(text, &address, &err), "%s", err.text);
    return allow_has_address(allow, &address);
}

Test(allow, opens_addresses_and_networks_at_their_ports_and_nothing_else)
{
    AUTO(allow) struct allow allow = {0};
    cr_assert_not(may(&allow, "192.0.2.1:9448"));
    add(&allow, "192.0.2.1:9448");
    add(&allow, "10.1.0.0/16:9000-9010");
    add(&allow, "[2001:db8::/32]:9448");
    cr_assert(may(&allow, "192.0.2.1:9448"));
    cr_assert_not(may(&allow, "192.0.2.1:9449"));
    cr_assert_not(may(&allow, "192.0.2.2:9448"));
    cr_assert(may(&allow, "10.1.255.255:9000") && may(&allow, "10.1.0.0:9010"));
    cr_assert_not(may(&allow, "10.1.0.1:8999") || may(&allow, "10.1.0.1:9011"));
    cr_assert_not(may(&allow, "10.2.0.0:9000") || may(&allow, "10.0.255.255:9000"));
    cr_assert(may(&allow, "[2001:db8:ffff::1]:9448"));
    cr_assert_not(may(&allow, "[2001:db9::1]:9448"));
}

Test(allow, takes_ipv4_in_ipv6_clothes_for_ipv4)
{
    AUTO(allow) struct allow allow = {0};
    add(&allow, "[::/0]:1-65535");
    cr_assert_not(may(&allow, "[::ffff:192.0.2.1]:80"));
    add(&allow, "192.0.2.1:80");
    cr_assert(may(&allow, "[::ffff:192.0.2.1]:80"));
}

Test(allow, of_everywhere_does_not_open_the_host_itself)
{
    static const char *const special[] = {
        "127.0.0.1:80", "127.255.0.1:80", "0.0.0.0:80",   "169.254.169.254:80", "224.0.0.1:80",
        "[::1]:80",     "[::]:80",        "[fe80::1]:80", "[ff02::1]:80",       "255.255.255.255:80"};
    AUTO(allow) struct allow allow = {0};
    add(&allow, "0.0.0.0/0:80");
    add(&allow, "[::/0]:80");
    cr_assert(may(&allow, "192.0.2.1:80") && may(&allow, "[2001:db8::1]:80"));
    for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++)
        cr_assert_not(may(&allow, special[i]), "%s", special[i]);
    add(&allow, "127.0.0.0/8:80");
    add(&allow, "[::1]:80");
    cr_assert(may(&allow, "127.0.0.1:80") && may(&allow, "[::1]:80"));
}

Test(allow, knows_names_by_their_whole_spelling)
{
    AUTO(allow) struct allow allow = {0};
    add(&allow, "backup.example:9448");
    cr_assert_not_null(allow_name(&allow, span_str("BACKUP.example"), 9448));
    cr_assert_null(allow_name(&allow, span_str("backup.example"), 9447));
    cr_assert_null(allow_name(&allow, span_str("backup.example.org"), 9448));
    cr_assert_null(allow_name(&allow, span_str("x.backup.example"), 9448));
    cr_assert_null(allow_name(&allow, span_of("backup.example\0", 15), 9448));
}

Test(allow, does_not_follow_a_name_to_where_it_must_not_lead)
{
    uint8_t found[4][ADDRESS_LEN];
    struct err err;
    AUTO(allow) struct allow allow = {0};
    add(&allow, "backup.example:9448");
    cr_assert(address_parse("127.0.0.1", found[0]) && address_parse("169.254.169.254", found[1]) &&
              address_parse("10.9.0.1", found[2]) && address_parse("192.0.2.1", found[3]));
    allow_found(&allow, allow.rules, (const uint8_t(*)[ADDRESS_LEN])found, 4);
    cr_assert_eq(allow.rules[0].found_count, 2);
    cr_assert_arr_eq(allow.rules[0].found[0], found[2], ADDRESS_LEN);
    cr_assert(allow_add_within(&allow, "10.0.0.0/8", &err) && allow_add_within(&allow, "127.0.0.1", &err));
    allow_found(&allow, allow.rules, (const uint8_t(*)[ADDRESS_LEN])found, 4);
    cr_assert_eq(allow.rules[0].found_count, 2);
    cr_assert_arr_eq(allow.rules[0].found[0], found[0], ADDRESS_LEN);
    cr_assert_arr_eq(allow.rules[0].found[1], found[2], ADDRESS_LEN);
    cr_assert_not(may(&allow, "10.9.0.1:9448"), "the rule is of the name, not of its addresses");
}

Test(allow, refuses_rules_that_are_not_exact)
{
    static const char *const wrong[] = {
        "",          "host",          "host:",          "host:0",       "host:65536",
        "host:9-8",  "host:1-",       "host:-1",        "host:1-2-3",   ":80",
        "::1:80",    "10.0.0.1/8:80", "10.0.0.0/33:80", "10.0.0.0/:80", "10.0.0.0/-1:80",
        "10.0.0:80", "300.1.1.1:80",  "[::/129]:80",    "a b:80",       "*:80",
        "host:+80",  "host: 80",      "host/8:80",      "-host:80"};
    AUTO(allow) struct allow allow = {0};
    struct err err;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        cr_assert_not(allow_add(&allow, wrong[i], &err), "%s", wrong[i]);
        cr_assert_eq(err.code, ERR_CONFIG);
    }
    cr_assert_eq(allow.count, 0);
}
