#include "common/base/host_port.h"
#include "transporter/session/data_path.h"
#include "transporter/session/stripe_growth.h"

#include "transporter/proxy/core/rendezvous_name.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define SOURCE SEALIFT__RUN_SIDE__SIDE_SOURCE
#define TARGET SEALIFT__RUN_SIDE__SIDE_TARGET
#define DIRECT SEALIFT__CONNECTION__CONNECTION_DIRECT
#define REVERSE SEALIFT__CONNECTION__CONNECTION_REVERSE
#define RENDEZVOUS SEALIFT__CONNECTION__CONNECTION_RENDEZVOUS

static const uint8_t name[DATA_PATH_NAME_LEN] = {7, 1, 2, 3};
static struct data_ways ways;

/* A reverse port that counts the names that it expects. */
static int expected;
static void expect(void *port, const uint8_t asked[static DATA_PATH_NAME_LEN],
                   char address[static DATA_PATH_PORT_MAX])
{
    cr_assert_eq(memcmp(asked, name, sizeof(name)), 0);
    (void)snprintf(address, DATA_PATH_PORT_MAX, "ipc://@sealift-here-");
    expected++;
}
static void forget(void *port, const uint8_t asked[static DATA_PATH_NAME_LEN])
{
    cr_assert_eq(memcmp(asked, name, sizeof(name)), 0);
    expected--;
}
static const struct data_reverse port = {.expect = expect, .forget = forget};
static const struct data_reverse no_port = {.expect = NULL};

static enum err_code read_words(Sealift__RunSide side, Sealift__Connection connection, const char *endpoint,
                                const char *proxy, size_t name_len, struct err *err)
{
    AUTO(data_path) struct data_path path = {0};
    const struct data_path_words words = {.side = side,
                                          .connection = connection,
                                          .endpoint = endpoint,
                                          .proxy = proxy,
                                          .rendezvous = span_of(name, name_len)};
    *err = (struct err){0};
    return data_path_read(&words, &ways, &port, &path, err) ? ERR_NONE : err->code;
}

Test(data_path, takes_exactly_the_words_that_its_mode_has)
{
    static const char *const endpoints[] = {"", "host:9450", "tcp://host:9448"};
    static const char *const proxies[] = {"", "p:9449"};
    static const size_t lengths[] = {0, 32};
    /* side, connection, endpoint, proxy (2: with or without), name */
    static const int good[][5] = {
        {SOURCE, DIRECT, 2, 2, 0},  {TARGET, DIRECT, 0, 0, 0},     {SOURCE, REVERSE, 0, 0, 1},
        {TARGET, REVERSE, 1, 0, 1}, {SOURCE, RENDEZVOUS, 0, 1, 1}, {TARGET, RENDEZVOUS, 0, 1, 1},
    };
    struct err err;
    int accepted = 0;
    for (int n = 0; n < 2 * 4 * 3 * 2 * 2; n++) {
        const int at[5] = {n % 2 ? TARGET : SOURCE, n / 2 % 4, n / 8 % 3, n / 24 % 2, n / 48};
        bool expect_good = false;
        for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
            expect_good |= good[i][0] == at[0] && good[i][1] == at[1] && good[i][2] == at[2] &&
                           (good[i][3] == 2 || good[i][3] == at[3]) && good[i][4] == at[4];
        enum err_code code = read_words((Sealift__RunSide)at[0], (Sealift__Connection)at[1], endpoints[at[2]],
                                        proxies[at[3]], lengths[at[4]], &err);
        cr_assert_eq(code, expect_good ? ERR_NONE : ERR_PROTOCOL, "%d %d '%s' '%s' %zu: %s", at[0], at[1],
                     endpoints[at[2]], proxies[at[3]], lengths[at[4]], err.text);
        accepted += code == ERR_NONE;
    }
    cr_assert_eq(accepted, 7);
    cr_assert_eq(expected, 0);
}

