#include "loop_site.h"

#include "common/wire/lent.h"

#include <criterion/criterion.h>

struct loop_site loop;
const struct id loop_store = {{1}}, loop_job = {{2}};

void loop_setup(void)
{
    dock_init(&loop.dock);
    dock_start(&loop.dock);
    caller_dial(&loop.anna, &loop.dock, OPERATOR_PORT, ANNA);
    caller_claim(&loop.anna);
}

void loop_teardown(void)
{
    caller_hang_up(&loop.anna);
    caller_hang_up(&loop.web);
    caller_hang_up(&loop.nas);
    dock_deinit(&loop.dock);
}

void loop_put_store(void)
{
    AUTO(buf) struct buf bytes = {0};
    signing_repository(&loop.dock.signing, &loop_store, 1, "main", NAS, SEALIFT__STORE_KIND__STORE_ENCRYPTED,
                       &bytes);
    caller_put(&loop.anna, &bytes);
}

void loop_put_job(void)
{
    AUTO(buf) struct buf bytes = {0};
    signing_job(&loop.dock.signing,
                &(struct job_draft){.id = loop_job, .name = "web-daily", .repository = loop_store}, &bytes);
    caller_put(&loop.anna, &bytes);
}

void loop_connect_hosts(void)
{
    caller_dial(&loop.web, &loop.dock, CONTROL_PORT, WEB);
    caller_dial(&loop.nas, &loop.dock, CONTROL_PORT, NAS);
    caller_hello(&loop.web, 1, loop.dock.signing.roster_version, NULL);
    caller_hello(&loop.nas, 1, loop.dock.signing.roster_version, NULL);
}

struct id loop_start_job(void)
{
    Sealift__RunStart start = SEALIFT__RUN_START__INIT;
    start.job = lent_id(&loop_job);
    Sealift__Head head = caller_head(&loop.anna, SEALIFT__HEAD__KIND_RUN_START);
    head.run_start = &start;
    AUTO(heard) struct heard heard = {0};
    caller_ask(&loop.anna, &head, (struct span){0}, &heard);
    cr_assert_eq(heard.head->done->run.len, ID_LEN);
    return stored_id(&heard.head->done->run);
}

void loop_follow(struct caller *caller, const struct id *run)
{
    Sealift__RunFollow ask = SEALIFT__RUN_FOLLOW__INIT;
    ask.run = lent_id(run);
    Sealift__Head head = caller_head(caller, SEALIFT__HEAD__KIND_RUN_FOLLOW);
    head.run_follow = &ask;
    caller_send(caller, &head, (struct span){0});
}

void loop_expect_event(struct caller *caller, Sealift__RunState state, struct heard *out)
{
    do {
        caller_await(caller, SEALIFT__HEAD__KIND_RUN_EVENT, out);
    } while (out->head->run_event->row->state != state);
}

struct id loop_run_to_running(void)
{
    struct id run = loop_start_job();
    struct id assigned = caller_assigned(&loop.nas, 1, SIDE(TARGET));
    cr_assert(id_eq(&run, &assigned));
    caller_ready(&loop.nas, &run, 1);
    (void)caller_assigned(&loop.web, 1, SIDE(SOURCE));
    caller_progress(&loop.web, &run, 1, SIDE(SOURCE), STATE(RUNNING));
    AUTO(heard) struct heard heard = {0};
    loop_expect_event(&loop.anna, STATE(RUNNING), &heard);
    return run;
}

Sealift__StatusAnswer *loop_status(void)
{
    Sealift__StatusGet ask = SEALIFT__STATUS_GET__INIT;
    Sealift__Head head = caller_head(&loop.anna, SEALIFT__HEAD__KIND_STATUS_GET);
    head.status_get = &ask;
    AUTO(heard) struct heard heard = {0};
    caller_send(&loop.anna, &head, (struct span){0});
    caller_await(&loop.anna, SEALIFT__HEAD__KIND_DONE, &heard);
    Sealift__StatusAnswer *answer = NULL;
    struct err err;
    cr_assert(payload_status_decode(buf_span(&heard.payload), &answer, &err), "%s", err.text);
    return answer;
}

void loop_expect_delivered(struct caller *caller, Sealift__StatementType type, const struct id *id)
{
    AUTO(heard) struct heard heard = {0};
    do {
        caller_expect(caller, SEALIFT__HEAD__KIND_DELIVER, &heard);
        AUTO(statement) struct statement *statement = signing_decode(&heard.payload);
        if (statement->type == type && id_eq(&statement->id, id)) return;
    } while (true);
}
