/* Tests of ways, as the director leads them. */
#include "loop_site.h"

#include "common/wire/lent.h"
#include "common/wire/stored.h"

#include <criterion/criterion.h>
#include <string.h>

#define CONNECTION(name) SEALIFT__CONNECTION__CONNECTION_##name

TestSuite(loop_probes, .init = loop_setup, .fini = loop_teardown, .timeout = 60);

static void send_test(Sealift__Connection connection, const char *proxy)
{
    Sealift__Link link = SEALIFT__LINK__INIT;
    link.source = lent_bytes(signing_key(&loop.dock.signing, WEB), SIGN_PK_LEN);
    link.target = lent_bytes(signing_key(&loop.dock.signing, NAS), SIGN_PK_LEN);
    link.connection = connection;
    link.proxy = lent_text(proxy);
    Sealift__LinkTest test = SEALIFT__LINK_TEST__INIT;
    test.link = &link;
    Sealift__Head head = caller_head(&loop.anna, SEALIFT__HEAD__KIND_LINK_TEST);
    head.link_test = &test;
    caller_send(&loop.anna, &head, (struct span){0});
}

static void expect_answer(enum err_code code, const char *text, uint64_t rtt_us)
{
    AUTO(heard) struct heard heard = {0};
    AUTO(payload_link_test) Sealift__LinkTestAnswer *answer = NULL;
    struct err err;
    caller_expect(&loop.anna, SEALIFT__HEAD__KIND_DONE, &heard);
    cr_assert(payload_link_test_decode(buf_span(&heard.payload), &answer, &err), "%s", err.text);
    cr_assert_eq(answer->code, (uint32_t)code, "%u: %s", answer->code, answer->text);
    cr_assert_str_eq(answer->text, text);
    cr_assert_eq(answer->rtt_us, rtt_us);
}

static void expect_refusal(enum err_code code, const char *text)
{
    AUTO(heard) struct heard heard = {0};
    caller_expect(&loop.anna, SEALIFT__HEAD__KIND_FAIL, &heard);
    cr_assert_eq(heard.head->fail->code, (uint32_t)code);
    cr_assert_str_eq(heard.head->fail->text, text);
}

static struct id probed(struct caller *caller, Sealift__RunSide side, Sealift__Connection connection,
                        const char *endpoint, const char *proxy)
{
    AUTO(heard) struct heard heard = {0};
    caller_await(caller, SEALIFT__HEAD__KIND_PROBE, &heard);
    const Sealift__Probe *probe = heard.head->probe;
    cr_assert_eq(probe->side, side);
    cr_assert_eq(probe->connection, connection);
    cr_assert_str_eq(probe->endpoint, endpoint);
    cr_assert_str_eq(probe->proxy, proxy);
    cr_assert_eq(memcmp(probe->peer.data, signing_key(&loop.dock.signing, side == SIDE(SOURCE) ? NAS : WEB),
                        SIGN_PK_LEN),
                 0);
    cr_assert_eq(probe->rendezvous.len, connection == CONNECTION(DIRECT) ? 0 : WAY_NAME_LEN);
    return stored_id(&probe->id);
}

static void say_ready(struct caller *caller, const struct id *id, const char *endpoint)
{
    Sealift__ProbeReady ready = SEALIFT__PROBE_READY__INIT;
    ready.id = lent_id(id);
    ready.endpoint = lent_text(endpoint);
    Sealift__Head head = caller_head(caller, SEALIFT__HEAD__KIND_PROBE_READY);
    head.probe_ready = &ready;
    caller_send(caller, &head, (struct span){0});
}

static void say_end(struct caller *caller, const struct id *id, Sealift__RunSide side, enum err_code code,
                    const char *text)
{
    Sealift__ProbeEnd end = SEALIFT__PROBE_END__INIT;
    end.id = lent_id(id);
    end.side = side;
    end.code = code;
    end.text = lent_text(text);
    end.rtt_us = side == SIDE(SOURCE) ? 250 : 0;
    Sealift__Head head = caller_head(caller, SEALIFT__HEAD__KIND_PROBE_END);
    head.probe_end = &end;
    caller_send(caller, &head, (struct span){0});
}

Test(loop_probes, tell_the_target_first_and_believe_the_source)
{
    loop_connect_hosts();
    send_test(CONNECTION(DIRECT), "socks:1080");
    struct id id = probed(&loop.nas, SIDE(TARGET), CONNECTION(DIRECT), "", "");
    say_end(&loop.web, &id, SIDE(SOURCE), 0, ""); /* too early: it was not asked */
    caller_expect_silence(&loop.web);
    say_ready(&loop.nas, &id, "tcp://nas:9448");
    struct id same = probed(&loop.web, SIDE(SOURCE), CONNECTION(DIRECT), "tcp://nas:9448", "socks:1080");
    cr_assert(id_eq(&id, &same));
    say_end(&loop.nas, &id, SIDE(TARGET), 0, "");
    say_end(&loop.web, &id, SIDE(SOURCE), 0, "");
    expect_answer(ERR_NONE, "", 250);
}