Test(data_path, refuses_what_is_no_address)
{
    static const char *const bad[] = {
        "host",        ":9449", "host:", "host:0", "host:65536", "host:99999999", "h:94x",     "h:-1",
        "h;tcp://x:1", "h@x:1", "h x:1", "h/y:1",  "h:+449",     "h\n:449:12",    "tcp://h:1", "h:1:"};
    struct err err;
    char endpoint[64];
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cr_assert_eq(read_words(SOURCE, RENDEZVOUS, "", bad[i], 32, &err), ERR_PROTOCOL, "%s", bad[i]);
        cr_assert_eq(read_words(TARGET, REVERSE, bad[i], "", 32, &err), ERR_PROTOCOL, "%s", bad[i]);
        (void)snprintf(endpoint, sizeof(endpoint), "tcp://%s", bad[i]);
        cr_assert_eq(read_words(SOURCE, DIRECT, endpoint, "", 0, &err), ERR_PROTOCOL, "%s", bad[i]);
    }
    cr_assert_eq(read_words(SOURCE, DIRECT, "ipc:///run/x", "", 0, &err), ERR_PROTOCOL);
    cr_assert_str_eq(err.text,
                     "the assignment says where the other side listens, and 'ipc:///run/x' is no address");
    cr_assert_eq(read_words(TARGET, REVERSE, "[2001:db8::1]:9450", "", 32, &err), ERR_NONE, "%s", err.text);
    char long_host[HOST_PORT_HOST_MAX + 8];
    memset(long_host, 'h', sizeof(long_host));
    (void)snprintf(long_host + HOST_PORT_HOST_MAX + 1, 4, ":1");
    cr_assert_eq(read_words(SOURCE, RENDEZVOUS, "", long_host, 32, &err), ERR_PROTOCOL);
    cr_assert_eq(read_words(SOURCE, RENDEZVOUS, "", long_host + 1, 32, &err), ERR_NONE);
}

Test(data_path, of_a_reverse_source_needs_a_port)
{
    AUTO(data_path) struct data_path path = {0};
    struct err err = {0};
    const struct data_path_words words = {.side = SOURCE,
                                          .connection = REVERSE,
                                          .endpoint = "",
                                          .proxy = "",
                                          .rendezvous = span_of(name, sizeof(name))};
    cr_assert_not(data_path_read(&words, &ways, &no_port, &path, &err));
    cr_assert_eq(err.code, ERR_CONFIG);
    cr_assert(data_path_read(&words, &ways, &port, &path, &err), "%s", err.text);
    cr_assert_eq(expected, 1);
    data_path_deinit(&path);
    cr_assert_eq(expected, 0);
    path.reverse = NULL;
}

static struct data_path path_of(Sealift__RunSide side, Sealift__Connection connection, const char *endpoint,
                                const char *proxy)
{
    struct data_path path = {0};
    struct err err = {0};
    const struct data_path_words words = {.side = side,
                                          .connection = connection,
                                          .endpoint = endpoint,
                                          .proxy = proxy,
                                          .rendezvous =
                                              span_of(name, connection == DIRECT ? 0 : sizeof(name))};
    cr_assert(data_path_read(&words, &ways, &port, &path, &err), "%s", err.text);
    return path;
}

Test(data_path, of_a_direct_source_leads_to_the_target_through_the_nearest_proxy_that_is_named)
{
    static const struct {
        const char *said, *configured, *used;
    } cases[] = {{"", NULL, NULL}, {"", "mine:1080", "mine:1080"}, {"said:1080", "mine:1080", "said:1080"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ways.proxy = cases[i].configured;
        AUTO(data_path) struct data_path path = path_of(SOURCE, DIRECT, "tcp://nas:9448", cases[i].said);
        struct data_endpoint endpoint;
        cr_assert(data_path_dials(&path));
        data_path_endpoint(&path, 7, &endpoint);
        cr_assert_eq(endpoint.net.side, NET_CONNECT);
        cr_assert_str_eq(endpoint.net.address, "tcp://nas:9448");
        cr_assert_eq(!endpoint.net.socks5, !cases[i].used);
        if (cases[i].used) cr_assert_str_eq(endpoint.net.socks5, cases[i].used);
    }
    AUTO(data_path) struct data_path target = path_of(TARGET, DIRECT, "", "");
    cr_assert_not(data_path_dials(&target));
}

/* The name that is asked for is the one of the run, the connection, and the side. */
static void assert_meets(const struct data_path *path, const char *proxy, enum rendezvous_side side)
{
    for (unsigned stripe = 0; stripe < STRIPES_MAX; stripe++) {
        struct data_endpoint endpoint;
        struct rendezvous_name asked;
        data_path_endpoint(path, stripe, &endpoint);
        cr_assert_str_eq(endpoint.net.socks5, proxy);
        cr_assert_eq(strlen(endpoint.address), 6 + RENDEZVOUS_NAME_LEN + 2);
        cr_assert(rendezvous_name_parse(span_of(endpoint.address + 6, RENDEZVOUS_NAME_LEN), &asked));
        cr_assert_eq(memcmp(asked.id, name, sizeof(name)), 0);
        cr_assert_eq(asked.stripe, stripe);
        cr_assert_eq(asked.side, side);
    }
}

Test(data_path, of_a_rendezvous_leads_both_to_one_name)
{
    ways.proxy = NULL;
    AUTO(data_path) struct data_path source = path_of(SOURCE, RENDEZVOUS, "", "p:9449");
    AUTO(data_path) struct data_path target = path_of(TARGET, RENDEZVOUS, "", "p:9449");
    cr_assert(data_path_dials(&source) && data_path_dials(&target));
    assert_meets(&source, "p:9449", RENDEZVOUS_A);
    assert_meets(&target, "p:9449", RENDEZVOUS_B);
}

/* The way out of this host's network stands before the joiner. */
Test(data_path, to_a_joiner_goes_through_the_hosts_own_proxy)
{
    ways = (struct data_ways){.proxy = "mine:1080"};
    struct data_path paths[] = {path_of(SOURCE, RENDEZVOUS, "", "p:9449"),
                                path_of(TARGET, RENDEZVOUS, "", "p:9449"),
                                path_of(TARGET, REVERSE, "p:9449", ""),
                                path_of(SOURCE, REVERSE, "", ""),
                                path_of(SOURCE, DIRECT, "tcp://v:9448", "p:9449"),
                                path_of(SOURCE, RENDEZVOUS, "", "mine:1080")};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        struct data_endpoint endpoint;
        data_path_endpoint(&paths[i], 0, &endpoint);
        cr_assert_eq(!!endpoint.net.way_out, i < 3, "%zu", i);
        if (i < 3) {
            cr_assert_str_eq(endpoint.net.socks5, "p:9449");
            cr_assert_str_eq(endpoint.net.way_out, "mine:1080");
        }
        data_path_deinit(&paths[i]);
    }
    ways = (struct data_ways){.proxy = NULL};
}

