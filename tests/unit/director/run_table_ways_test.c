/* How the two sides of a run are told to meet. */
#include "stage.h"

#include "common/wire/lent.h"

#include <criterion/criterion.h>
#include <string.h>

static struct stage stage;
static const uint8_t no_name[WAY_NAME_LEN];

static void setup(void)
{
    stage_init(&stage);
}

static void teardown(void)
{
    stage_deinit(&stage);
}

TestSuite(run_table_ways, .init = setup, .fini = teardown);

static void link_them(Sealift__Connection connection, const char *proxy)
{
    struct err err;
    struct link link = {0};
    memcpy(link.source, stage_source, SIGN_PK_LEN);
    memcpy(link.target, stage_target, SIGN_PK_LEN);
    cr_assert(way_wish_make(connection, proxy, &link.wish, &err), "%s", err.text);
    cr_assert(link_table_put(&stage.links, &link, &err), "%s", err.text);
}

Test(run_table_ways, in_reverse_the_target_is_told_where_the_sources_reverse_port_is)
{
    stage.reverse = "web:9450";
    link_them(CONNECTION(REVERSE), "");
    stage_connect(&stage);
    struct id run = stage_start(&stage, 1);
    const struct effect_log to_target = *stage_last(&stage, EFFECT_ASSIGN);
    cr_assert_eq(to_target.side, SIDE(TARGET));
    cr_assert_eq(to_target.way.connection, CONNECTION(REVERSE));
    cr_assert_str_eq(to_target.endpoint, "web:9450");
    cr_assert_neq(memcmp(to_target.rendezvous, no_name, WAY_NAME_LEN), 0);
    cr_assert_neq(memcmp(to_target.rendezvous, to_target.ticket, WAY_NAME_LEN), 0);
    cr_assert_eq(stage_sent(&stage, EFFECT_ASSIGN, stage_source, &run), 0, "before the target is ready");
    stage_ready(&stage, &run, 1);
    const struct effect_log *to_source = stage_last(&stage, EFFECT_ASSIGN);
    cr_assert_eq(to_source->side, SIDE(SOURCE));
    cr_assert_eq(to_source->way.connection, CONNECTION(REVERSE));
    cr_assert_eq(memcmp(to_source->rendezvous, to_target.rendezvous, WAY_NAME_LEN), 0);
    cr_assert_str_eq(to_source->endpoint, "web:9450", "what the target says of itself does not count");
}

Test(run_table_ways, in_a_rendezvous_both_are_told_the_proxy_and_the_name)
{
    link_them(CONNECTION(RENDEZVOUS), "meet:9449");
    stage_connect(&stage);
    struct id run = stage_start(&stage, 1);
    const struct effect_log to_target = *stage_last(&stage, EFFECT_ASSIGN);
    stage_ready(&stage, &run, 1);
    const struct effect_log to_source = *stage_last(&stage, EFFECT_ASSIGN);
    const struct effect_log *both[] = {&to_target, &to_source};
    for (size_t i = 0; i < 2; i++) {
        cr_assert_eq(both[i]->way.connection, CONNECTION(RENDEZVOUS));
        cr_assert_str_eq(both[i]->way.proxy, "meet:9449");
        cr_assert_str_eq(both[i]->endpoint, "");
        cr_assert_eq(memcmp(both[i]->rendezvous, to_target.rendezvous, WAY_NAME_LEN), 0);
    }
    cr_assert_neq(memcmp(to_target.rendezvous, no_name, WAY_NAME_LEN), 0);
}

Test(run_table_ways, without_a_link_or_a_wish_is_direct)
{
    stage_connect(&stage);
    struct id run = stage_start(&stage, 1);
    stage_ready(&stage, &run, 1);
    const struct effect_log *assign = stage_last(&stage, EFFECT_ASSIGN);
    cr_assert_eq(assign->way.connection, CONNECTION(DIRECT));
    cr_assert_eq(memcmp(assign->rendezvous, no_name, WAY_NAME_LEN), 0);
    cr_assert_str_eq(assign->endpoint, "tcp://nas:9448");
}

