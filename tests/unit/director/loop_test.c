/* A director, an operator and transporters over real sockets. */
#include "dock.h"

#include "common/wire/stored.h"
#include "common/wire/lent.h"

#include <criterion/criterion.h>
#include <string.h>

#define STATE(name) SEALIFT__RUN_STATE__RUN_##name
#define SIDE(name) SEALIFT__RUN_SIDE__SIDE_##name

static struct dock dock;
static struct caller anna, web, nas;
static const struct id store = {{1}}, job = {{2}};

static void setup(void)
{
    dock_init(&dock);
    dock_start(&dock);
    caller_dial(&anna, &dock, OPERATOR_PORT, ANNA);
    caller_claim(&anna);
}

static void teardown(void)
{
    caller_hang_up(&anna);
    caller_hang_up(&web);
    caller_hang_up(&nas);
    dock_deinit(&dock);
}

TestSuite(loop, .init = setup, .fini = teardown, .timeout = 60);

static ProtobufCBinaryData bytes_of(const struct id *id)
{
    return stored_bytes(span_of(id->bytes, ID_LEN));
}

static void put_store(void)
{
    AUTO(buf) struct buf bytes = {0};
    signing_repository(&dock.signing, &store, 1, "main", NAS, SEALIFT__STORE_KIND__STORE_ENCRYPTED, &bytes);
    caller_put(&anna, &bytes);
}

static void put_job(void)
{
    AUTO(buf) struct buf bytes = {0};
    signing_job(&dock.signing, &(struct job_draft){.id = job, .name = "web-daily", .repository = store},
                &bytes);
    caller_put(&anna, &bytes);
}

static void connect_hosts(void)
{
    caller_dial(&web, &dock, CONTROL_PORT, WEB);
    caller_dial(&nas, &dock, CONTROL_PORT, NAS);
    caller_hello(&web, 1, dock.signing.roster_version, NULL);
    caller_hello(&nas, 1, dock.signing.roster_version, NULL);
}

static struct id start_job(void)
{
    Sealift__RunStart start = SEALIFT__RUN_START__INIT;
    start.job = bytes_of(&job);
    Sealift__Head head = caller_head(&anna, SEALIFT__HEAD__KIND_RUN_START);
    head.run_start = &start;
    AUTO(heard) struct heard heard = {0};
    caller_ask(&anna, &head, (struct span){0}, &heard);
    cr_assert_eq(heard.head->done->run.len, ID_LEN);
    return stored_id(&heard.head->done->run);
}

static void follow(struct caller *caller, const struct id *run)
{
    Sealift__RunFollow ask = SEALIFT__RUN_FOLLOW__INIT;
    ask.run = bytes_of(run);
    Sealift__Head head = caller_head(caller, SEALIFT__HEAD__KIND_RUN_FOLLOW);
    head.run_follow = &ask;
    caller_send(caller, &head, (struct span){0});
}

/* Events up to the one that shows the state. */
static void expect_event(struct caller *caller, Sealift__RunState state, struct heard *out)
{
    do {
        caller_await(caller, SEALIFT__HEAD__KIND_RUN_EVENT, out);
    } while (out->head->run_event->row->state != state);
}

static struct id run_to_running(void)
{
    struct id run = start_job();
    struct id assigned = caller_assigned(&nas, 1, SIDE(TARGET));
    cr_assert(id_eq(&run, &assigned));
    caller_ready(&nas, &run, 1);
    (void)caller_assigned(&web, 1, SIDE(SOURCE));
    caller_progress(&web, &run, 1, SIDE(SOURCE), STATE(RUNNING));
    AUTO(heard) struct heard heard = {0};
    expect_event(&anna, STATE(RUNNING), &heard);
    return run;
}

static Sealift__StatusAnswer *status(void)
{
    Sealift__StatusGet ask = SEALIFT__STATUS_GET__INIT;
    Sealift__Head head = caller_head(&anna, SEALIFT__HEAD__KIND_STATUS_GET);
    head.status_get = &ask;
    AUTO(heard) struct heard heard = {0};
    caller_send(&anna, &head, (struct span){0});
    caller_await(&anna, SEALIFT__HEAD__KIND_DONE, &heard);
    Sealift__StatusAnswer *answer = NULL;
    struct err err;
    cr_assert(payload_status_decode(buf_span(&heard.payload), &answer, &err), "%s", err.text);
    return answer;
}

static uint32_t connected(enum signing_member member)
{
    AUTO(payload_status) Sealift__StatusAnswer *answer = status();
    for (size_t i = 0; i < answer->n_transporters; i++)
        if (memcmp(answer->transporters[i]->sign_pk.data, signing_key(&dock.signing, member), SIGN_PK_LEN) ==
            0)
            return answer->transporters[i]->connected;
    cr_assert_fail("the transporter is not in the status");
    return 0;
}

/* ---- statements on their way */

