#include "director/core/run.h"
#include "director/core/way.h"

#include <criterion/criterion.h>
#include <string.h>

#define NONE SEALIFT__CONNECTION__CONNECTION_NONE
#define DIRECT SEALIFT__CONNECTION__CONNECTION_DIRECT
#define REVERSE SEALIFT__CONNECTION__CONNECTION_REVERSE
#define RENDEZVOUS SEALIFT__CONNECTION__CONNECTION_RENDEZVOUS

static const uint8_t web[SIGN_PK_LEN] = {1}, nas[SIGN_PK_LEN] = {2}, lab[SIGN_PK_LEN] = {3};
static const struct way_ends ends = {
    .source = web, .target = nas, .source_name = "web", .target_name = "nas"};
static struct err err;

static struct way_wish wish_of(Sealift__Connection connection, const char *proxy)
{
    struct way_wish wish = {.connection = connection};
    memcpy(wish.proxy, proxy, strlen(proxy) + 1);
    return wish;
}

static void put(struct link_table *table, const uint8_t *source, const uint8_t *target,
                const struct way_wish *wish)
{
    struct link link = {.wish = *wish};
    memcpy(link.source, source, SIGN_PK_LEN);
    memcpy(link.target, target, SIGN_PK_LEN);
    cr_assert(link_table_put(table, &link, &err), "%s", err.text);
}

#define NO_PROXY                                                                                             \
    "'web' and 'nas' are to meet, and no proxy is known where: 'sealift link set web nas --connection "      \
    "rendezvous --proxy HOST:PORT'"

/* For a run from web to nas: the job's own wish, the link web-nas, the link nas-web, what comes of them. */
static const struct {
    Sealift__Connection own;
    const char *own_proxy;
    Sealift__Connection there;
    const char *there_proxy;
    Sealift__Connection back;
    const char *back_proxy;
    Sealift__Connection way; /* NONE: refused */
    const char *text;        /* the proxy, or why not */
} cases[] = {
    /* nobody said anything */
    {NONE, "", NONE, "", NONE, "", DIRECT, ""},
    /* the job alone */
    {DIRECT, "", NONE, "", NONE, "", DIRECT, ""},
    {DIRECT, "socks:1080", NONE, "", NONE, "", DIRECT, "socks:1080"},
    {REVERSE, "", NONE, "", NONE, "", REVERSE, ""},
    {RENDEZVOUS, "meet:9449", NONE, "", NONE, "", RENDEZVOUS, "meet:9449"},
    {RENDEZVOUS, "", NONE, "", NONE, "", NONE, NO_PROXY},
    /* the link of the pair */
    {NONE, "", DIRECT, "socks:1080", NONE, "", DIRECT, "socks:1080"},
    {NONE, "", REVERSE, "", NONE, "", REVERSE, ""},
    {NONE, "", RENDEZVOUS, "meet:9449", NONE, "", RENDEZVOUS, "meet:9449"},
    /* the link of the opposite direction: the same host dials */
    {NONE, "", NONE, "", DIRECT, "", REVERSE, ""},
    {NONE, "", NONE, "", REVERSE, "", DIRECT, ""},
    {NONE, "", NONE, "", RENDEZVOUS, "meet:9449", RENDEZVOUS, "meet:9449"},
    {NONE, "", NONE, "", DIRECT, "socks:1080", NONE,
     "the link of 'nas' and 'web' goes through the proxy socks:1080, and runs in the opposite direction "
     "cannot: 'sealift link set web nas --connection …' says how those go"},
    /* its own link comes before it */
    {NONE, "", DIRECT, "", DIRECT, "", DIRECT, ""},
    {NONE, "", REVERSE, "", DIRECT, "socks:1080", REVERSE, ""},
    {NONE, "", RENDEZVOUS, "a:1", RENDEZVOUS, "b:2", RENDEZVOUS, "a:1"},
    /* a job comes before every link, and takes the proxy of one that agrees */
    {DIRECT, "", REVERSE, "", NONE, "", DIRECT, ""},
    {DIRECT, "", NONE, "", DIRECT, "socks:1080", DIRECT, ""},
    {REVERSE, "", DIRECT, "socks:1080", NONE, "", REVERSE, ""},
    {DIRECT, "", DIRECT, "socks:1080", NONE, "", DIRECT, "socks:1080"},
    {DIRECT, "own:1", DIRECT, "socks:1080", NONE, "", DIRECT, "own:1"},
    {RENDEZVOUS, "", RENDEZVOUS, "meet:9449", NONE, "", RENDEZVOUS, "meet:9449"},
    {RENDEZVOUS, "", NONE, "", RENDEZVOUS, "meet:9449", RENDEZVOUS, "meet:9449"},
    {RENDEZVOUS, "own:2", RENDEZVOUS, "meet:9449", NONE, "", RENDEZVOUS, "own:2"},
    {RENDEZVOUS, "", DIRECT, "socks:1080", NONE, "", NONE, NO_PROXY},
};

