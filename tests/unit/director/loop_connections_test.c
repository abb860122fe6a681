/* Who is connected, who is dropped, and why. */
#include "loop_site.h"

#include "common/wire/lent.h"

#include <criterion/criterion.h>
#include <string.h>

TestSuite(loop_connections, .init = loop_setup, .fini = loop_teardown, .timeout = 60);

static const Sealift__TransporterStatus *status_of(const Sealift__StatusAnswer *answer,
                                                   enum signing_member member)
{
    for (size_t i = 0; i < answer->n_transporters; i++)
        if (memcmp(answer->transporters[i]->sign_pk.data, signing_key(&loop.dock.signing, member),
                   SIGN_PK_LEN) == 0)
            return answer->transporters[i];
    cr_assert_fail("the transporter is not in the status");
    return NULL;
}

static uint32_t connected(enum signing_member member)
{
    AUTO(payload_status) Sealift__StatusAnswer *answer = loop_status();
    return status_of(answer, member)->connected;
}

Test(loop_connections, notices_a_transporter_that_has_gone)
{
    loop_connect_hosts();
    cr_assert_eq(connected(WEB), 1);
    caller_hang_up(&loop.web);
    for (int i = 0; i < 2000 && connected(WEB); i++) {
    } /* each look is a round trip, and gives the loop a turn */
    cr_assert_eq(connected(WEB), 0);
    cr_assert_eq(connected(NAS), 1);
}

Test(loop_connections, listens_to_the_newest_connection_of_a_transporter)
{
    caller_dial(&loop.web, &loop.dock, CONTROL_PORT, WEB);
    caller_hello(&loop.web, 1, 1, NULL);
    AUTO(caller) struct caller newer = {0};
    caller_dial(&newer, &loop.dock, CONTROL_PORT, WEB);
    caller_hello(&newer, 2, 1, NULL);
    caller_expect_cut(&loop.web);
    caller_expect_silence(&newer);
}

Test(loop_connections, wants_a_hello_before_anything_else)
{
    caller_dial(&loop.web, &loop.dock, CONTROL_PORT, WEB);
    struct id run = {{1}};
    caller_ready(&loop.web, &run, 1);
    caller_expect_cut(&loop.web);
}

Test(loop_connections, drops_a_transporter_that_leaves_the_roster)
{
    loop_put_store();
    loop_put_job();
    loop_connect_hosts();
    struct id run = loop_run_to_running();
    loop.dock.signing.transporters = 1u << NAS | 1u << LAB;
    AUTO(heard) struct heard heard = {0};
    buf_clear(&loop.dock.chain);
    signing_roster(&loop.dock.signing, ANNA, &loop.dock.chain);
    Sealift__Put put = SEALIFT__PUT__INIT;
    Sealift__Head head = caller_head(&loop.anna, SEALIFT__HEAD__KIND_PUT);
    head.put = &put;
    caller_send(&loop.anna, &head, buf_span(&loop.dock.chain));
    caller_expect_cut(&loop.web);
    caller_await(&loop.nas, SEALIFT__HEAD__KIND_CANCEL, &heard);
    caller_end(&loop.nas, &run, 1, SIDE(TARGET), ERR_CANCELLED, "", (struct span){0});
    loop_expect_event(&loop.anna, STATE(FAILED), &heard);
    cr_assert_str_eq(heard.head->run_event->row->text, "transporter 'web' is not in the roster any more");
}

Test(loop_connections, drops_an_operator_who_leaves_the_roster)
{
    AUTO(caller) struct caller ben = {0};
    caller_dial(&ben, &loop.dock, OPERATOR_PORT, BEN);
    caller_expect_silence(&ben);
    loop.dock.signing.without_ben = true;
    caller_put_roster(&loop.anna);
    caller_expect_cut(&ben);
}

/* Requests until the connection takes no more, which it does as long as the director reads it. */
static void ask_without_reading(struct caller *caller)
{
    AUTO(buf) struct buf header = {0};
    Sealift__StatusGet ask = SEALIFT__STATUS_GET__INIT;
    Sealift__Head head = caller_head(caller, SEALIFT__HEAD__KIND_STATUS_GET);
    head.status_get = &ask;
    head_encode(&head, &header);
    for (size_t i = 0; i < 1000000; i++) {
        struct err err;
        AUTO(net_message) struct net_message message = {0};
        cr_assert(net_message_make(&message, buf_span(&header), &err), "%s", err.text);
        if (net_socket_send(caller->socket, NULL, &message, 2000) != NET_OK) return;
    }
    cr_assert_fail("the director takes requests for ever");
}

Test(loop_connections, drops_an_operator_who_asks_and_never_reads)
{
    AUTO(caller) struct caller ben = {0};
    caller_dial(&ben, &loop.dock, OPERATOR_PORT, BEN);
    ask_without_reading(&ben);
    caller_expect_silence(&loop.anna); /* it serves the others meanwhile */
    struct net_peer from;
    enum net_fault fault;
    enum net_status status = NET_OK;
    while (status == NET_OK) { /* what was under way is still there, and then the end */
        AUTO(net_message) struct net_message message = {0};
        status = net_socket_recv(ben.socket, &from, &message, &fault, 500);
    }
    caller_expect_cut(&ben);
}