static void expect_delivered(struct caller *caller, Sealift__StatementType type, const struct id *id)
{
    AUTO(heard) struct heard heard = {0};
    do {
        caller_expect(caller, SEALIFT__HEAD__KIND_DELIVER, &heard);
        AUTO(statement) struct statement *statement = signing_decode(&heard.payload);
        if (statement->type == type && id_eq(&statement->id, id)) return;
    } while (true);
}

Test(loop, delivers_what_concerns_each_when_it_is_put)
{
    connect_hosts();
    put_store();
    expect_delivered(&nas, SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY, &store);
    expect_delivered(&web, SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY, &store);
    AUTO(caller) struct caller lab = {0};
    caller_dial(&lab, &dock, CONTROL_PORT, LAB);
    caller_hello(&lab, 1, 1, NULL);
    expect_delivered(&lab, SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY, &store);
    put_job();
    expect_delivered(&web, SEALIFT__STATEMENT_TYPE__STATEMENT_JOB, &job);
    caller_expect_silence(&lab);
}

Test(loop, delivers_everything_again_at_hello_with_the_rosters_first)
{
    put_store();
    put_job();
    caller_put_roster(&anna);
    AUTO(buf) struct buf unlock = {0};
    AUTO(buf) struct buf grant = {0};
    AUTO(heard) struct heard heard = {0};
    signing_unlock(4, &unlock);
    signing_grant(&dock.signing, &(struct id){{5}}, 1, 4, buf_span(&unlock), WEB, &grant);
    Sealift__PutUnlock put = SEALIFT__PUT_UNLOCK__INIT;
    Sealift__Head head = caller_head(&anna, SEALIFT__HEAD__KIND_PUT_UNLOCK);
    head.put_unlock = &put;
    caller_ask(&anna, &head, buf_span(&unlock), &heard);
    caller_put(&anna, &grant);

    caller_dial(&web, &dock, CONTROL_PORT, WEB);
    caller_hello(&web, 1, 0, NULL);
    static const Sealift__StatementType order[] = {
        SEALIFT__STATEMENT_TYPE__STATEMENT_ROSTER, SEALIFT__STATEMENT_TYPE__STATEMENT_ROSTER,
        SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY, SEALIFT__STATEMENT_TYPE__STATEMENT_JOB};
    for (size_t i = 0; i < 4; i++) {
        caller_expect(&web, SEALIFT__HEAD__KIND_DELIVER, &heard);
        AUTO(statement) struct statement *statement = signing_decode(&heard.payload);
        cr_assert_eq(statement->type, order[i]);
        if (i < 2) cr_assert_eq(statement->version, i + 1);
    }
    caller_expect(&web, SEALIFT__HEAD__KIND_DELIVER_UNLOCK, &heard);
    cr_assert(span_eq(buf_span(&heard.payload), buf_span(&unlock)));
    caller_expect(&web, SEALIFT__HEAD__KIND_DELIVER, &heard);
    cr_assert(span_eq(buf_span(&heard.payload), buf_span(&grant)));
    caller_expect_silence(&web);
}

Test(loop, refuses_a_grant_whose_unlock_section_it_does_not_have)
{
    AUTO(buf) struct buf unlock = {0};
    AUTO(buf) struct buf grant = {0};
    signing_unlock(4, &unlock);
    signing_grant(&dock.signing, &(struct id){{5}}, 1, 4, buf_span(&unlock), WEB, &grant);
    Sealift__Put put = SEALIFT__PUT__INIT;
    Sealift__Head head = caller_head(&anna, SEALIFT__HEAD__KIND_PUT);
    head.put = &put;
    caller_ask_fail(&anna, &head, buf_span(&grant), ERR_NOT_FOUND, NULL);
    Sealift__PutUnlock put_unlock = SEALIFT__PUT_UNLOCK__INIT;
    head = caller_head(&anna, SEALIFT__HEAD__KIND_PUT_UNLOCK);
    head.put_unlock = &put_unlock;
    caller_ask_fail(&anna, &head, span_str("not a section"), ERR_DAMAGED, NULL);
}

Test(loop, gives_back_what_was_put_in_parts)
{
    put_store();
    for (int i = 0; i < 3; i++)
        caller_put_roster(&anna);
    Sealift__Get get = SEALIFT__GET__INIT;
    get.what = SEALIFT__GET_KIND__GET_ROSTERS;
    get.from = 2;
    Sealift__Head head = caller_head(&anna, SEALIFT__HEAD__KIND_GET);
    head.get = &get;
    AUTO(heard) struct heard heard = {0};
    caller_ask(&anna, &head, (struct span){0}, &heard);
    AUTO(payload_blobs) Sealift__Blobs *blobs = NULL;
    struct err err;
    cr_assert(payload_blobs_decode(buf_span(&heard.payload), &blobs, &err), "%s", err.text);
    cr_assert_eq(blobs->n_blob, 2);
    cr_assert_eq(heard.head->done->count, 4, "how many there are in all");
    cr_assert(span_eq(stored_span(&blobs->blob[1]), buf_span(&dock.chain)), "the newest comes last");

    get.what = SEALIFT__GET_KIND__GET_STATEMENTS;
    get.type = SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY;
    get.from = 0;
    head = caller_head(&anna, SEALIFT__HEAD__KIND_GET);
    head.get = &get;
    caller_ask(&anna, &head, (struct span){0}, &heard);
    cr_assert_eq(heard.head->done->count, 1);
    get.what = SEALIFT__GET_KIND__GET_POINT;
    get.id = bytes_of(&job);
    head = caller_head(&anna, SEALIFT__HEAD__KIND_GET);
    head.get = &get;
    caller_ask_fail(&anna, &head, (struct span){0}, ERR_NOT_FOUND, "there is no such point");
}