Test(loop_probes, in_reverse_give_the_target_the_sources_port_and_hear_who_dials)
{
    loop.dock.reverse = "web.example:9450";
    loop_connect_hosts();
    send_test(CONNECTION(REVERSE), "");
    struct id id = probed(&loop.nas, SIDE(TARGET), CONNECTION(REVERSE), "web.example:9450", "");
    say_ready(&loop.nas, &id, "");
    (void)probed(&loop.web, SIDE(SOURCE), CONNECTION(REVERSE), "", "");
    say_end(&loop.web, &id, SIDE(SOURCE), ERR_UNREACHABLE, "nobody came");
    say_end(&loop.nas, &id, SIDE(TARGET), ERR_UNREACHABLE, "web.example:9450 refuses connections");
    expect_answer(ERR_UNREACHABLE, "nas: web.example:9450 refuses connections", 0);
}

Test(loop_probes, take_the_word_of_the_other_side_when_the_one_that_dials_says_nothing)
{
    loop_connect_hosts();
    send_test(CONNECTION(DIRECT), "");
    struct id id = probed(&loop.nas, SIDE(TARGET), CONNECTION(DIRECT), "", "");
    say_ready(&loop.nas, &id, "tcp://nas:9448");
    (void)probed(&loop.web, SIDE(SOURCE), CONNECTION(DIRECT), "tcp://nas:9448", "");
    say_end(&loop.nas, &id, SIDE(TARGET), ERR_UNREACHABLE, "nobody came");
    expect_answer(ERR_UNREACHABLE, "nas: nobody came", 0);
}

Test(loop_probes, end_with_a_target_that_cannot_even_listen)
{
    loop_connect_hosts();
    send_test(CONNECTION(RENDEZVOUS), "meet:9449");
    struct id id = probed(&loop.nas, SIDE(TARGET), CONNECTION(RENDEZVOUS), "", "meet:9449");
    say_end(&loop.nas, &id, SIDE(TARGET), ERR_UNREACHABLE, "meet:9449 refuses connections");
    expect_answer(ERR_UNREACHABLE, "nas: meet:9449 refuses connections", 0);
}

Test(loop_probes, need_both_hosts_and_a_way_that_makes_sense)
{
    loop.dock.reverse = NULL;
    caller_dial(&loop.nas, &loop.dock, CONTROL_PORT, NAS);
    caller_hello(&loop.nas, 1, loop.dock.signing.roster_version, NULL);
    send_test(CONNECTION(DIRECT), "");
    expect_refusal(ERR_UNREACHABLE,
                   "transporter 'web' is not connected to the director: it has to be, for a test");
    caller_dial(&loop.web, &loop.dock, CONTROL_PORT, WEB);
    caller_hello(&loop.web, 1, loop.dock.signing.roster_version, NULL);
    send_test(CONNECTION(NONE), "");
    expect_refusal(ERR_USAGE, "a test without a connection");
    send_test(CONNECTION(RENDEZVOUS), "");
    expect_refusal(ERR_USAGE, "a rendezvous needs a proxy, HOST:PORT, that both transporters can dial");
    send_test(CONNECTION(REVERSE), "");
    expect_answer(ERR_UNREACHABLE,
                  "'nas' is to dial 'web', which has no reverse port: set data.reverse.listen and "
                  "data.reverse.advertise in the configuration of 'web'",
                  0);
    caller_expect_silence(&loop.nas);
}

Test(loop_probes, of_a_transporter_that_leaves_or_does_not_know_them_end_with_words)
{
    loop_connect_hosts();
    send_test(CONNECTION(DIRECT), "");
    (void)probed(&loop.nas, SIDE(TARGET), CONNECTION(DIRECT), "", "");
    expect_answer(
        ERR_UNREACHABLE,
        "transporter 'nas' did not answer: does it hang, or is it of an older version, which cannot be "
        "tested?",
        0);
    send_test(CONNECTION(DIRECT), "");
    struct id id = probed(&loop.nas, SIDE(TARGET), CONNECTION(DIRECT), "", "");
    caller_hang_up(&loop.web);
    expect_answer(ERR_UNREACHABLE, "transporter 'web' lost its connection to the director during the test",
                  0);
    say_ready(&loop.nas, &id, "tcp://nas:9448");
    say_end(&loop.nas, &id, SIDE(TARGET), 0, "");
    caller_expect_silence(&loop.nas);
}

Test(loop_probes, are_so_many_at_a_time_and_no_more)
{
    enum { MOST = 16 };
    loop_connect_hosts();
    for (int i = 0; i < MOST; i++)
        send_test(CONNECTION(DIRECT), "");
    send_test(CONNECTION(DIRECT), "");
    expect_refusal(ERR_BUSY, "16 links are being tested already");
    struct id first = probed(&loop.nas, SIDE(TARGET), CONNECTION(DIRECT), "", "");
    say_end(&loop.nas, &first, SIDE(TARGET), ERR_POLICY, "not today");
    expect_answer(ERR_POLICY, "nas: not today", 0);
    send_test(CONNECTION(DIRECT), "");
    for (int i = 0; i < MOST; i++) {
        struct id next = probed(&loop.nas, SIDE(TARGET), CONNECTION(DIRECT), "", "");
        say_end(&loop.nas, &next, SIDE(TARGET), ERR_FAILED, "");
        expect_answer(ERR_FAILED, "nas: it does not say why", 0);
    }
}
