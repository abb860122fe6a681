#include "fake_director.h"

#include "common/base/alloc.h"
#include "common/wire/stored.h"
#include "tests/unit/session/site_statements.h"

#include <criterion/criterion.h>
#include <string.h>

/* A host that is the target of a run: the run waits for its source, and tells its progress all the time. */
static struct fake_director director;
static const struct id repository_id = {{4}}, job_id = {{7}}, run = {{1}};
static char *root;

static void deliver(struct statement *statement)
{
    fake_director_deliver(&director, buf_span(&statement->bytes));
    statement_free(statement);
}

static void expect_open(void)
{
    AUTO(head) Sealift__Head *state = fake_director_expect(&director, SEALIFT__HEAD__KIND_REPOSITORY_STATE);
    cr_assert_eq(state->repository_state->code, 0, "%s", state->repository_state->text);
}

static void assign(void)
{
    static const uint8_t ticket[32] = {1};
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Assign body = SEALIFT__ASSIGN__INIT;
    body.run = stored_bytes(span_of(run.bytes, ID_LEN));
    body.attempt = 1;
    body.side = SEALIFT__RUN_SIDE__SIDE_TARGET;
    body.subject = SEALIFT__STATEMENT_TYPE__STATEMENT_JOB;
    body.subject_id = stored_bytes(span_of(job_id.bytes, ID_LEN));
    body.subject_version = 1;
    body.ticket = stored_bytes(span_of(ticket, 32));
    body.peer = stored_bytes(span_of(director.site.target->known.sign_pk, SIGN_PK_LEN));
    head.kind_case = SEALIFT__HEAD__KIND_ASSIGN;
    head.assign = &body;
    fake_director_send(&director, &head, span_of(NULL, 0));
}

static void setup(void)
{
    fake_director_start(&director);
    root = xasprintf("%s/repository", director.state);
    director.policy.repository_roots = &root;
    director.policy.repository_count = 1;
    deliver(site_roster(&director.site,
                        &(struct roster_draft){.version = 1, .target_zone = SEALIFT__ZONE__ZONE_TRUSTED}));
    AUTO(head) Sealift__Head *hello = fake_director_expect(&director, SEALIFT__HEAD__KIND_HELLO);
    deliver(site_repository(&director.site,
                            &(struct repository_draft){.id = repository_id,
                                                       .name = "here",
                                                       .path = root,
                                                       .owner = director.site.source,
                                                       .kind = SEALIFT__STORE_KIND__STORE_PLAINTEXT}));
    expect_open();
    deliver(site_backup(&director.site, &(struct backup_draft){.id = job_id,
                                                               .repository = repository_id,
                                                               .version = 1,
                                                               .source = director.site.target,
                                                               .path = "/nothing"}));
    assign();
    AUTO(head) Sealift__Head *ready = fake_director_expect(&director, SEALIFT__HEAD__KIND_RUN_READY);
    AUTO(head) Sealift__Head *progress = fake_director_expect(&director, SEALIFT__HEAD__KIND_RUN_PROGRESS);
}

static void teardown(void)
{
    fake_director_stop(&director);
    free(root);
}

TestSuite(reconnect, .init = setup, .fini = teardown, .timeout = 60);

/* The first message on a connection that is not the one of before. */
static Sealift__Head *first_after_the_cut(void)
{
    struct net_peer before = director.peer;
    net_socket_drop(director.socket, &before);
    for (;;) {
        AUTO(net_message) struct net_message message = {0};
        Sealift__Head *head = NULL;
        struct net_peer from;
        enum net_fault fault;
        struct err err = {0};
        cr_assert_eq(net_socket_recv(director.socket, &from, &message, &fault, 10000), NET_OK);
        if (from.route == before.route) continue;
        director.peer = from;
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
    fake_director_send(&director, &head, span_of(NULL, 0));
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
    AUTO(head) Sealift__Head *ready = fake_director_expect(&director, SEALIFT__HEAD__KIND_RUN_READY);
    cr_assert_eq(memcmp(ready->run_ready->run.data, run.bytes, ID_LEN), 0);
    cr_assert_eq(ready->run_ready->attempt, 1);
    cr_assert_str_eq(ready->run_ready->endpoint, listener_endpoint(director.listener));
}
