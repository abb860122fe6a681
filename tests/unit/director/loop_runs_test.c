/* Runs from their start to their end, over restarts. */
#include "loop_site.h"

#include "common/wire/lent.h"
#include "common/wire/stored.h"

#include <criterion/criterion.h>
#include <string.h>

TestSuite(loop_runs, .init = loop_setup, .fini = loop_teardown, .timeout = 60);

Test(loop_runs, carries_a_backup_from_start_to_end)
{
    loop_put_store();
    loop_put_job();
    loop_connect_hosts();
    struct id run = loop_run_to_running();
    caller_progress(&loop.web, &run, 1, SIDE(SOURCE), STATE(COMMITTING));
    caller_end(&loop.nas, &run, 1, SIDE(TARGET), 0, "", (struct span){0});
    caller_end(&loop.web, &run, 1, SIDE(SOURCE), 0, "", (struct span){0});
    AUTO(heard) struct heard heard = {0};
    loop_expect_event(&loop.anna, STATE(OK), &heard);
    cr_assert_eq(heard.head->run_event->ended, 1);
    cr_assert_eq(heard.head->run_event->row->counters->files, 7);
    cr_assert_eq(heard.head->run_event->row->code, 0);

    Sealift__RunList list = SEALIFT__RUN_LIST__INIT;
    list.job = lent_id(&loop_job);
    Sealift__Head head = caller_head(&loop.anna, SEALIFT__HEAD__KIND_RUN_LIST);
    head.run_list = &list;
    caller_ask(&loop.anna, &head, (struct span){0}, &heard);
    AUTO(payload_run_list) Sealift__RunListAnswer *rows = NULL;
    struct err err;
    cr_assert(payload_run_list_decode(buf_span(&heard.payload), &rows, &err), "%s", err.text);
    cr_assert_eq(rows->n_rows, 1);
    cr_assert_eq(rows->rows[0]->state, STATE(OK));
    cr_assert(rows->rows[0]->ended_ns >= rows->rows[0]->started_ns);
}

Test(loop_runs, refuses_a_second_run_of_a_job_and_a_run_of_nothing)
{
    loop_put_store();
    loop_put_job();
    (void)loop_start_job();
    AUTO(heard) struct heard heard = {0};
    caller_expect(&loop.anna, SEALIFT__HEAD__KIND_RUN_EVENT, &heard);
    Sealift__RunStart start = SEALIFT__RUN_START__INIT;
    start.job = lent_id(&loop_job);
    Sealift__Head head = caller_head(&loop.anna, SEALIFT__HEAD__KIND_RUN_START);
    head.run_start = &start;
    caller_ask_fail(&loop.anna, &head, (struct span){0}, ERR_BUSY,
                    "the job has a run already, which is queued");
    start.job = lent_id(&loop_store);
    head = caller_head(&loop.anna, SEALIFT__HEAD__KIND_RUN_START);
    head.run_start = &start;
    caller_ask_fail(&loop.anna, &head, (struct span){0}, ERR_NOT_FOUND, "there is no such job");
}

Test(loop_runs, stops_a_run_by_telling_both_sides)
{
    loop_put_store();
    loop_put_job();
    loop_connect_hosts();
    struct id run = loop_run_to_running();
    Sealift__RunStop stop = SEALIFT__RUN_STOP__INIT;
    stop.run = lent_id(&run);
    Sealift__Head head = caller_head(&loop.anna, SEALIFT__HEAD__KIND_RUN_STOP);
    head.run_stop = &stop;
    AUTO(heard) struct heard heard = {0};
    caller_send(&loop.anna, &head, (struct span){0});
    caller_await(&loop.anna, SEALIFT__HEAD__KIND_DONE, &heard);
    caller_await(&loop.web, SEALIFT__HEAD__KIND_CANCEL, &heard);
    caller_await(&loop.nas, SEALIFT__HEAD__KIND_CANCEL, &heard);
    caller_end(&loop.web, &run, 1, SIDE(SOURCE), ERR_CANCELLED, "cancelled", (struct span){0});
    caller_end(&loop.nas, &run, 1, SIDE(TARGET), ERR_CANCELLED, "cancelled", (struct span){0});
    loop_expect_event(&loop.anna, STATE(STOPPED), &heard);
    head = caller_head(&loop.anna, SEALIFT__HEAD__KIND_RUN_STOP);
    head.run_stop = &stop;
    caller_ask_fail(&loop.anna, &head, (struct span){0}, ERR_NOT_FOUND, "the run is not active");
}

