/* Links that operators set, and what transporters are told because of them. */
#include "loop_site.h"

#include "common/wire/lent.h"

#include <criterion/criterion.h>
#include <string.h>

#define CONNECTION(name) SEALIFT__CONNECTION__CONNECTION_##name

TestSuite(loop_links, .init = loop_setup, .fini = loop_teardown, .timeout = 60);

static Sealift__Link link_of(enum signing_member source, enum signing_member target,
                             Sealift__Connection connection, const char *proxy)
{
    Sealift__Link link = SEALIFT__LINK__INIT;
    link.source = lent_bytes(signing_key(&loop.dock.signing, source), SIGN_PK_LEN);
    link.target = lent_bytes(signing_key(&loop.dock.signing, target), SIGN_PK_LEN);
    link.connection = connection;
    link.proxy = lent_text(proxy);
    return link;
}

static void put_link(Sealift__Link link)
{
    AUTO(heard) struct heard heard = {0};
    Sealift__LinkPut put = SEALIFT__LINK_PUT__INIT;
    put.link = &link;
    Sealift__Head head = caller_head(&loop.anna, SEALIFT__HEAD__KIND_LINK_PUT);
    head.link_put = &put;
    caller_ask(&loop.anna, &head, (struct span){0}, &heard);
}

static void put_link_fails(Sealift__Link *link, enum err_code code, const char *text)
{
    Sealift__LinkPut put = SEALIFT__LINK_PUT__INIT;
    put.link = link;
    Sealift__Head head = caller_head(&loop.anna, SEALIFT__HEAD__KIND_LINK_PUT);
    head.link_put = &put;
    caller_ask_fail(&loop.anna, &head, (struct span){0}, code, text);
}

static const char *name_of(const ProtobufCBinaryData *key)
{
    const struct signing *signing = &loop.dock.signing;
    return memcmp(key->data, signing_key(signing, WEB), SIGN_PK_LEN) == 0   ? "web"
           : memcmp(key->data, signing_key(signing, NAS), SIGN_PK_LEN) == 0 ? "nas"
                                                                            : "lab";
}

static void expect_links(const char *expected)
{
    AUTO(heard) struct heard heard = {0};
    AUTO(payload_link_list) Sealift__LinkListAnswer *answer = NULL;
    AUTO(buf) struct buf found = {0};
    struct err err;
    Sealift__LinkList list = SEALIFT__LINK_LIST__INIT;
    Sealift__Head head = caller_head(&loop.anna, SEALIFT__HEAD__KIND_LINK_LIST);
    head.link_list = &list;
    caller_ask(&loop.anna, &head, (struct span){0}, &heard);
    cr_assert(payload_link_list_decode(buf_span(&heard.payload), &answer, &err), "%s", err.text);
    for (size_t i = 0; i < answer->n_links; i++)
        buf_printf(&found, "%s-%s %s %s;", name_of(&answer->links[i]->source),
                   name_of(&answer->links[i]->target), connection_name(answer->links[i]->connection),
                   answer->links[i]->proxy);
    cr_assert_str_eq(buf_cstr(&found), expected);
}

Test(loop_links, are_set_replaced_removed_and_kept_over_a_restart)
{
    put_link(link_of(WEB, NAS, CONNECTION(REVERSE), ""));
    put_link(link_of(NAS, LAB, CONNECTION(DIRECT), "socks:1080"));
    put_link(link_of(WEB, NAS, CONNECTION(RENDEZVOUS), "meet:9449"));
    put_link(link_of(LAB, WEB, CONNECTION(REVERSE), ""));
    put_link(link_of(LAB, WEB, CONNECTION(NONE), ""));
    expect_links("web-nas rendezvous meet:9449;nas-lab direct socks:1080;");
    caller_hang_up(&loop.anna);
    dock_stop(&loop.dock);
    dock_start(&loop.dock);
    caller_dial(&loop.anna, &loop.dock, OPERATOR_PORT, ANNA);
    expect_links("web-nas rendezvous meet:9449;nas-lab direct socks:1080;");
}

Test(loop_links, that_make_no_sense_are_refused)
{
    Sealift__Link link = link_of(WEB, EVE, CONNECTION(DIRECT), "");
    put_link_fails(NULL, ERR_USAGE, "a request without a link");
    put_link_fails(&link, ERR_NOT_FOUND, "a link is between transporters of the roster");
    link = link_of(WEB, ANNA, CONNECTION(DIRECT), "");
    put_link_fails(&link, ERR_NOT_FOUND, "a link is between transporters of the roster");
    link = link_of(WEB, WEB, CONNECTION(DIRECT), "");
    put_link_fails(&link, ERR_USAGE, "a link is between two transporters, not of one with itself");
    link = link_of(WEB, NAS, CONNECTION(REVERSE), "p:1");
    put_link_fails(&link, ERR_USAGE,
                   "a reverse connection takes no proxy: the target dials the source's reverse port itself");
    link = link_of(WEB, NAS, CONNECTION(RENDEZVOUS), "");
    put_link_fails(&link, ERR_USAGE,
                   "a rendezvous needs a proxy, HOST:PORT, that both transporters can dial");
    link = link_of(WEB, NAS, CONNECTION(DIRECT), "p");
    put_link_fails(&link, ERR_USAGE, "the proxy: 'p' has no port: HOST:PORT");
    link = link_of(WEB, NAS, CONNECTION(NONE), "");
    put_link_fails(&link, ERR_NOT_FOUND, "this pair of transporters has no link of its own");
    expect_links("");
}