Test(run_table_ways, of_one_host_is_none)
{
    stage_connect(&stage);
    (void)stage_start_local(&stage, 1);
    cr_assert_eq(stage_last(&stage, EFFECT_ASSIGN)->way.connection, CONNECTION(NONE));
}

Test(run_table_ways, a_recovery_goes_by_the_link_too)
{
    struct err err;
    struct id run;
    link_them(CONNECTION(RENDEZVOUS), "meet:9449");
    stage_connect(&stage);
    cr_assert(stage_start_kind(&stage, RUN_RECOVERY, 1, &run, &err), "%s", err.text);
    cr_assert_str_eq(stage_last(&stage, EFFECT_ASSIGN)->way.proxy, "meet:9449");
}

Test(run_table_ways, a_job_with_its_own_goes_by_that_and_by_a_new_one_once_it_is_edited)
{
    link_them(CONNECTION(RENDEZVOUS), "meet:9449");
    stage.own_way = (struct way_wish){.connection = CONNECTION(REVERSE)};
    stage.reverse = "web:9450";
    struct id run = stage_start(&stage, 1);
    stage_expect_state(&stage, &run, STATE(QUEUED));
    struct run_plan plan = {.subject = SEALIFT__STATEMENT_TYPE__STATEMENT_JOB,
                            .subject_id = {{1}},
                            .subject_version = 2,
                            .kind = RUN_BACKUP,
                            .own_way = {.connection = CONNECTION(DIRECT)},
                            .source_name = "web",
                            .target_name = "nas"};
    memcpy(plan.source, stage_source, SIGN_PK_LEN);
    memcpy(plan.target, stage_target, SIGN_PK_LEN);
    struct effects effects = {0};
    run_table_replan(stage.table, &stage.now, &plan, &effects);
    stage_apply(&stage, &effects);
    stage_connect(&stage);
    cr_assert_eq(stage_last(&stage, EFFECT_ASSIGN)->way.connection, CONNECTION(DIRECT));
    struct id second = stage_start(&stage, 2);
    cr_assert(id_eq(&stage_last(&stage, EFFECT_ASSIGN)->id, &second));
    cr_assert_eq(stage_last(&stage, EFFECT_ASSIGN)->way.connection, CONNECTION(REVERSE));
}

Test(run_table_ways, that_does_not_exist_fails_the_run_before_anybody_is_asked)
{
    link_them(CONNECTION(REVERSE), "");
    stage_connect(&stage);
    struct id run = stage_start(&stage, 1);
    stage_expect_state(&stage, &run, STATE(FAILED));
    cr_assert_eq(stage_run(&stage, &run)->code, ERR_UNREACHABLE);
    stage_expect_text(&stage, &run,
                      "'nas' is to dial 'web', which has no reverse port: set data.reverse.listen and "
                      "data.reverse.advertise in the configuration of 'web'");
    cr_assert_null(stage_last(&stage, EFFECT_ASSIGN));
    cr_assert_null(stage_last(&stage, EFFECT_CANCEL));
    cr_assert_eq(run_table_count(stage.table), 0);
    cr_assert_eq(run_table_busy(stage.table, stage_target), 0);

    stage.own_way = (struct way_wish){.connection = CONNECTION(RENDEZVOUS)};
    struct id other = stage_start(&stage, 1);
    stage_expect_state(&stage, &other, STATE(FAILED));
    stage_expect_text(&stage, &other,
                      "'web' and 'nas' are to meet, and no proxy is known where: 'sealift link set web nas "
                      "--connection rendezvous --proxy HOST:PORT'");
}