/* ---- runs */

Test(loop, carries_a_backup_from_start_to_end)
{
    put_store();
    put_job();
    connect_hosts();
    struct id run = run_to_running();
    caller_progress(&web, &run, 1, SIDE(SOURCE), STATE(COMMITTING));
    caller_end(&nas, &run, 1, SIDE(TARGET), 0, "", (struct span){0});
    caller_end(&web, &run, 1, SIDE(SOURCE), 0, "", (struct span){0});
    AUTO(heard) struct heard heard = {0};
    expect_event(&anna, STATE(OK), &heard);
    cr_assert_eq(heard.head->run_event->ended, 1);
    cr_assert_eq(heard.head->run_event->row->counters->files, 7);
    cr_assert_eq(heard.head->run_event->row->code, 0);

    Sealift__RunList list = SEALIFT__RUN_LIST__INIT;
    list.job = bytes_of(&job);
    Sealift__Head head = caller_head(&anna, SEALIFT__HEAD__KIND_RUN_LIST);
    head.run_list = &list;
    caller_ask(&anna, &head, (struct span){0}, &heard);
    AUTO(payload_run_list) Sealift__RunListAnswer *rows = NULL;
    struct err err;
    cr_assert(payload_run_list_decode(buf_span(&heard.payload), &rows, &err), "%s", err.text);
    cr_assert_eq(rows->n_rows, 1);
    cr_assert_eq(rows->rows[0]->state, STATE(OK));
    cr_assert(rows->rows[0]->ended_ns >= rows->rows[0]->started_ns);
}

Test(loop, refuses_a_second_run_of_a_job_and_a_run_of_nothing)
{
    put_store();
    put_job();
    (void)start_job();
    AUTO(heard) struct heard heard = {0};
    caller_expect(&anna, SEALIFT__HEAD__KIND_RUN_EVENT, &heard);
    Sealift__RunStart start = SEALIFT__RUN_START__INIT;
    start.job = bytes_of(&job);
    Sealift__Head head = caller_head(&anna, SEALIFT__HEAD__KIND_RUN_START);
    head.run_start = &start;
    caller_ask_fail(&anna, &head, (struct span){0}, ERR_BUSY, "the job has a run already, which is queued");
    start.job = bytes_of(&store);
    head = caller_head(&anna, SEALIFT__HEAD__KIND_RUN_START);
    head.run_start = &start;
    caller_ask_fail(&anna, &head, (struct span){0}, ERR_NOT_FOUND, "there is no such job");
}

Test(loop, stops_a_run_by_telling_both_sides)
{
    put_store();
    put_job();
    connect_hosts();
    struct id run = run_to_running();
    Sealift__RunStop stop = SEALIFT__RUN_STOP__INIT;
    stop.run = bytes_of(&run);
    Sealift__Head head = caller_head(&anna, SEALIFT__HEAD__KIND_RUN_STOP);
    head.run_stop = &stop;
    AUTO(heard) struct heard heard = {0};
    caller_send(&anna, &head, (struct span){0});
    caller_await(&anna, SEALIFT__HEAD__KIND_DONE, &heard);
    caller_await(&web, SEALIFT__HEAD__KIND_CANCEL, &heard);
    caller_await(&nas, SEALIFT__HEAD__KIND_CANCEL, &heard);
    caller_end(&web, &run, 1, SIDE(SOURCE), ERR_CANCELLED, "cancelled", (struct span){0});
    caller_end(&nas, &run, 1, SIDE(TARGET), ERR_CANCELLED, "cancelled", (struct span){0});
    expect_event(&anna, STATE(STOPPED), &heard);
    head = caller_head(&anna, SEALIFT__HEAD__KIND_RUN_STOP);
    head.run_stop = &stop;
    caller_ask_fail(&anna, &head, (struct span){0}, ERR_NOT_FOUND, "the run is not active");
}

