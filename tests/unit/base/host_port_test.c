#include "common/base/host_port.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

Test(host_port, is_taken_apart)
{
    static const struct {
        const char *text, *host;
        uint16_t port;
    } cases[] = {{"proxy.example:1080", "proxy.example", 1080},
                 {"192.0.2.1:1", "192.0.2.1", 1},
                 {"[2001:db8::1]:65535", "2001:db8::1", 65535},
                 {"[fe80::1%eth0]:1", "fe80::1%eth0", 1},
                 {"a:00080", "a", 80}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct err err;
        struct host_port out;
        cr_assert(host_port_parse(cases[i].text, HOST_PORT_DIALLED, &out, &err), "%s", err.text);
        cr_assert_str_eq(out.host, cases[i].host);
        cr_assert_eq(out.port, cases[i].port);
    }
}

static const char *const bad[] = {"",
                                  ":",
                                  "host",
                                  "host:",
                                  ":80",
                                  "host:65536",
                                  "host:-1",
                                  "host:+1",
                                  "host: 1",
                                  "host:1x",
                                  "[]:80",
                                  "host:000080",
                                  "::1:80",
                                  "2001:db8::1:80",
                                  "h:1:2",
                                  "host:99999999999999999999",
                                  "[::1:1",
                                  "[::1]1",
                                  "h y:1",
                                  "a@h:1",
                                  "h;i:1",
                                  "tcp://h:1",
                                  "h\xc3\xb6:1",
                                  "**:1"};

Test(host_port, of_any_other_form_is_refused_whatever_it_is_for)
{
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        for (int use = HOST_PORT_DIALLED; use <= HOST_PORT_LISTENS; use++) {
            struct err err;
            struct host_port out = {.port = 7};
            cr_assert_not(host_port_parse(bad[i], (enum host_port_use)use, &out, &err), "'%s'", bad[i]);
            cr_assert_eq(err.code, ERR_USAGE);
            cr_assert_eq(out.port, 7);
        }
}

Test(host_port, of_everywhere_and_of_any_port_is_for_who_listens)
{
    static const char *const cases[] = {"*:9448", "0.0.0.0:0", "*:0"};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct err err = {0};
        struct host_port out;
        cr_assert_not(host_port_parse(cases[i], HOST_PORT_DIALLED, &out, &err), "%s", cases[i]);
        cr_assert(host_port_parse(cases[i], HOST_PORT_LISTENS, &out, &err), "%s", err.text);
    }
}

Test(host_port, has_a_host_as_long_as_a_name_may_be)
{
    char text[HOST_PORT_HOST_MAX + 8];
    for (size_t len = HOST_PORT_HOST_MAX; len <= HOST_PORT_HOST_MAX + 1; len++) {
        struct err err;
        struct host_port out;
        memset(text, 'h', len);
        (void)snprintf(text + len, sizeof(text) - len, ":80");
        cr_assert_eq(host_port_parse(text, HOST_PORT_DIALLED, &out, &err), len == HOST_PORT_HOST_MAX);
    }
}

Test(host_port, takes_the_default_where_no_port_is_said_and_one_is_offered)
{
    struct err err = {0};
    struct host_port out;
    cr_assert(host_port_parse_or("h", 9447, &out, &err) && out.port == 9447, "%s", err.text);
    cr_assert(host_port_parse_or("[::1]", 9447, &out, &err) && out.port == 9447, "%s", err.text);
    cr_assert(host_port_parse_or("h:1", 9447, &out, &err) && out.port == 1, "%s", err.text);
    cr_assert_not(host_port_parse_or("h:", 9447, &out, &err));
    cr_assert_not(host_port_parse_or("h:0", 9447, &out, &err));
    cr_assert_not(host_port_parse("h", HOST_PORT_DIALLED, &out, &err));
    cr_assert_str_eq(err.text, "'h' has no port: HOST:PORT");
}

Test(host_port, an_ipv6_address_stands_in_brackets_before_a_port)
{
    char text[HOST_PORT_TEXT_MAX], host[2 * HOST_PORT_HOST_MAX];
    host_port_host_text("vault.example", text);
    cr_assert_str_eq(text, "vault.example");
    host_port_host_text("2001:db8::1", text);
    cr_assert_str_eq(text, "[2001:db8::1]");
    memset(host, ':', sizeof(host) - 1);
    host[sizeof(host) - 1] = '\0';
    host_port_host_text(host, text);
    cr_assert_eq(strlen(text), HOST_PORT_TEXT_MAX - 1);
    cr_assert_eq(text[HOST_PORT_TEXT_MAX - 2], ']');
}
