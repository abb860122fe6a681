/* sealift link test, with a director that says which ways work. */
#include "director/cli/link_test.h"

#include "common/wire/lent.h"
#include "director/cli/pair.h"
#include "tests/unit/cli/small_site.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdio.h>
#include <string.h>

#define CONNECTION(name) SEALIFT__CONNECTION__CONNECTION_##name

static struct small_site site;

/* What the director has and does. */
static struct {
    Sealift__Connection connection; /* of the link web-vault; NONE: there is none */
    const char *proxy;
    unsigned works; /* a bit for each connection */
    bool away;      /* a host is not connected */
    char tried[256];
} told;

static void answer_links(const struct request *request)
{
    Sealift__Link link = SEALIFT__LINK__INIT, *links[] = {&link};
    Sealift__LinkListAnswer answer = SEALIFT__LINK_LIST_ANSWER__INIT;
    AUTO(buf) struct buf payload = {0};
    link.source = lent_bytes(site.web->known.sign_pk, SIGN_PK_LEN);
    link.target = lent_bytes(site.vault->known.sign_pk, SIGN_PK_LEN);
    link.connection = told.connection;
    link.proxy = lent_text(told.proxy ? told.proxy : "");
    answer.n_links = told.connection != CONNECTION(NONE);
    answer.links = links;
    payload_link_list_encode(&answer, &payload);
    answer_done(request, 0, buf_span(&payload));
}

static void answer_test(const struct request *request)
{
    const Sealift__Link *link = request->head->link_test->link;
    Sealift__LinkTestAnswer answer = SEALIFT__LINK_TEST_ANSWER__INIT;
    AUTO(buf) struct buf payload = {0};
    size_t len = strlen(told.tried);
    (void)snprintf(told.tried + len, sizeof(told.tried) - len, "%s %s;", connection_name(link->connection),
                   link->proxy);
    if (!(told.works & (1u << link->connection))) {
        answer.code = ERR_UNREACHABLE;
        answer.text = lent_text("web: vault:9448 refuses connections");
    }
    answer.rtt_us = 700;
    payload_link_test_encode(&answer, &payload);
    if (told.away)
        answer_fail(request, ERR_UNREACHABLE, "transporter 'web' is not connected");
    else
        answer_done(request, 0, buf_span(&payload));
}

static void answers(const struct request *request)
{
    if (request->head->kind_case == SEALIFT__HEAD__KIND_LINK_LIST)
        answer_links(request);
    else if (request->head->kind_case == SEALIFT__HEAD__KIND_LINK_TEST)
        answer_test(request);
    else
        small_site_answer_blobs(request, NULL, 0);
}

static void setup(void)
{
    memset(&told, 0, sizeof(told));
    small_site_init(&site, answers);
    site.cli.output.quiet = true;
}

static void teardown(void)
{
    small_site_deinit(&site);
}

TestSuite(link_test, .init = setup, .fini = teardown, .timeout = 60);

static bool test_link(const char *proxy, struct err *err)
{
    static const struct option_spec options[] = {{"proxy", "HOST:PORT", "help"}, {0}};
    char words[][24] = {"test", "web", "vault", "--proxy", ""};
    char *argv[] = {words[0], words[1], words[2], words[3], words[4], NULL};
    AUTO(args) struct args *args = NULL;
    (void)snprintf(words[4], sizeof(words[4]), "%s", proxy ? proxy : "");
    if (!proxy) argv[3] = NULL;
    cr_assert(args_parse(proxy ? 5 : 3, argv, ARGS_ALL, options, NULL, &args, err), "%s", err->text);
    site.cli.exit_code = 0;
    told.tried[0] = '\0';
    return link_test(&site.cli, args, err);
}

