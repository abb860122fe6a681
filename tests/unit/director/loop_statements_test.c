/* Statements that an operator puts, on their way to whom they concern. */
#include "loop_site.h"

#include "common/wire/lent.h"
#include "common/wire/stored.h"

#include <criterion/criterion.h>

TestSuite(loop_statements, .init = loop_setup, .fini = loop_teardown, .timeout = 60);

Test(loop_statements, delivers_what_concerns_each_when_it_is_put)
{
    loop_connect_hosts();
    loop_put_store();
    loop_expect_delivered(&loop.nas, SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY, &loop_store);
    loop_expect_delivered(&loop.web, SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY, &loop_store);
    AUTO(caller) struct caller lab = {0};
    caller_dial(&lab, &loop.dock, CONTROL_PORT, LAB);
    caller_hello(&lab, 1, 1, NULL);
    loop_expect_delivered(&lab, SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY, &loop_store);
    loop_put_job();
    loop_expect_delivered(&loop.web, SEALIFT__STATEMENT_TYPE__STATEMENT_JOB, &loop_job);
    caller_expect_silence(&lab);
}

Test(loop_statements, delivers_everything_again_at_hello_with_the_rosters_first)
{
    loop_put_store();
    loop_put_job();
    caller_put_roster(&loop.anna);
    AUTO(buf) struct buf unlock = {0};
    AUTO(buf) struct buf grant = {0};
    AUTO(heard) struct heard heard = {0};
    signing_unlock(4, &unlock);
    signing_grant(&loop.dock.signing, &(struct id){{5}}, 1, 4, buf_span(&unlock), WEB, &grant);
    Sealift__PutUnlock put = SEALIFT__PUT_UNLOCK__INIT;
    Sealift__Head head = caller_head(&loop.anna, SEALIFT__HEAD__KIND_PUT_UNLOCK);
    head.put_unlock = &put;
    caller_ask(&loop.anna, &head, buf_span(&unlock), &heard);
    caller_put(&loop.anna, &grant);

    caller_dial(&loop.web, &loop.dock, CONTROL_PORT, WEB);
    caller_hello(&loop.web, 1, 0, NULL);
    static const Sealift__StatementType order[] = {
        SEALIFT__STATEMENT_TYPE__STATEMENT_ROSTER, SEALIFT__STATEMENT_TYPE__STATEMENT_ROSTER,
        SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY, SEALIFT__STATEMENT_TYPE__STATEMENT_JOB};
    for (size_t i = 0; i < 4; i++) {
        caller_expect(&loop.web, SEALIFT__HEAD__KIND_DELIVER, &heard);
        AUTO(statement) struct statement *statement = signing_decode(&heard.payload);
        cr_assert_eq(statement->type, order[i]);
        if (i < 2) cr_assert_eq(statement->version, i + 1);
    }
    caller_expect(&loop.web, SEALIFT__HEAD__KIND_DELIVER_UNLOCK, &heard);
    cr_assert(span_eq(buf_span(&heard.payload), buf_span(&unlock)));
    caller_expect(&loop.web, SEALIFT__HEAD__KIND_DELIVER, &heard);
    cr_assert(span_eq(buf_span(&heard.payload), buf_span(&grant)));
    caller_expect_silence(&loop.web);
}

Test(loop_statements, refuses_a_grant_whose_unlock_section_it_does_not_have)
{
    AUTO(buf) struct buf unlock = {0};
    AUTO(buf) struct buf grant = {0};
    signing_unlock(4, &unlock);
    signing_grant(&loop.dock.signing, &(struct id){{5}}, 1, 4, buf_span(&unlock), WEB, &grant);
    Sealift__Put put = SEALIFT__PUT__INIT;
    Sealift__Head head = caller_head(&loop.anna, SEALIFT__HEAD__KIND_PUT);
    head.put = &put;
    caller_ask_fail(&loop.anna, &head, buf_span(&grant), ERR_NOT_FOUND, NULL);
    Sealift__PutUnlock put_unlock = SEALIFT__PUT_UNLOCK__INIT;
    head = caller_head(&loop.anna, SEALIFT__HEAD__KIND_PUT_UNLOCK);
    head.put_unlock = &put_unlock;
    caller_ask_fail(&loop.anna, &head, span_str("not a section"), ERR_DAMAGED, NULL);
}

Test(loop_statements, gives_back_what_was_put_in_parts)
{
    loop_put_store();
    for (int i = 0; i < 3; i++)
        caller_put_roster(&loop.anna);
    Sealift__Get get = SEALIFT__GET__INIT;
    get.what = SEALIFT__GET_KIND__GET_ROSTERS;
    get.from = 2;
    Sealift__Head head = caller_head(&loop.anna, SEALIFT__HEAD__KIND_GET);
    head.get = &get;
    AUTO(heard) struct heard heard = {0};
    caller_ask(&loop.anna, &head, (struct span){0}, &heard);
    AUTO(payload_blobs) Sealift__Blobs *blobs = NULL;
    struct err err;
    cr_assert(payload_blobs_decode(buf_span(&heard.payload), &blobs, &err), "%s", err.text);
    cr_assert_eq(blobs->n_blob, 2);
    cr_assert_eq(heard.head->done->count, 4, "how many there are in all");
    cr_assert(span_eq(stored_span(&blobs->blob[1]), buf_span(&loop.dock.chain)), "the newest comes last");

    get.what = SEALIFT__GET_KIND__GET_STATEMENTS;
    get.type = SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY;
    get.from = 0;
    head = caller_head(&loop.anna, SEALIFT__HEAD__KIND_GET);
    head.get = &get;
    caller_ask(&loop.anna, &head, (struct span){0}, &heard);
    cr_assert_eq(heard.head->done->count, 1);
    get.what = SEALIFT__GET_KIND__GET_POINT;
    get.id = lent_id(&loop_job);
    head = caller_head(&loop.anna, SEALIFT__HEAD__KIND_GET);
    head.get = &get;
    caller_ask_fail(&loop.anna, &head, (struct span){0}, ERR_NOT_FOUND, "there is no such point");
}