/* The director forgets which name it gave, were it not kept: another seed gives another. */
Test(run_table_ways, of_an_attempt_in_flight_outlives_a_restart_and_another_link)
{
    link_them(CONNECTION(RENDEZVOUS), "meet:9449");
    stage_connect(&stage);
    struct id run = stage_start(&stage, 1);
    const struct effect_log to_target = *stage_last(&stage, EFFECT_ASSIGN);
    link_them(CONNECTION(DIRECT), "");
    stage_restart(&stage);
    stage_up(&stage, stage_source, 1, NULL);
    stage_up(&stage, stage_target, 1, &run);
    stage_ready(&stage, &run, 1);
    const struct effect_log *to_source = stage_last(&stage, EFFECT_ASSIGN);
    cr_assert_eq(to_source->side, SIDE(SOURCE));
    cr_assert_eq(to_source->way.connection, CONNECTION(RENDEZVOUS));
    cr_assert_str_eq(to_source->way.proxy, "meet:9449");
    cr_assert_eq(memcmp(to_source->rendezvous, to_target.rendezvous, WAY_NAME_LEN), 0);
}

Test(run_table_ways, of_the_next_attempt_is_decided_anew_with_another_name)
{
    link_them(CONNECTION(RENDEZVOUS), "meet:9449");
    stage_connect(&stage);
    struct id run = stage_start(&stage, 1);
    const struct effect_log first = *stage_last(&stage, EFFECT_ASSIGN);
    stage_end(&stage, &run, 1, SIDE(TARGET), ERR_BUSY, "the repository is in use");
    link_them(CONNECTION(RENDEZVOUS), "other:9449");
    stage_wait(&stage, RUN_AGAIN_PAUSE_MS + 1000);
    const struct effect_log *second = stage_last(&stage, EFFECT_ASSIGN);
    cr_assert_eq(second->attempt, 2);
    cr_assert_str_eq(second->way.proxy, "other:9449");
    cr_assert_neq(memcmp(first.rendezvous, second->rendezvous, WAY_NAME_LEN), 0);
}

static const char *shown_text(const struct id *run, struct run_view *view)
{
    run_view_fill(run_table_find(stage.table, run), view);
    return view->row.text;
}

static void say_waits(const struct id *run, Sealift__RunSide side, const char *waits)
{
    struct effects effects = {0};
    Sealift__RunProgress progress = SEALIFT__RUN_PROGRESS__INIT;
    progress.run = lent_id(run);
    progress.attempt = 1;
    progress.side = side;
    progress.state = STATE(RUNNING);
    progress.waits = lent_text(waits);
    run_table_progress(stage.table, &stage.now, side == SIDE(SOURCE) ? stage_source : stage_target, &progress,
                       &effects);
    stage_apply(&stage, &effects);
}

Test(run_table_ways, a_run_shows_why_its_sides_have_not_met_in_the_words_of_who_dials)
{
    struct run_view view;
    stage_connect(&stage);
    struct id run = stage_start(&stage, 1);
    stage_ready(&stage, &run, 1);
    say_waits(&run, SIDE(TARGET), "waiting");
    say_waits(&run, SIDE(SOURCE), "'tcp://nas:9448': refused");
    cr_assert_str_eq(shown_text(&run, &view), "web: 'tcp://nas:9448': refused");
    say_waits(&run, SIDE(SOURCE), "");
    cr_assert_str_eq(shown_text(&run, &view), "nas: waiting");
    say_waits(&run, SIDE(TARGET), "");
    cr_assert_str_eq(shown_text(&run, &view), "");
}

Test(run_table_ways, why_sides_have_not_met_is_cut_and_is_over_when_the_run_commits)
{
    struct run_view view;
    char text[2 * RUN_WAITS_MAX];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    stage_connect(&stage);
    struct id run = stage_start(&stage, 1);
    stage_ready(&stage, &run, 1);
    say_waits(&run, SIDE(SOURCE), text);
    cr_assert_eq(strlen(shown_text(&run, &view)), RUN_WAITS_MAX + strlen("web: "));
    stage_progress(&stage, &run, 1, SIDE(TARGET), STATE(COMMITTING));
    cr_assert_str_eq(shown_text(&run, &view), "", "what is committed waits for nobody");
}