Test(way, is_the_jobs_else_the_links_else_direct)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        AUTO(link_table) struct link_table links = {0};
        struct way_wish own = wish_of(cases[i].own, cases[i].own_proxy), way = {0};
        struct way_wish there = wish_of(cases[i].there, cases[i].there_proxy);
        struct way_wish back = wish_of(cases[i].back, cases[i].back_proxy);
        if (there.connection) put(&links, web, nas, &there);
        if (back.connection) put(&links, nas, web, &back);
        put(&links, web, lab, &(struct way_wish){.connection = RENDEZVOUS, .proxy = "other:1"});
        bool ok = way_decide(&own, &links, &ends, &way, &err);
        cr_assert_eq(ok, cases[i].way != NONE, "case %zu: %s", i, ok ? "taken" : err.text);
        cr_assert_eq(way.connection, cases[i].way, "case %zu: %s", i, connection_name(way.connection));
        cr_assert_str_eq(ok ? way.proxy : err.text, cases[i].text, "case %zu: %s", i,
                         ok ? way.proxy : err.text);
        if (!ok) cr_assert_eq(err.code, ERR_UNREACHABLE);
    }
}

Test(way, of_a_run_that_is_no_jobs_is_the_links)
{
    AUTO(link_table) struct link_table links = {0};
    struct way_wish way;
    cr_assert(way_decide(NULL, NULL, &ends, &way, &err));
    cr_assert_eq(way.connection, DIRECT);
    put(&links, web, nas, &(struct way_wish){.connection = REVERSE});
    cr_assert(way_decide(NULL, &links, &ends, &way, &err));
    cr_assert_eq(way.connection, REVERSE);
}

Test(way, in_reverse_needs_the_sources_reverse_port)
{
    const struct way_wish reverse = {.connection = REVERSE}, direct = {.connection = DIRECT};
    cr_assert(way_check_ends(&reverse, &ends, "web:9450", &err));
    cr_assert(way_check_ends(&direct, &ends, "", &err));
    cr_assert_not(way_check_ends(&reverse, &ends, "", &err));
    cr_assert_eq(err.code, ERR_UNREACHABLE);
    cr_assert_str_eq(err.text,
                     "'nas' is to dial 'web', which has no reverse port: set data.reverse.listen and "
                     "data.reverse.advertise in the configuration of 'web'");
}