Test(loop, restarted_in_the_middle_of_a_run_goes_on_with_it)
{
    put_store();
    put_job();
    connect_hosts();
    struct id run = run_to_running();
    caller_hang_up(&anna);
    caller_hang_up(&web);
    caller_hang_up(&nas);
    dock_stop(&dock);
    dock_start(&dock);
    caller_dial(&anna, &dock, OPERATOR_PORT, ANNA);
    caller_dial(&web, &dock, CONTROL_PORT, WEB);
    caller_dial(&nas, &dock, CONTROL_PORT, NAS);
    caller_hello(&web, 1, 1, &run);
    caller_hello(&nas, 1, 1, &run);
    AUTO(heard) struct heard heard = {0};
    follow(&anna, &run);
    caller_expect(&anna, SEALIFT__HEAD__KIND_DONE, &heard);
    caller_expect(&anna, SEALIFT__HEAD__KIND_RUN_EVENT, &heard);
    cr_assert_eq(heard.head->run_event->row->state, STATE(RUNNING));
    caller_end(&nas, &run, 1, SIDE(TARGET), 0, "", (struct span){0});
    caller_end(&web, &run, 1, SIDE(SOURCE), 1, "some files changed", (struct span){0});
    expect_event(&anna, STATE(OK), &heard);
    cr_assert_eq(heard.head->run_event->row->code, 1);
    cr_assert_str_eq(heard.head->run_event->row->text, "web: some files changed");
}

Test(loop, answers_the_end_of_a_run_that_it_never_heard_of)
{
    connect_hosts();
    struct id run = {{0x33}};
    caller_end(&web, &run, 1, SIDE(SOURCE), 0, "", (struct span){0});
}

Test(loop, cancels_work_that_it_did_not_give)
{
    struct id run = {{0x33}};
    caller_dial(&web, &dock, CONTROL_PORT, WEB);
    caller_hello(&web, 1, 1, &run);
    AUTO(heard) struct heard heard = {0};
    caller_expect(&web, SEALIFT__HEAD__KIND_CANCEL, &heard);
    cr_assert_eq(memcmp(heard.head->cancel->run.data, run.bytes, ID_LEN), 0);
}

/* Warnings are sealed to each operator: each gets his own, with the end and also later. */
Test(loop, hands_each_operator_the_warnings_that_are_sealed_to_him)
{
    put_store();
    put_job();
    connect_hosts();
    struct id run = run_to_running();
    Sealift__SealedCopy copies[3], *list[3];
    static const enum signing_member to[] = {ANNA, BEN, ANNA};
    static uint8_t sealed[3][80] = {{1}, {2}, {3}};
    for (size_t i = 0; i < 3; i++) {
        sealift__sealed_copy__init(&copies[i]);
        copies[i].recipient = stored_bytes(span_of(signing_key(&dock.signing, to[i]), SIGN_PK_LEN));
        copies[i].sealed = stored_bytes(span_of(sealed[i], sizeof(sealed[i])));
        list[i] = &copies[i];
    }
    Sealift__Warnings warnings = SEALIFT__WARNINGS__INIT;
    warnings.copies = list;
    warnings.n_copies = 3;
    AUTO(buf) struct buf payload = {0};
    payload_warnings_encode(&warnings, &payload);
    caller_end(&web, &run, 1, SIDE(SOURCE), 1, "warnings", buf_span(&payload));
    caller_end(&nas, &run, 1, SIDE(TARGET), 0, "", span_str("nonsense is left out"));

    AUTO(caller) struct caller ben = {0};
    caller_dial(&ben, &dock, OPERATOR_PORT, BEN);
    follow(&ben, &run);
    struct caller *operators[] = {&anna, &ben};
    for (size_t i = 0; i < 2; i++) {
        AUTO(heard) struct heard heard = {0};
        expect_event(operators[i], STATE(OK), &heard);
        cr_assert_eq(heard.head->run_event->ended, 1);
        AUTO(payload_warnings) Sealift__Warnings *mine = NULL;
        struct err err;
        cr_assert(payload_warnings_decode(buf_span(&heard.payload), &mine, &err), "%s", err.text);
        cr_assert_eq(mine->n_copies, i == 0 ? 2 : 1);
        cr_assert_eq(mine->copies[0]->sealed.data[0], i + 1);
    }
}

/* ---- connections */

Test(loop, notices_a_transporter_that_has_gone)
{
    connect_hosts();
    cr_assert_eq(connected(WEB), 1);
    caller_hang_up(&web);
    for (int i = 0; i < 2000 && connected(WEB); i++) {
    } /* each look is a round trip, and gives the loop a turn */
    cr_assert_eq(connected(WEB), 0);
    cr_assert_eq(connected(NAS), 1);
}

Test(loop, listens_to_the_newest_connection_of_a_transporter)
{
    caller_dial(&web, &dock, CONTROL_PORT, WEB);
    caller_hello(&web, 1, 1, NULL);
    AUTO(caller) struct caller newer = {0};
    caller_dial(&newer, &dock, CONTROL_PORT, WEB);
    caller_hello(&newer, 2, 1, NULL);
    caller_expect_cut(&web);
    caller_expect_silence(&newer);
}

Test(loop, wants_a_hello_before_anything_else)
{
    caller_dial(&web, &dock, CONTROL_PORT, WEB);
    struct id run = {{1}};
    caller_ready(&web, &run, 1);
    caller_expect_cut(&web);
}

