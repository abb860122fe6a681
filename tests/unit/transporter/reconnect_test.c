#include "target_host.h"

#include <criterion/criterion.h>
#include <string.h>

/* A host that is the target of a run: the run waits for its source, and tells its progress all the time. */
static struct target_host host;
static struct fake_director *const director = &host.director;
static const struct id run = {{1}};

static void setup(void)
{
    target_host_start(&host);
    Sealift__Assign body;
    const struct target_assignment assignment = {.run = run,
                                                 .side = SEALIFT__RUN_SIDE__SIDE_TARGET,
                                                 .version = 1,
                                                 .peer = director->site.target->known.sign_pk};
    Sealift__Head head = target_host_assign(&assignment, &body);
    fake_director_send(director, &head, span_of(NULL, 0));
    AUTO(head) Sealift__Head *ready = fake_director_expect(director, SEALIFT__HEAD__KIND_RUN_READY);
    AUTO(head) Sealift__Head *progress = fake_director_expect(director, SEALIFT__HEAD__KIND_RUN_PROGRESS);
}

static void teardown(void)
{
    target_host_stop(&host);
}

TestSuite(reconnect, .init = setup, .fini = teardown, .timeout = 60);

/* The first message on a connection that is not the one of before. */
static Sealift__Head *first_after_the_cut(void)
{
    struct net_peer before = director->peer;
    net_socket_drop(director->socket, &before);
    for (;;) {
        AUTO(net_message) struct net_message message = {0};
        Sealift__Head *head = NULL;
        struct net_peer from;
        enum net_fault fault;
        struct err err = {0};
        cr_assert_eq(net_socket_recv(director->socket, &from, &message, &fault, 10000), NET_OK);
        if (from.route == before.route) continue;
        director->peer = from;
        cr_assert(head_decode(CHANNEL_TRANSPORTER_TO_DIRECTOR, net_message_header(&message),
                              net_message_payload(&message).len, &head, &err),
                  "%s", err.text);
        return head;
    }
}

/* Without a word on several connections, one after the other, it would be taken for a refusal. */
static void welcome(void)
{
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Welcome body = SEALIFT__WELCOME__INIT;
    head.kind_case = SEALIFT__HEAD__KIND_WELCOME;
    head.welcome = &body;
    fake_director_send(director, &head, span_of(NULL, 0));
}

Test(reconnect, begins_with_hello_while_a_run_tells_its_progress)
{
    /* the welcome may be lost with its connection: after three such cuts the transporter waits for 10 s */
    for (int i = 0; i < 3; i++) {
        AUTO(head) Sealift__Head *first = first_after_the_cut();
        cr_assert_eq(first->kind_case, SEALIFT__HEAD__KIND_HELLO, "it began with '%s'",
                     head_name(first->kind_case));
        cr_assert_eq(first->hello->n_runs, 1);
        welcome();
    }
}

/* The word may have been lost with the connection, and without it the source is never assigned. */
Test(reconnect, tells_again_that_a_run_waits_for_its_source)
{
    AUTO(head) Sealift__Head *first = first_after_the_cut();
    cr_assert_eq(first->kind_case, SEALIFT__HEAD__KIND_HELLO);
    AUTO(head) Sealift__Head *ready = fake_director_expect(director, SEALIFT__HEAD__KIND_RUN_READY);
    cr_assert_eq(memcmp(ready->run_ready->run.data, run.bytes, ID_LEN), 0);
    cr_assert_eq(ready->run_ready->attempt, 1);
    cr_assert_str_eq(ready->run_ready->endpoint, listener_endpoint(director->listener));
}