/* The next Assign, as far as it says how to meet. */
static void expect_way(struct caller *caller, Sealift__Connection connection, const char *endpoint,
                       const char *proxy, uint8_t rendezvous[WAY_NAME_LEN])
{
    AUTO(heard) struct heard heard = {0};
    caller_await(caller, SEALIFT__HEAD__KIND_ASSIGN, &heard);
    const Sealift__Assign *assign = heard.head->assign;
    cr_assert_eq(assign->connection, connection);
    cr_assert_str_eq(assign->endpoint, endpoint);
    cr_assert_str_eq(assign->proxy, proxy);
    bool named = connection != CONNECTION(DIRECT);
    cr_assert_eq(assign->rendezvous.len, named ? WAY_NAME_LEN : 0);
    if (named) memcpy(rendezvous, assign->rendezvous.data, WAY_NAME_LEN);
    if (named) cr_assert_neq(memcmp(assign->rendezvous.data, assign->ticket.data, WAY_NAME_LEN), 0);
}

/* A run of the job by this link, until both are assigned. */
static void expect_ways(Sealift__Link link, const char *to_target[2], const char *to_source[2])
{
    uint8_t names[2][WAY_NAME_LEN] = {{0}};
    put_link(link);
    loop_put_store();
    loop_put_job();
    loop.dock.reverse = "web.example:9450";
    loop_connect_hosts();
    struct id run = loop_start_job();
    expect_way(&loop.nas, link.connection, to_target[0], to_target[1], names[0]);
    caller_ready(&loop.nas, &run, 1);
    expect_way(&loop.web, link.connection, to_source[0], to_source[1], names[1]);
    cr_assert_eq(memcmp(names[0], names[1], WAY_NAME_LEN), 0);
}

Test(loop_links, direct_tells_the_source_alone_where_and_through_what_to_dial)
{
    const char *to_target[] = {"", ""}, *to_source[] = {"tcp://nas:9448", "socks:1080"};
    expect_ways(link_of(WEB, NAS, CONNECTION(DIRECT), "socks:1080"), to_target, to_source);
}

Test(loop_links, reverse_tells_the_target_alone_where_to_dial)
{
    const char *to_target[] = {"web.example:9450", ""}, *to_source[] = {"", ""};
    expect_ways(link_of(WEB, NAS, CONNECTION(REVERSE), ""), to_target, to_source);
}

Test(loop_links, rendezvous_tells_both_where_they_meet)
{
    const char *to_target[] = {"", "meet:9449"}, *to_source[] = {"", "meet:9449"};
    expect_ways(link_of(WEB, NAS, CONNECTION(RENDEZVOUS), "meet:9449"), to_target, to_source);
}

Test(loop_links, reverse_to_a_source_that_calls_nonsense_its_reverse_port_fails_at_once)
{
    put_link(link_of(WEB, NAS, CONNECTION(REVERSE), ""));
    loop_put_store();
    loop_put_job();
    loop.dock.reverse = "web.example:9450 -oProxyCommand";
    loop_connect_hosts();
    (void)loop_start_job();
    AUTO(heard) struct heard heard = {0};
    loop_expect_event(&loop.anna, STATE(FAILED), &heard);
    cr_assert_eq(heard.head->run_event->row->code, ERR_UNREACHABLE);
    cr_assert_not_null(strstr(heard.head->run_event->row->text, "which has no reverse port"));
}

Test(loop_links, a_job_that_wants_a_rendezvous_nowhere_is_refused_unless_the_link_says_where)
{
    AUTO(buf) struct buf bytes = {0};
    struct job_draft job = {
        .id = loop_job, .name = "web-daily", .repository = loop_store, .connection = CONNECTION(RENDEZVOUS)};
    signing_job(&loop.dock.signing, &job, &bytes);
    loop_put_store();
    Sealift__Put put = SEALIFT__PUT__INIT;
    Sealift__Head head = caller_head(&loop.anna, SEALIFT__HEAD__KIND_PUT);
    head.put = &put;
    caller_ask_fail(
        &loop.anna, &head, buf_span(&bytes), ERR_USAGE,
        "job 'web-daily': 'web' and 'nas' are to meet, and no proxy is known where: 'sealift link "
        "set web nas --connection rendezvous --proxy HOST:PORT'");
    put_link(link_of(NAS, WEB, CONNECTION(RENDEZVOUS), "meet:9449"));
    caller_put(&loop.anna, &bytes);
}

Test(loop_links, of_a_transporter_that_leaves_the_roster_are_forgotten)
{
    put_link(link_of(WEB, LAB, CONNECTION(REVERSE), ""));
    put_link(link_of(WEB, NAS, CONNECTION(REVERSE), ""));
    loop.dock.signing.transporters &= ~(1u << LAB);
    caller_put_roster(&loop.anna);
    expect_links("web-nas reverse ;");
}