Test(loop, drops_a_transporter_that_leaves_the_roster)
{
    put_store();
    put_job();
    connect_hosts();
    struct id run = run_to_running();
    dock.signing.transporters = 1u << NAS | 1u << LAB;
    AUTO(heard) struct heard heard = {0};
    buf_clear(&dock.chain);
    signing_roster(&dock.signing, ANNA, &dock.chain);
    Sealift__Put put = SEALIFT__PUT__INIT;
    Sealift__Head head = caller_head(&anna, SEALIFT__HEAD__KIND_PUT);
    head.put = &put;
    caller_send(&anna, &head, buf_span(&dock.chain));
    caller_expect_cut(&web);
    caller_await(&nas, SEALIFT__HEAD__KIND_CANCEL, &heard);
    caller_end(&nas, &run, 1, SIDE(TARGET), ERR_CANCELLED, "", (struct span){0});
    expect_event(&anna, STATE(FAILED), &heard);
    cr_assert_str_eq(heard.head->run_event->row->text, "transporter 'web' is not in the roster any more");
}

Test(loop, drops_an_operator_who_leaves_the_roster)
{
    AUTO(caller) struct caller ben = {0};
    caller_dial(&ben, &dock, OPERATOR_PORT, BEN);
    caller_expect_silence(&ben);
    dock.signing.without_ben = true;
    caller_put_roster(&anna);
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

Test(loop, drops_an_operator_who_asks_and_never_reads)
{
    AUTO(caller) struct caller ben = {0};
    caller_dial(&ben, &dock, OPERATOR_PORT, BEN);
    ask_without_reading(&ben);
    caller_expect_silence(&anna); /* it serves the others meanwhile */
    struct net_peer from;
    enum net_fault fault;
    enum net_status status = NET_OK;
    while (status == NET_OK) { /* what was under way is still there, and then the end */
        AUTO(net_message) struct net_message message = {0};
        status = net_socket_recv(ben.socket, &from, &message, &fault, 500);
    }
    caller_expect_cut(&ben);
}

/* ---- orders and their answers */

static const struct id order = {{0x0d}};

static void make_order(Sealift__OrderKind kind, uint64_t version, struct buf *out)
{
    buf_clear(out);
    signing_order(&dock.signing,
                  &(struct order_draft){
                      .id = order, .version = version, .kind = kind, .repository = store, .answer_to = ANNA},
                  out);
}

static struct id put_order(const struct buf *bytes)
{
    AUTO(heard) struct heard heard = {0};
    Sealift__Put put = SEALIFT__PUT__INIT;
    Sealift__Head head = caller_head(&anna, SEALIFT__HEAD__KIND_PUT);
    head.put = &put;
    caller_send(&anna, &head, buf_span(bytes));
    caller_await(&anna, SEALIFT__HEAD__KIND_DONE, &heard);
    cr_assert_eq(heard.head->done->run.len, ID_LEN);
    return stored_id(&heard.head->done->run);
}

Test(loop, executes_an_order_once)
{
    put_store();
    connect_hosts();
    AUTO(buf) struct buf bytes = {0};
    AUTO(heard) struct heard heard = {0};
    make_order(SEALIFT__ORDER_KIND__ORDER_RESTORE, 1, &bytes);
    struct id run = put_order(&bytes);
    caller_await(&web, SEALIFT__HEAD__KIND_DELIVER, &heard);
    expect_delivered(&web, SEALIFT__STATEMENT_TYPE__STATEMENT_ORDER, &order);
    struct id assigned = caller_assigned(&web, 1, SIDE(TARGET));
    cr_assert(id_eq(&run, &assigned));

    struct id again = put_order(&bytes);
    cr_assert(id_eq(&run, &again), "the same bytes are the same order");
    caller_expect_silence(&web);
    make_order(SEALIFT__ORDER_KIND__ORDER_RESTORE, 2, &bytes);
    Sealift__Put put = SEALIFT__PUT__INIT;
    Sealift__Head head = caller_head(&anna, SEALIFT__HEAD__KIND_PUT);
    head.put = &put;
    caller_ask_fail(&anna, &head, buf_span(&bytes), ERR_EXISTS,
                    "another order was carried out under this id");

    caller_end(&web, &run, 1, SIDE(TARGET), ERR_POLICY, "not here", (struct span){0});
    make_order(SEALIFT__ORDER_KIND__ORDER_RESTORE, 1, &bytes);
    again = put_order(&bytes);
    cr_assert(id_eq(&run, &again), "nor after its end");
    caller_expect_silence(&web);
}

static void send_answer(struct caller *caller, const struct id *run, uint64_t number, uint32_t last,
                        size_t len)
{
    AUTO(buf) struct buf sealed = {0};
    memset(buf_grow(&sealed, len), (int)number, len);
    Sealift__RunAnswer answer = SEALIFT__RUN_ANSWER__INIT;
    answer.run = bytes_of(run);
    answer.number = number;
    answer.last = last;
    Sealift__Head head = caller_head(caller, SEALIFT__HEAD__KIND_RUN_ANSWER);
    head.run_answer = &answer;
    caller_send(caller, &head, buf_span(&sealed));
}

static struct id browse(void)
{
    AUTO(buf) struct buf bytes = {0};
    make_order(SEALIFT__ORDER_KIND__ORDER_BROWSE, 1, &bytes);
    struct id run = put_order(&bytes);
    (void)caller_assigned(&web, 1, SIDE(TARGET));
    caller_ready(&web, &run, 1);
    (void)caller_assigned(&nas, 1, SIDE(SOURCE));
    return run;
}

static void expect_answer(struct caller *caller, uint64_t number, uint32_t last, size_t len)
{
    AUTO(heard) struct heard heard = {0};
    do {
        caller_await(caller, SEALIFT__HEAD__KIND_RUN_EVENT, &heard);
    } while (heard.head->run_event->number == 0);
    cr_assert_eq(heard.head->run_event->number, number);
    cr_assert_eq(heard.head->run_event->last, last);
    cr_assert_eq(heard.payload.len, len);
    cr_assert_eq(heard.payload.data[len - 1], (uint8_t)number);
}

Test(loop, relays_answers_to_the_operator_whom_the_order_names)
{
    put_store();
    connect_hosts();
    struct id run = browse();
    AUTO(caller) struct caller ben = {0};
    AUTO(heard) struct heard heard = {0};
    caller_dial(&ben, &dock, OPERATOR_PORT, BEN);
    follow(&ben, &run);
    caller_expect(&ben, SEALIFT__HEAD__KIND_DONE, &heard);
    send_answer(&web, &run, 1, 0, 1000);
    send_answer(&web, &run, 2, 0, 1000);
    caller_expect_silence(&web); /* nobody has taken them: the next Done is not theirs */
    follow(&anna, &run);
    expect_answer(&anna, 1, 0, 1000);
    expect_answer(&anna, 2, 0, 1000);
    caller_await(&web, SEALIFT__HEAD__KIND_DONE, &heard);
    caller_await(&web, SEALIFT__HEAD__KIND_DONE, &heard);
    send_answer(&web, &run, 3, 1, 1024 * 1024);
    expect_answer(&anna, 3, 1, 1024 * 1024);
    caller_await(&web, SEALIFT__HEAD__KIND_DONE, &heard);
    caller_end(&web, &run, 1, SIDE(TARGET), 0, "", (struct span){0});
    caller_end(&nas, &run, 1, SIDE(SOURCE), 0, "", (struct span){0});
    expect_event(&anna, STATE(OK), &heard);
    do { /* ben saw how far it was, and nothing else */
        caller_expect(&ben, SEALIFT__HEAD__KIND_RUN_EVENT, &heard);
        cr_assert_eq(heard.head->run_event->number, 0);
    } while (!heard.head->run_event->ended);
}

Test(loop, hands_over_waiting_answers_before_the_end)
{
    put_store();
    connect_hosts();
    struct id run = browse();
    follow(&anna, &run);
    AUTO(heard) struct heard heard = {0};
    for (uint64_t i = 1; i <= 3; i++) {
        send_answer(&web, &run, i, 0, 100);
        caller_await(&web, SEALIFT__HEAD__KIND_DONE, &heard);
    }
    caller_end(&web, &run, 1, SIDE(TARGET), 0, "", (struct span){0});
    caller_end(&nas, &run, 1, SIDE(SOURCE), 0, "", (struct span){0});
    for (uint64_t i = 1; i <= 3; i++)
        expect_answer(&anna, i, 0, 100);
    expect_event(&anna, STATE(OK), &heard);
}

/* The run may be quicker than the operator, who first hears its id and then asks to follow it. */
Test(loop, keeps_the_answers_of_a_run_that_ended_before_anybody_followed_it)
{
    put_store();
    connect_hosts();
    struct id run = browse();
    AUTO(heard) struct heard heard = {0};
    send_answer(&web, &run, 1, 0, 100);
    send_answer(&web, &run, 2, 1, 100);
    caller_end(&web, &run, 1, SIDE(TARGET), 0, "", (struct span){0});
    caller_end(&nas, &run, 1, SIDE(SOURCE), 0, "", (struct span){0});
    AUTO(caller) struct caller ben = {0};
    caller_dial(&ben, &dock, OPERATOR_PORT, BEN);
    follow(&ben, &run);
    caller_await(&ben, SEALIFT__HEAD__KIND_RUN_EVENT, &heard);
    cr_assert_eq(heard.head->run_event->number, 0, "they are not his");
    cr_assert_eq(heard.head->run_event->row->state, STATE(OK));
    follow(&anna, &run);
    expect_answer(&anna, 1, 0, 100);
    expect_answer(&anna, 2, 1, 100);
    expect_event(&anna, STATE(OK), &heard);
}

/* A reader that does not read holds up the transporter, which may have four answers under way. */
Test(loop, lets_a_slow_reader_slow_the_transporter_and_drops_one_that_does_not_wait)
{
    put_store();
    connect_hosts();
    struct id run = browse();
    for (uint64_t i = 1; i <= 4; i++)
        send_answer(&web, &run, i, 0, 1024 * 1024);
    caller_expect_silence(&web);
    send_answer(&web, &run, 5, 0, 10);
    caller_expect_cut(&web);
}

Test(loop, refuses_answers_that_nobody_asked_for)
{
    put_store();
    connect_hosts();
    struct id run = browse();
    struct id none = {{0x66}};
    send_answer(&web, &none, 1, 0, 10);
    send_answer(&nas, &run, 1, 0, 10);
    follow(&anna, &run);
    send_answer(&web, &run, 1, 1, 10);
    expect_answer(&anna, 1, 1, 10);
    caller_expect_silence(&nas);
}

/* ---- points and logs */

/* What was sent before has been dealt with. */
static void settle(struct caller *caller)
{
    static const struct id nothing = {{0xaa}};
    caller_end(caller, &nothing, 1, SIDE(SOURCE), 0, "", (struct span){0});
}

static void send_point(struct caller *caller, const struct id *repository, uint64_t number, uint8_t log_hash,
                       const struct buf *file, bool ok)
{
    uint8_t hash[HASH_LEN] = {log_hash};
    Sealift__PointNews news = SEALIFT__POINT_NEWS__INIT;
    news.repository = bytes_of(repository);
    news.number = number;
    news.time_ns = 5;
    news.log_hash = stored_bytes(span_of(hash, sizeof(hash)));
    Sealift__Head head = caller_head(caller, SEALIFT__HEAD__KIND_POINT_NEWS);
    head.point_news = &news;
    caller_send(caller, &head, buf_span(file));
    AUTO(heard) struct heard heard = {0};
    caller_await(caller, ok ? SEALIFT__HEAD__KIND_DONE : SEALIFT__HEAD__KIND_FAIL, &heard);
    cr_assert_eq(heard.head->serial, head.serial);
}

static void send_state(struct caller *caller, uint64_t serial, uint64_t number, uint8_t hash_byte)
{
    uint8_t hash[HASH_LEN] = {hash_byte};
    Sealift__RepositoryState state = SEALIFT__REPOSITORY_STATE__INIT;
    state.repository = bytes_of(&store);
    state.head_number = number;
    state.head_hash = stored_bytes(span_of(hash, sizeof(hash)));
    state.points = 1;
    Sealift__Head head = caller_head(caller, SEALIFT__HEAD__KIND_REPOSITORY_STATE);
    head.serial = serial;
    head.repository_state = &state;
    caller_send(caller, &head, (struct span){0});
}

static uint64_t expect_log_ask(struct caller *caller, uint64_t from)
{
    AUTO(heard) struct heard heard = {0};
    caller_await(caller, SEALIFT__HEAD__KIND_LOG_ASK, &heard);
    cr_assert_eq(heard.head->log_ask->from, from);
    return heard.head->serial;
}

static void expect_repository(uint32_t code, const char *text)
{
    AUTO(payload_status) Sealift__StatusAnswer *answer = status();
    cr_assert_eq(answer->n_repositories, 1);
    cr_assert_eq(answer->repositories[0]->code, code, "%u: %s", answer->repositories[0]->code,
                 answer->repositories[0]->text);
    if (text) cr_assert_str_eq(answer->repositories[0]->text, text);
}

Test(loop, lists_the_points_that_repositories_report)
{
    put_store();
    connect_hosts();
    (void)expect_log_ask(&nas, 1);
    AUTO(buf) struct buf file = {0};
    struct id point = {{0x70}}, run = {{0x71}};
    signing_point(&dock.signing, WEB, &run, "web-daily", &point, &file);
    send_point(&nas, &store, 3, 1, &file, true);
    send_point(&nas, &store, 3, 1, &file, true);

    Sealift__PointList list = SEALIFT__POINT_LIST__INIT;
    list.repository = bytes_of(&store);
    list.job = lent_text("web-daily");
    Sealift__Head head = caller_head(&anna, SEALIFT__HEAD__KIND_POINT_LIST);
    head.point_list = &list;
    AUTO(heard) struct heard heard = {0};
    caller_ask(&anna, &head, (struct span){0}, &heard);
    AUTO(payload_point_list) Sealift__PointListAnswer *rows = NULL;
    struct err err;
    cr_assert(payload_point_list_decode(buf_span(&heard.payload), &rows, &err), "%s", err.text);
    cr_assert_eq(rows->n_rows, 1);
    cr_assert_eq(rows->rows[0]->number, 3);
    cr_assert(span_eq(stored_span(&rows->rows[0]->point_file), buf_span(&file)), "the exact bytes");

    Sealift__Get get = SEALIFT__GET__INIT;
    get.what = SEALIFT__GET_KIND__GET_POINT;
    get.id = bytes_of(&point);
    head = caller_head(&anna, SEALIFT__HEAD__KIND_GET);
    head.get = &get;
    caller_ask(&anna, &head, (struct span){0}, &heard);
    cr_assert_eq(heard.head->done->count, 1);
}

Test(loop, takes_points_from_the_owner_and_by_admitted_writers_only)
{
    put_store();
    connect_hosts();
    AUTO(buf) struct buf file = {0};
    struct id point = {{0x70}}, run = {{0x71}}, other = {{0x72}};
    signing_point(&dock.signing, EVE, &run, "web-daily", &point, &file);
    send_point(&nas, &store, 1, 1, &file, false);
    buf_clear(&file);
    signing_point(&dock.signing, WEB, &run, "web-daily", &point, &file);
    send_point(&web, &store, 1, 1, &file, false);
    send_point(&nas, &other, 1, 1, &file, false);
    send_point(&nas, &store, 0, 1, &file, false);
    send_point(&nas, &store, UINT64_MAX, 1, &file, false);
    for (size_t len = 0; len < file.len; len += 37) {
        struct buf cut = {.data = file.data, .len = len};
        send_point(&nas, &store, 1, 1, &cut, false);
    }
    for (size_t i = 0; i < file.len; i += 11) {
        file.data[i] ^= 1;
        send_point(&nas, &store, 1, 1, &file, false);
        file.data[i] ^= 1;
    }
    dock.signing.site.bytes[0] ^= 1;
    buf_clear(&file);
    signing_point(&dock.signing, WEB, &run, "web-daily", &point, &file);
    send_point(&nas, &store, 1, 1, &file, false);
}

Test(loop, shows_a_log_that_steps_back_or_forks_until_the_repository_is_signed_anew)
{
    static const char stepped[] = "the repository's log stepped back from entry 9 to entry 8";
    put_store();
    connect_hosts();
    send_state(&nas, 0, 9, 1);
    settle(&nas);
    expect_repository(0, NULL);
    send_state(&nas, 0, 8, 1);
    settle(&nas);
    expect_repository(ERR_NOT_AUTHENTIC, stepped);
    send_state(&nas, 0, 12, 1);
    settle(&nas);
    expect_repository(ERR_NOT_AUTHENTIC, stepped);
    AUTO(buf) struct buf bytes = {0};
    signing_repository(&dock.signing, &store, 2, "main", NAS, SEALIFT__STORE_KIND__STORE_ENCRYPTED, &bytes);
    caller_put(&anna, &bytes);
    expect_repository(0, NULL);
    send_state(&nas, 0, 12, 1);
    send_state(&nas, 0, 12, 2);
    settle(&nas);
    expect_repository(ERR_NOT_AUTHENTIC, "the repository's log forked: entry 12 is another one than before");
}

Test(loop, shows_another_point_under_a_known_number_as_a_fork)
{
    put_store();
    connect_hosts();
    AUTO(buf) struct buf file = {0};
    struct id point = {{0x70}}, run = {{0x71}};
    signing_point(&dock.signing, WEB, &run, "web-daily", &point, &file);
    send_point(&nas, &store, 3, 1, &file, true);
    send_point(&nas, &store, 3, 2, &file, false);
    expect_repository(ERR_NOT_AUTHENTIC, "the repository has reported another point as number 3");
}

Test(loop, asks_each_log_from_where_it_was_read)
{
    put_store();
    connect_hosts();
    uint64_t first = expect_log_ask(&nas, 1);
    send_state(&nas, 0, 5, 1); /* it was not open before: the question is put again */
    uint64_t second = expect_log_ask(&nas, 1);
    send_state(&nas, first, 6, 1); /* what answers the first one may not be all */
    send_state(&nas, second, 7, 1);
    settle(&nas);
    caller_hang_up(&nas);
    caller_dial(&nas, &dock, CONTROL_PORT, NAS);
    caller_hello(&nas, 1, 1, NULL);
    uint64_t third = expect_log_ask(&nas, 8);
    send_state(&nas, third, 7, 1);
    send_state(&nas, 0, 7, 1);
    caller_expect_silence(&nas);
    send_state(&nas, 0, 9, 1); /* more has come: that is read too */
    (void)expect_log_ask(&nas, 8);
}

Test(loop, ends_an_unknown_run_by_what_the_log_shows)
{
    dock_stop(&dock);
    dock.lease_ms = 300;
    caller_hang_up(&anna);
    dock_start(&dock);
    caller_dial(&anna, &dock, OPERATOR_PORT, ANNA);
    put_store();
    put_job();
    connect_hosts();
    struct id run = run_to_running();
    AUTO(heard) struct heard heard = {0};
    caller_hang_up(&nas);
    caller_end(&web, &run, 1, SIDE(SOURCE), ERR_UNREACHABLE, "the target is gone", (struct span){0});
    expect_event(&anna, STATE(UNKNOWN), &heard);
    cr_assert_eq(heard.head->run_event->ended, 1);
    caller_dial(&nas, &dock, CONTROL_PORT, NAS);
    caller_hello(&nas, 2, 1, NULL);
    uint64_t serial = expect_log_ask(&nas, 1);
    AUTO(buf) struct buf file = {0};
    struct id point = {{0x70}};
    signing_point(&dock.signing, WEB, &run, "web-daily", &point, &file);
    send_point(&nas, &store, 3, 1, &file, true);
    send_state(&nas, serial, 3, 1);
    caller_expect_silence(&nas);
    follow(&anna, &run);
    expect_event(&anna, STATE(OK), &heard);
    cr_assert_eq(heard.head->run_event->row->point.len, ID_LEN);
}