Test(link_test, tries_every_way_that_makes_sense_and_ends_by_the_one_that_is_set)
{
    const unsigned direct = 1u << CONNECTION(DIRECT), reverse = 1u << CONNECTION(REVERSE),
                   meet = 1u << CONNECTION(RENDEZVOUS);
    const struct {
        Sealift__Connection connection;
        const char *link_proxy, *proxy;
        unsigned works;
        int code; /* the exit code; 7: an error */
        const char *tried;
    } cases[] = {
        {CONNECTION(NONE), NULL, NULL, direct, 0, "direct ;reverse ;"},
        {CONNECTION(NONE), NULL, NULL, reverse, 1, "direct ;reverse ;"},
        {CONNECTION(NONE), NULL, NULL, meet, 7, "direct ;reverse ;"},
        {CONNECTION(REVERSE), NULL, NULL, direct | reverse, 0, "direct ;reverse ;"},
        {CONNECTION(REVERSE), NULL, NULL, direct, 1, "direct ;reverse ;"},
        {CONNECTION(NONE), NULL, "p:1", meet, 1, "direct ;direct p:1;reverse ;rendezvous p:1;"},
        {CONNECTION(RENDEZVOUS), "m:1", NULL, meet, 0, "direct ;reverse ;rendezvous m:1;"},
        {CONNECTION(RENDEZVOUS), "m:1", "m:1", meet, 0, "direct ;direct m:1;reverse ;rendezvous m:1;"},
        {CONNECTION(RENDEZVOUS), "m:1", "p:1", 0, 7,
         "direct ;direct p:1;reverse ;rendezvous m:1;rendezvous p:1;"},
        {CONNECTION(DIRECT), "s:1", NULL, direct, 0, "direct ;direct s:1;reverse ;"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct err err = {0};
        told.connection = cases[i].connection;
        told.proxy = cases[i].link_proxy;
        told.works = cases[i].works;
        bool ok = test_link(cases[i].proxy, &err);
        cr_assert_str_eq(told.tried, cases[i].tried, "case %zu: %s", i, told.tried);
        cr_assert_eq(ok, cases[i].code != 7, "case %zu: %s", i, err.text);
        if (ok) cr_assert_eq(site.cli.exit_code, cases[i].code, "case %zu", i);
        if (!ok) cr_assert_eq(err.code, ERR_UNREACHABLE);
        if (!ok) cr_assert_str_eq(err.text, "no way from 'web' to 'vault' works");
    }
}

/* A link that says 'direct' is not the same as none: restores would go another way. */
Test(link_test, advises_to_take_a_link_away_where_none_is_needed, .init = cr_redirect_stderr)
{
    struct err err = {0};
    told.connection = CONNECTION(REVERSE);
    told.works = 1u << CONNECTION(DIRECT);
    cr_assert(test_link(NULL, &err), "%s", err.text);
    (void)fflush(stderr);
    cr_assert_stderr_eq_str("warning: the way that is set does not work: 'sealift link remove web vault'\n");
}

Test(link_test, of_a_host_that_is_not_there_says_so_after_the_first)
{
    struct err err = {0};
    told.away = true;
    cr_assert_not(test_link("p:1", &err));
    cr_assert_eq(err.code, ERR_UNREACHABLE);
    cr_assert_str_eq(err.text, "transporter 'web' is not connected");
    cr_assert_str_eq(told.tried, "direct ;");
}

/* What a director says is not believed to make sense. */
Test(pair, believes_no_link_with_half_an_address)
{
    struct err err = {0};
    AUTO(link_table) struct link_table links = {0};
    told.connection = CONNECTION(DIRECT);
    told.proxy = "p";
    small_site_init(&site, answers);
    cr_assert_not(pair_links(&site.cli, &links, &err));
    cr_assert_str_eq(err.text, "the director's list of links: the proxy: 'p' has no port: HOST:PORT");
    cr_assert_eq(links.count, 0);
    told.proxy = "p:1";
    cr_assert(pair_links(&site.cli, &links, &err), "%s", err.text);
    cr_assert_eq(links.count, 1);
    small_site_deinit(&site);
}

Test(pair, says_who_dials)
{
    static const struct {
        struct way_wish way;
        const char *words;
    } cases[] = {
        {{.connection = CONNECTION(DIRECT)}, "web dials vault"},
        {{.connection = CONNECTION(DIRECT), .proxy = "s:1"}, "web dials vault through s:1"},
        {{.connection = CONNECTION(REVERSE)}, "vault dials web"},
        {{.connection = CONNECTION(RENDEZVOUS), .proxy = "m:1"}, "web and vault dial m:1"},
    };
    const struct pair pair = {.source = {1}, .target = {2}, .source_name = "web", .target_name = "vault"};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        AUTO(buf) struct buf words = {0};
        pair_words(&cases[i].way, &pair, &words);
        cr_assert_str_eq(buf_cstr(&words), cases[i].words);
    }
}