Test(loop_runs, restarted_in_the_middle_of_a_run_goes_on_with_it)
{
    loop_put_store();
    loop_put_job();
    loop_connect_hosts();
    struct id run = loop_run_to_running();
    caller_hang_up(&loop.anna);
    caller_hang_up(&loop.web);
    caller_hang_up(&loop.nas);
    dock_stop(&loop.dock);
    dock_start(&loop.dock);
    caller_dial(&loop.anna, &loop.dock, OPERATOR_PORT, ANNA);
    caller_dial(&loop.web, &loop.dock, CONTROL_PORT, WEB);
    caller_dial(&loop.nas, &loop.dock, CONTROL_PORT, NAS);
    caller_hello(&loop.web, 1, 1, &run);
    caller_hello(&loop.nas, 1, 1, &run);
    AUTO(heard) struct heard heard = {0};
    loop_follow(&loop.anna, &run);
    caller_expect(&loop.anna, SEALIFT__HEAD__KIND_DONE, &heard);
    caller_expect(&loop.anna, SEALIFT__HEAD__KIND_RUN_EVENT, &heard);
    cr_assert_eq(heard.head->run_event->row->state, STATE(RUNNING));
    caller_end(&loop.nas, &run, 1, SIDE(TARGET), 0, "", (struct span){0});
    caller_end(&loop.web, &run, 1, SIDE(SOURCE), 1, "some files changed", (struct span){0});
    loop_expect_event(&loop.anna, STATE(OK), &heard);
    cr_assert_eq(heard.head->run_event->row->code, 1);
    cr_assert_str_eq(heard.head->run_event->row->text, "web: some files changed");
}

Test(loop_runs, answers_the_end_of_a_run_that_it_never_heard_of)
{
    loop_connect_hosts();
    struct id run = {{0x33}};
    caller_end(&loop.web, &run, 1, SIDE(SOURCE), 0, "", (struct span){0});
}

Test(loop_runs, cancels_work_that_it_did_not_give)
{
    struct id run = {{0x33}};
    caller_dial(&loop.web, &loop.dock, CONTROL_PORT, WEB);
    caller_hello(&loop.web, 1, 1, &run);
    AUTO(heard) struct heard heard = {0};
    caller_expect(&loop.web, SEALIFT__HEAD__KIND_CANCEL, &heard);
    cr_assert_eq(memcmp(heard.head->cancel->run.data, run.bytes, ID_LEN), 0);
}

/* Warnings, and keys that come back, are sealed to each operator: each gets his own, with the end and also
 * later. */
Test(loop_runs, hands_each_operator_the_warnings_that_are_sealed_to_him)
{
    loop_put_store();
    loop_put_job();
    loop_connect_hosts();
    struct id run = loop_run_to_running();
    Sealift__SealedCopy copies[3], *list[3];
    static const enum signing_member to[] = {ANNA, BEN, ANNA};
    static uint8_t sealed[3][80] = {{1}, {2}, {3}};
    for (size_t i = 0; i < 3; i++) {
        sealift__sealed_copy__init(&copies[i]);
        copies[i].recipient = stored_bytes(span_of(signing_key(&loop.dock.signing, to[i]), SIGN_PK_LEN));
        copies[i].sealed = stored_bytes(span_of(sealed[i], sizeof(sealed[i])));
        list[i] = &copies[i];
    }
    Sealift__Warnings warnings = SEALIFT__WARNINGS__INIT;
    warnings.copies = list;
    warnings.n_copies = 3;
    warnings.keys_back = list; /* of anna and of ben */
    warnings.n_keys_back = 2;
    AUTO(buf) struct buf payload = {0};
    payload_warnings_encode(&warnings, &payload);
    caller_end(&loop.web, &run, 1, SIDE(SOURCE), 1, "warnings", buf_span(&payload));
    caller_end(&loop.nas, &run, 1, SIDE(TARGET), 0, "", span_str("nonsense is left out"));

    AUTO(caller) struct caller ben = {0};
    caller_dial(&ben, &loop.dock, OPERATOR_PORT, BEN);
    loop_follow(&ben, &run);
    struct caller *operators[] = {&loop.anna, &ben};
    for (size_t i = 0; i < 2; i++) {
        AUTO(heard) struct heard heard = {0};
        loop_expect_event(operators[i], STATE(OK), &heard);
        cr_assert_eq(heard.head->run_event->ended, 1);
        AUTO(payload_warnings) Sealift__Warnings *mine = NULL;
        struct err err;
        cr_assert(payload_warnings_decode(buf_span(&heard.payload), &mine, &err), "%s", err.text);
        cr_assert_eq(mine->n_copies, i == 0 ? 2 : 1);
        cr_assert_eq(mine->copies[0]->sealed.data[0], i + 1);
        cr_assert_eq(mine->n_keys_back, 1);
        cr_assert_eq(mine->keys_back[0]->sealed.data[0], i + 1);
    }
}
