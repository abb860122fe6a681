/* Orders, and the sealed answers that come back to who gave them. */
#include "loop_site.h"

#include "common/wire/lent.h"
#include "common/wire/stored.h"

#include <criterion/criterion.h>
#include <string.h>

TestSuite(loop_orders, .init = loop_setup, .fini = loop_teardown, .timeout = 60);

static const struct id order = {{0x0d}};

static void make_order(Sealift__OrderKind kind, uint64_t version, struct buf *out)
{
    buf_clear(out);
    signing_order(
        &loop.dock.signing,
        &(struct order_draft){
            .id = order, .version = version, .kind = kind, .repository = loop_store, .answer_to = ANNA},
        out);
}

static struct id put_order(const struct buf *bytes)
{
    AUTO(heard) struct heard heard = {0};
    Sealift__Put put = SEALIFT__PUT__INIT;
    Sealift__Head head = caller_head(&loop.anna, SEALIFT__HEAD__KIND_PUT);
    head.put = &put;
    caller_send(&loop.anna, &head, buf_span(bytes));
    caller_await(&loop.anna, SEALIFT__HEAD__KIND_DONE, &heard);
    cr_assert_eq(heard.head->done->run.len, ID_LEN);
    return stored_id(&heard.head->done->run);
}

Test(loop_orders, executes_an_order_once)
{
    loop_put_store();
    loop_connect_hosts();
    AUTO(buf) struct buf bytes = {0};
    AUTO(heard) struct heard heard = {0};
    make_order(SEALIFT__ORDER_KIND__ORDER_RESTORE, 1, &bytes);
    struct id run = put_order(&bytes);
    caller_await(&loop.web, SEALIFT__HEAD__KIND_DELIVER, &heard);
    loop_expect_delivered(&loop.web, SEALIFT__STATEMENT_TYPE__STATEMENT_ORDER, &order);
    struct id assigned = caller_assigned(&loop.web, 1, SIDE(TARGET));
    cr_assert(id_eq(&run, &assigned));

    struct id again = put_order(&bytes);
    cr_assert(id_eq(&run, &again), "the same bytes are the same order");
    caller_expect_silence(&loop.web);
    make_order(SEALIFT__ORDER_KIND__ORDER_RESTORE, 2, &bytes);
    Sealift__Put put = SEALIFT__PUT__INIT;
    Sealift__Head head = caller_head(&loop.anna, SEALIFT__HEAD__KIND_PUT);
    head.put = &put;
    caller_ask_fail(&loop.anna, &head, buf_span(&bytes), ERR_EXISTS,
                    "another order was carried out under this id");

    caller_end(&loop.web, &run, 1, SIDE(TARGET), ERR_POLICY, "not here", (struct span){0});
    make_order(SEALIFT__ORDER_KIND__ORDER_RESTORE, 1, &bytes);
    again = put_order(&bytes);
    cr_assert(id_eq(&run, &again), "nor after its end");
    caller_expect_silence(&loop.web);
}