Test(way_wish, has_a_proxy_where_one_is_gone_through)
{
    static const struct {
        Sealift__Connection connection;
        const char *proxy;
        const char *text; /* NULL: fine */
    } wishes[] = {
        {NONE, "", NULL},
        {NONE, NULL, NULL},
        {DIRECT, "", NULL},
        {DIRECT, "[2001:db8::1]:1080", NULL},
        {REVERSE, "", NULL},
        {RENDEZVOUS, "meet.example:9449", NULL},
        {NONE, "p:1", "a proxy goes with a connection that is 'direct' or 'rendezvous'"},
        {REVERSE, "p:1",
         "a reverse connection takes no proxy: the target dials the source's reverse port itself"},
        {RENDEZVOUS, "", "a rendezvous needs a proxy, HOST:PORT, that both transporters can dial"},
        {RENDEZVOUS, NULL, "a rendezvous needs a proxy, HOST:PORT, that both transporters can dial"},
        {DIRECT, "p", "the proxy: 'p' has no port: HOST:PORT"},
        {DIRECT, "p:0", "the proxy: 'p:0': '0' is not a port from 1 to 65535"},
        {DIRECT, "tcp://p:1", "the proxy: 'tcp://p:1': write HOST:PORT, without 'tcp://'"},
        {DIRECT, "a b:1", "the proxy: 'a b:1': the host has a character that no host name has"},
        {DIRECT, ":1", "the proxy: ':1': the address needs a host of 1 to 253 characters"},
    };
    for (size_t i = 0; i < sizeof(wishes) / sizeof(wishes[0]); i++) {
        struct way_wish out = {.connection = DIRECT, .proxy = "untouched"};
        bool ok = way_wish_make(wishes[i].connection, wishes[i].proxy, &out, &err);
        cr_assert_eq(ok, !wishes[i].text, "case %zu: %s", i, ok ? "taken" : err.text);
        if (!ok) cr_assert_str_eq(err.text, wishes[i].text);
        if (!ok) cr_assert_eq(err.code, ERR_USAGE);
        cr_assert_str_eq(out.proxy, !ok ? "untouched" : wishes[i].proxy ? wishes[i].proxy : "");
    }
    char longest[WAY_PROXY_MAX + 2];
    memset(longest, 'p', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    struct way_wish out;
    cr_assert_not(way_wish_make(DIRECT, longest, &out, &err));
    cr_assert_str_eq(err.text, "the address of a proxy has at most 255 bytes");
}

Test(way, names_are_read_as_they_are_written)
{
    for (int i = DIRECT; i <= RENDEZVOUS; i++) {
        Sealift__Connection out = NONE;
        cr_assert(way_connection_parse(connection_name((Sealift__Connection)i), &out, &err));
        cr_assert_eq((int)out, i);
    }
    Sealift__Connection out = NONE;
    cr_assert_not(way_connection_parse("link", &out, &err));
    cr_assert_not(way_connection_parse("pull", &out, &err));
    cr_assert_str_eq(err.text, "a connection is 'direct', 'reverse' or 'rendezvous', not 'pull'");
}

Test(link_table, holds_one_of_each_ordered_pair)
{
    AUTO(link_table) struct link_table links = {0};
    const struct way_wish direct = {.connection = DIRECT}, reverse = {.connection = REVERSE};
    put(&links, web, nas, &direct);
    put(&links, nas, web, &direct);
    put(&links, web, lab, &direct);
    put(&links, web, nas, &reverse);
    cr_assert_eq(links.count, 3);
    cr_assert_eq(link_table_find(&links, web, nas)->wish.connection, REVERSE);
    cr_assert_eq(link_table_find(&links, nas, web)->wish.connection, DIRECT);
    cr_assert_null(link_table_find(&links, lab, web));
    cr_assert(link_table_remove(&links, web, nas, &err));
    cr_assert_null(link_table_find(&links, web, nas));
    cr_assert_not_null(link_table_find(&links, web, lab));
    cr_assert_not(link_table_remove(&links, web, nas, &err));
    cr_assert_eq(err.code, ERR_NOT_FOUND);
    struct link self = {.wish = direct};
    cr_assert_not(link_table_put(&links, &self, &err));
    cr_assert_eq(links.count, 2);
}

Test(link_table, refuses_more_than_its_limit)
{
    AUTO(link_table) struct link_table links = {0};
    struct link link = {.target = {9}, .wish = {.connection = DIRECT}};
    for (uint32_t i = 0; i < LINKS_MAX; i++) {
        memcpy(link.source, &i, sizeof(i));
        link.source[5] = 1;
        cr_assert(link_table_put(&links, &link, &err), "%s", err.text);
    }
    cr_assert(link_table_put(&links, &link, &err), "one that is there may change");
    link.source[5] = 2;
    cr_assert_not(link_table_put(&links, &link, &err));
    cr_assert_eq(err.code, ERR_LIMIT);
}

Test(way, who_listens_everywhere_is_dialled_where_the_director_sees_it)
{
    static const struct {
        const char *endpoint, *seen, *dialled;
    } words[] = {
        {"tcp://0.0.0.0:9448", "192.0.2.7", "tcp://192.0.2.7:9448"},
        {"tcp://[::]:9448", "2001:db8::7", "tcp://[2001:db8::7]:9448"},
        {"tcp://*:9448", "::ffff:192.0.2.7", "tcp://192.0.2.7:9448"},
        {"tcp://0.0.0.0:9448", "", "tcp://0.0.0.0:9448"},
        {"tcp://10.0.0.0:9448", "192.0.2.7", "tcp://10.0.0.0:9448"},
        {"tcp://vault.example:9448", "192.0.2.7", "tcp://vault.example:9448"},
        {"", "192.0.2.7", ""},
    };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        char out[RUN_ENDPOINT_MAX + 1];
        way_endpoint(words[i].endpoint, words[i].seen, out, sizeof(out));
        cr_assert_str_eq(out, words[i].dialled);
    }
    char small[20];
    way_endpoint("tcp://0.0.0.0:9448", "2001:db8::1234:5678", small, sizeof(small));
    cr_assert_str_eq(small, "tcp://0.0.0.0:9448", "what does not fit is left as it was");
}