/* What is no name would be read by people all the same; more than a host can have is cut off. */
Test(loop_connections, shows_the_names_of_a_transporters_protectors)
{
    static const char *const said[][2] = {
        {"eu", "aws"}, {"../x", "aws"}, {"", "aws"}, {"evil", "no kind"}, {"vault", "kmip"}};
    Sealift__KmsOffer offers[100];
    Sealift__KmsOffer *kms[100];
    const struct id process = {{7}};
    Sealift__Hello hello = SEALIFT__HELLO__INIT;
    hello.roster_version = 1;
    hello.incarnation = lent_id(&process);
    hello.n_kms = 100;
    hello.kms = kms;
    for (size_t i = 0; i < 100; i++) {
        sealift__kms_offer__init(kms[i] = &offers[i]);
        offers[i].name = lent_text(i < 5 ? said[i][0] : "more");
        offers[i].kind = lent_text(i < 5 ? said[i][1] : "file");
    }
    caller_dial(&loop.web, &loop.dock, CONTROL_PORT, WEB);
    Sealift__Head head = caller_head(&loop.web, SEALIFT__HEAD__KIND_HELLO);
    head.hello = &hello;
    AUTO(heard) struct heard heard = {0};
    caller_send(&loop.web, &head, (struct span){0});
    caller_await(&loop.web, SEALIFT__HEAD__KIND_WELCOME, &heard);
    AUTO(payload_status) Sealift__StatusAnswer *answer = loop_status();
    const Sealift__TransporterStatus *web = status_of(answer, WEB);
    cr_assert_eq(web->n_kms, 13);
    cr_assert_str_eq(web->kms[0]->name, "eu");
    cr_assert_str_eq(web->kms[0]->kind, "aws");
    cr_assert_str_eq(web->kms[1]->name, "vault");
    cr_assert_str_eq(web->kms[1]->kind, "kmip");
    cr_assert_eq(status_of(answer, NAS)->n_kms, 0);
}

/* As many runs as a transporter has slots, and entries with the longest names. */
Test(loop_connections, takes_the_largest_hello_of_a_transporter)
{
    static const char longest[] = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl";
    struct id ids[128];
    ProtobufCBinaryData runs[128];
    Sealift__KmsOffer offers[16];
    Sealift__KmsOffer *kms[16];
    uint8_t hash[32] = {1};
    Sealift__OwnKey own = SEALIFT__OWN_KEY__INIT;
    const struct id process = {{7}};
    Sealift__Hello hello = SEALIFT__HELLO__INIT;
    for (size_t i = 0; i < 128; i++) {
        ids[i] = (struct id){{(uint8_t)i, 1}};
        runs[i] = lent_id(&ids[i]);
    }
    for (size_t i = 0; i < 16; i++) {
        sealift__kms_offer__init(kms[i] = &offers[i]);
        offers[i].name = lent_text(longest);
        offers[i].kind = lent_text("file");
    }
    own.key_id = own.domain_id = lent_bytes(hash, sizeof(hash));
    hello.version = lent_text("999.999.999-and-more");
    hello.roster_version = UINT64_MAX;
    hello.incarnation = lent_id(&process);
    hello.slots = 128;
    hello.n_runs = 128;
    hello.runs = runs;
    hello.own_key = &own;
    hello.n_kms = 16;
    hello.kms = kms;
    caller_dial(&loop.web, &loop.dock, CONTROL_PORT, WEB);
    Sealift__Head head = caller_head(&loop.web, SEALIFT__HEAD__KIND_HELLO);
    head.hello = &hello;
    AUTO(heard) struct heard heard = {0};
    caller_send(&loop.web, &head, (struct span){0});
    caller_await(&loop.web, SEALIFT__HEAD__KIND_WELCOME, &heard);
    AUTO(payload_status) Sealift__StatusAnswer *answer = loop_status();
    cr_assert_eq(status_of(answer, WEB)->n_kms, 16);
}

static bool is_asked_for_more(struct caller *caller, enum signing_member who)
{
    const struct id process = {{7}};
    Sealift__Hello hello = SEALIFT__HELLO__INIT;
    hello.roster_version = loop.dock.signing.roster_version + 1;
    hello.incarnation = lent_id(&process);
    caller_dial(caller, &loop.dock, CONTROL_PORT, who);
    Sealift__Head head = caller_head(caller, SEALIFT__HEAD__KIND_HELLO);
    head.hello = &hello;
    AUTO(heard) struct heard heard = {0};
    caller_send(caller, &head, (struct span){0});
    caller_await(caller, SEALIFT__HEAD__KIND_WELCOME, &heard);
    return heard.head->welcome->wants_back;
}

Test(loop_connections, lets_no_untrusted_transporter_have_the_schedules_wait)
{
    cr_assert_not(is_asked_for_more(&loop.nas, NAS));
    cr_assert(is_asked_for_more(&loop.web, WEB));
}