static void send_answer(struct caller *caller, const struct id *run, uint64_t number, uint32_t last,
                        size_t len)
{
    AUTO(buf) struct buf sealed = {0};
    memset(buf_grow(&sealed, len), (int)number, len);
    Sealift__RunAnswer answer = SEALIFT__RUN_ANSWER__INIT;
    answer.run = lent_id(run);
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
    (void)caller_assigned(&loop.web, 1, SIDE(TARGET));
    caller_ready(&loop.web, &run, 1);
    (void)caller_assigned(&loop.nas, 1, SIDE(SOURCE));
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

Test(loop_orders, relays_answers_to_the_operator_whom_the_order_names)
{
    loop_put_store();
    loop_connect_hosts();
    struct id run = browse();
    AUTO(caller) struct caller ben = {0};
    AUTO(heard) struct heard heard = {0};
    caller_dial(&ben, &loop.dock, OPERATOR_PORT, BEN);
    loop_follow(&ben, &run);
    caller_expect(&ben, SEALIFT__HEAD__KIND_DONE, &heard);
    send_answer(&loop.web, &run, 1, 0, 1000);
    send_answer(&loop.web, &run, 2, 0, 1000);
    caller_expect_silence(&loop.web); /* nobody has taken them: the next Done is not theirs */
    loop_follow(&loop.anna, &run);
    expect_answer(&loop.anna, 1, 0, 1000);
    expect_answer(&loop.anna, 2, 0, 1000);
    caller_await(&loop.web, SEALIFT__HEAD__KIND_DONE, &heard);
    caller_await(&loop.web, SEALIFT__HEAD__KIND_DONE, &heard);
    send_answer(&loop.web, &run, 3, 1, 1024 * 1024);
    expect_answer(&loop.anna, 3, 1, 1024 * 1024);
    caller_await(&loop.web, SEALIFT__HEAD__KIND_DONE, &heard);
    caller_end(&loop.web, &run, 1, SIDE(TARGET), 0, "", (struct span){0});
    caller_end(&loop.nas, &run, 1, SIDE(SOURCE), 0, "", (struct span){0});
    loop_expect_event(&loop.anna, STATE(OK), &heard);
    do { /* ben saw how far it was, and nothing else */
        caller_expect(&ben, SEALIFT__HEAD__KIND_RUN_EVENT, &heard);
        cr_assert_eq(heard.head->run_event->number, 0);
    } while (!heard.head->run_event->ended);
}

Test(loop_orders, hands_over_waiting_answers_before_the_end)
{
    loop_put_store();
    loop_connect_hosts();
    struct id run = browse();
    loop_follow(&loop.anna, &run);
    AUTO(heard) struct heard heard = {0};
    for (uint64_t i = 1; i <= 3; i++) {
        send_answer(&loop.web, &run, i, 0, 100);
        caller_await(&loop.web, SEALIFT__HEAD__KIND_DONE, &heard);
    }
    caller_end(&loop.web, &run, 1, SIDE(TARGET), 0, "", (struct span){0});
    caller_end(&loop.nas, &run, 1, SIDE(SOURCE), 0, "", (struct span){0});
    for (uint64_t i = 1; i <= 3; i++)
        expect_answer(&loop.anna, i, 0, 100);
    loop_expect_event(&loop.anna, STATE(OK), &heard);
}

/* The run may be quicker than the operator, who first hears its id and then asks to follow it. */
Test(loop_orders, keeps_the_answers_of_a_run_that_ended_before_anybody_followed_it)
{
    loop_put_store();
    loop_connect_hosts();
    struct id run = browse();
    AUTO(heard) struct heard heard = {0};
    send_answer(&loop.web, &run, 1, 0, 100);
    send_answer(&loop.web, &run, 2, 1, 100);
    uint64_t last = loop.web.serial;
    caller_end(&loop.web, &run, 1, SIDE(TARGET), 0, "", (struct span){0});
    caller_end(&loop.nas, &run, 1, SIDE(SOURCE), 0, "", (struct span){0});
    /* they are off the transporter's hands: it has room for those of other runs, once for each */
    for (uint64_t serial = last - 1; serial <= last; serial++) {
        caller_await(&loop.web, SEALIFT__HEAD__KIND_DONE, &heard);
        cr_assert_eq(heard.head->serial, serial);
    }
    AUTO(caller) struct caller ben = {0};
    caller_dial(&ben, &loop.dock, OPERATOR_PORT, BEN);
    loop_follow(&ben, &run);
    caller_await(&ben, SEALIFT__HEAD__KIND_RUN_EVENT, &heard);
    cr_assert_eq(heard.head->run_event->number, 0, "they are not his");
    cr_assert_eq(heard.head->run_event->row->state, STATE(OK));
    loop_follow(&loop.anna, &run);
    expect_answer(&loop.anna, 1, 0, 100);
    expect_answer(&loop.anna, 2, 1, 100);
    loop_expect_event(&loop.anna, STATE(OK), &heard);
    caller_expect_silence(&loop.web);
}

/* A reader that does not read holds up the transporter, which may have four answers under way. */
Test(loop_orders, lets_a_slow_reader_slow_the_transporter_and_drops_one_that_does_not_wait)
{
    loop_put_store();
    loop_connect_hosts();
    struct id run = browse();
    for (uint64_t i = 1; i <= 4; i++)
        send_answer(&loop.web, &run, i, 0, 1024 * 1024);
    caller_expect_silence(&loop.web);
    send_answer(&loop.web, &run, 5, 0, 10);
    caller_expect_cut(&loop.web);
}

Test(loop_orders, refuses_answers_that_nobody_asked_for)
{
    loop_put_store();
    loop_connect_hosts();
    struct id run = browse();
    struct id none = {{0x66}};
    send_answer(&loop.web, &none, 1, 0, 10);
    send_answer(&loop.nas, &run, 1, 0, 10);
    loop_follow(&loop.anna, &run);
    send_answer(&loop.web, &run, 1, 1, 10);
    expect_answer(&loop.anna, 1, 1, 10);
    caller_expect_silence(&loop.nas);
}