Test(data_path, of_reverse_leads_the_target_to_the_sources_port_and_the_source_nowhere_outside)
{
    ways.proxy = "mine:1080";
    AUTO(data_path) struct data_path target = path_of(TARGET, REVERSE, "web:9450", "");
    AUTO(data_path) struct data_path source = path_of(SOURCE, REVERSE, "", "");
    struct data_endpoint endpoint;
    assert_meets(&target, "web:9450", RENDEZVOUS_B);
    data_path_endpoint(&source, 3, &endpoint);
    cr_assert_str_eq(endpoint.net.address, "ipc://@sealift-here-3");
    cr_assert_null(endpoint.net.socks5);
}

Test(data_path, that_came_to_nothing_says_where_and_why_once)
{
    struct err err = {0};
    char trouble[DATA_PATH_TROUBLE_MAX];
    ways.proxy = NULL;
    AUTO(data_path) struct data_path meets = path_of(SOURCE, RENDEZVOUS, "", "p:9449");
    data_path_trouble(&meets, "proxy 'p:9449': the proxy refused the login", trouble);
    data_path_gone(&meets, 120000, trouble, &err);
    cr_assert_str_eq(err.text, "the other side was gone for more than 120 s: rendezvous at 'p:9449': "
                               "the proxy refused the login");
    cr_assert_eq(err.code, ERR_UNREACHABLE);
    AUTO(data_path) struct data_path dials = path_of(SOURCE, DIRECT, "tcp://nas:9448", "q:1080");
    data_path_trouble(&dials, "proxy 'q:1080': cannot connect: Connection refused", trouble);
    data_path_gone(&dials, 500, trouble, &err);
    cr_assert_str_eq(err.text, "the other side was gone for more than 0 s: 'tcp://nas:9448': proxy 'q:1080': "
                               "cannot connect: Connection refused");
    AUTO(data_path) struct data_path waits = path_of(TARGET, DIRECT, "", "");
    data_path_gone(&waits, 120000, "", &err);
    cr_assert_str_eq(err.text, "the other side was gone for more than 120 s");
}

Test(data_path, that_is_dialled_straight_is_asked_why_it_does_not_answer)
{
    char trouble[DATA_PATH_TROUBLE_MAX] = "the connection was lost";
    ways.proxy = NULL;
    AUTO(data_path) struct data_path nobody = path_of(SOURCE, DIRECT, "tcp://127.0.0.1:1", "");
    data_path_why_not(&nobody, 5000, NULL, trouble, trouble);
    cr_assert_str_eq(trouble, "refused: nobody listens there, or a firewall rejects it");
    AUTO(data_path) struct data_path through = path_of(SOURCE, DIRECT, "tcp://127.0.0.1:1", "q:1080");
    data_path_why_not(&through, 5000, NULL, "the proxy refused the login", trouble);
    cr_assert_str_eq(trouble, "the proxy refused the login");
}

Test(data_path, whoever_dials_nobody_waits)
{
    ways.proxy = NULL;
    struct data_path paths[] = {
        path_of(TARGET, DIRECT, "", ""),
        path_of(SOURCE, REVERSE, "", ""),
        path_of(SOURCE, DIRECT, "tcp://v:9448", ""),
        path_of(TARGET, REVERSE, "web:9450", ""),
        path_of(SOURCE, RENDEZVOUS, "", "p:9449"),
        path_of(TARGET, RENDEZVOUS, "", "p:9449"),
    };
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        cr_assert_eq(data_path_waits(&paths[i]), i < 2, "%zu", i);
        data_path_deinit(&paths[i]);
    }
}
