#include "stage.h"

#include "common/wire/head.h"
#include "common/wire/lent.h"

#include <criterion/criterion.h>
#include <string.h>

static struct stage stage;

static void setup(void)
{
    stage_init(&stage);
}

static void teardown(void)
{
    stage_deinit(&stage);
}

TestSuite(run_table, .init = setup, .fini = teardown);

static void expect_path(const Sealift__RunState *path, size_t len)
{
    for (size_t i = 0; i < len && i < stage.path_len; i++)
        cr_assert_eq(stage.path[i], path[i], "step %zu: %s", i, run_state_name(stage.path[i]));
    cr_assert_geq(stage.path_len, len);
}

/* ---- the ordinary way */

Test(run_table, a_run_goes_target_first_then_source_and_ends_ok)
{
    stage_connect(&stage);
    struct id run = stage_start(&stage, 1);
    stage_expect_state(&stage, &run, STATE(ASSIGNED));
    cr_assert_eq(stage_sent(&stage, EFFECT_ASSIGN, stage_target, &run), 1);
    cr_assert_eq(stage_sent(&stage, EFFECT_ASSIGN, stage_source, &run), 0, "before the target is ready");
    cr_assert_eq(stage_last(&stage, EFFECT_ASSIGN)->side, SIDE(TARGET));
    stage_expect_text(&stage, &run, "waiting for 'nas' to begin");

    stage_ready(&stage, &run, 1);
    stage_expect_text(&stage, &run, "waiting for 'web' to begin");
    cr_assert_eq(stage_sent(&stage, EFFECT_ASSIGN, stage_source, &run), 1);
    const struct effect_log *assign = stage_last(&stage, EFFECT_ASSIGN);
    cr_assert_eq(assign->side, SIDE(SOURCE));
    cr_assert_str_eq(assign->endpoint, "tcp://nas:9448");
    cr_assert_eq(memcmp(assign->ticket, stage.sent[0].ticket, RUN_TICKET_LEN), 0,
                 "both sides get one ticket");

    stage_progress(&stage, &run, 1, SIDE(SOURCE), STATE(RUNNING));
    stage_expect_text(&stage, &run, "");
    stage_progress(&stage, &run, 1, SIDE(SOURCE), STATE(COMMITTING));
    stage_end(&stage, &run, 1, SIDE(TARGET), 0, "");
    stage_expect_state(&stage, &run, STATE(COMMITTING));
    stage_end(&stage, &run, 1, SIDE(SOURCE), 0, "");
    stage_expect_state(&stage, &run, STATE(OK));
    static const Sealift__RunState path[] = {STATE(ASSIGNED),   STATE(ASSIGNED),   STATE(RUNNING),
                                             STATE(COMMITTING), STATE(COMMITTING), STATE(OK)};
    expect_path(path, sizeof(path) / sizeof(path[0]));
    cr_assert_eq(run_table_count(stage.table), 0);
    cr_assert_eq(stage_run(&stage, &run)->code, 0);
    cr_assert_eq(stage_run(&stage, &run)->point.bytes[0], 8);
    cr_assert_neq(stage_run(&stage, &run)->ended_ns, 0);
}

static bool start_wrap(struct id *run, struct err *err)
{
    struct run_plan plan = {.id = {{42}},
                            .subject = SEALIFT__STATEMENT_TYPE__STATEMENT_ORDER,
                            .subject_id = {{43}},
                            .subject_version = 1,
                            .kind = RUN_WRAP,
                            .source_name = "nas",
                            .target_name = "nas"};
    AUTO(effects) struct effects effects = {0};
    memcpy(plan.source, stage_target, SIGN_PK_LEN);
    memcpy(plan.target, stage_target, SIGN_PK_LEN);
    *run = plan.id;
    bool started = run_table_start(stage.table, &stage.now, &plan, &effects, err);
    stage_apply(&stage, &effects);
    return started;
}

/* Somebody waits for the answer: it begins at once, or not at all. */
Test(run_table, a_wrap_waits_for_nobody_and_is_begun_once)
{
    struct err err = {0};
    struct id run;
    cr_assert_not(start_wrap(&run, &err));
    cr_assert_eq(err.code, ERR_UNREACHABLE);
    cr_assert(strstr(err.text, "'nas' is not connected"), "%s", err.text);
    cr_assert_eq(run_table_count(stage.table), 0);
    stage_connect(&stage);
    cr_assert(start_wrap(&run, &err), "%s", err.text);
    stage_expect_state(&stage, &run, STATE(ASSIGNED));
    cr_assert_eq(stage_last(&stage, EFFECT_ASSIGN)->side, SIDE(BOTH));
    stage_end(&stage, &run, 1, SIDE(BOTH), ERR_BUSY, "no slot");
    stage_expect_state(&stage, &run, STATE(FAILED));
    for (uint8_t job = 1; job <= 4; job++)
        (void)stage_start_local(&stage, job);
    cr_assert_not(start_wrap(&run, &err));
    cr_assert_eq(err.code, ERR_UNREACHABLE);
    cr_assert(strstr(err.text, "busy"), "%s", err.text);
}

Test(run_table, one_host_on_both_sides_gets_one_assignment)
{
    stage_connect(&stage);
    struct id run = stage_start_local(&stage, 1);
    cr_assert_eq(stage_sent(&stage, EFFECT_ASSIGN, stage_target, &run), 1);
    cr_assert_eq(stage_last(&stage, EFFECT_ASSIGN)->side, SIDE(BOTH));
    stage_ready(&stage, &run, 1);
    cr_assert_eq(stage.sent_count, 1, "there is no second side to be assigned");
    stage_progress(&stage, &run, 1, SIDE(BOTH), STATE(RUNNING));
    stage_expect_state(&stage, &run, STATE(RUNNING));
    stage_end(&stage, &run, 1, SIDE(BOTH), 0, "");
    stage_expect_state(&stage, &run, STATE(OK));
}

Test(run_table, warnings_of_a_side_show_in_the_result)
{
    struct id run = stage_bring(&stage, 1, STATE(COMMITTING));
    stage_end(&stage, &run, 1, SIDE(SOURCE), 1, "3 files changed while they were read");
    stage_end(&stage, &run, 1, SIDE(TARGET), 0, "");
    stage_expect_state(&stage, &run, STATE(OK));
    cr_assert_eq(stage_run(&stage, &run)->code, 1);
    stage_expect_text(&stage, &run, "web: 3 files changed while they were read");
}

Test(run_table, progress_shows_the_greater_of_both_sides_counters)
{
    struct id run = stage_bring(&stage, 1, STATE(RUNNING));
    struct run_view view;
    run_view_fill(run_table_find(stage.table, &run), &view);
    cr_assert_eq(view.row.counters->files, 11);
    cr_assert_eq(view.row.state, STATE(RUNNING));
    cr_assert_eq(view.row.run.len, ID_LEN);
    cr_assert_eq(view.row.point.len, 0);
    cr_assert_null(view.row.work);
}

/* ---- maintenance */

static const struct run_work check_work = {.kind = SEALIFT__MAINTENANCE_KIND__MAINTENANCE_CHECK,
                                           .level = SEALIFT__CHECK_LEVEL__CHECK_LEVEL_HASH,
                                           .sample_ppm = 50000};

Test(run_table, maintenance_is_given_to_the_owner_alone_with_its_work)
{
    stage_connect(&stage);
    struct id run;
    struct err err;
    cr_assert(stage_start_work(&stage, &check_work, &run, &err), "%s", err.text);
    stage_expect_state(&stage, &run, STATE(ASSIGNED));
    cr_assert_eq(stage_sent(&stage, EFFECT_ASSIGN, stage_target, &run), 1);
    cr_assert_eq(stage_sent(&stage, EFFECT_ASSIGN, stage_source, &run), 0);
    cr_assert_eq(stage_last(&stage, EFFECT_ASSIGN)->side, SIDE(BOTH));
    struct run_view view;
    run_view_fill(stage_run(&stage, &run), &view);
    cr_assert_eq(view.row.work->level, check_work.level);
    cr_assert_eq(view.row.work->sample_ppm, 50000);
    stage_end(&stage, &run, 1, SIDE(BOTH), ERR_DAMAGED, "1 finding");
    stage_expect_state(&stage, &run, STATE(FAILED));
    cr_assert_eq(stage_run(&stage, &run)->code, ERR_DAMAGED);
}

Test(run_table, maintenance_that_lost_its_host_is_not_taken_for_done)
{
    stage_connect(&stage);
    struct id run;
    struct err err;
    cr_assert(stage_start_work(&stage, &check_work, &run, &err), "%s", err.text);
    stage_progress(&stage, &run, 1, SIDE(BOTH), STATE(RUNNING));
    stage_down(&stage, stage_target);
    stage_wait(&stage, STAGE_LEASE_MS + 2000);
    stage_expect_state(&stage, &run, STATE(FAILED));
}

Test(run_table, the_same_maintenance_is_not_started_twice_but_another_is)
{
    struct id first, second;
    struct err err;
    struct run_work other = {.kind = SEALIFT__MAINTENANCE_KIND__MAINTENANCE_SWEEP};
    cr_assert(stage_start_work(&stage, &check_work, &first, &err), "%s", err.text);
    cr_assert_not(stage_start_work(&stage, &check_work, &second, &err));
    cr_assert_eq(err.code, ERR_BUSY);
    cr_assert_str_eq(err.text, "the repository has such a run already, which is queued");
    cr_assert(stage_start_work(&stage, &other, &second, &err), "%s", err.text);
}

Test(run_table, work_that_makes_no_sense_is_refused)
{
    static const uint8_t job[ID_LEN] = {1};
    const struct {
        Sealift__MaintenanceKind kind;
        Sealift__CheckLevel level;
        uint32_t sample_ppm;
        bool job, good;
    } cases[] = {
        {0, 0, 0, false, false},
        {SEALIFT__MAINTENANCE_KIND__MAINTENANCE_CHECK, 0, 0, false, false},
        {SEALIFT__MAINTENANCE_KIND__MAINTENANCE_CHECK, 3, 0, false, false},
        {SEALIFT__MAINTENANCE_KIND__MAINTENANCE_CHECK, 2, RUN_SAMPLE_ALL + 1, false, false},
        {SEALIFT__MAINTENANCE_KIND__MAINTENANCE_CHECK, 2, RUN_SAMPLE_ALL, false, true},
        {SEALIFT__MAINTENANCE_KIND__MAINTENANCE_PRUNE, 0, 0, false, false},
        {SEALIFT__MAINTENANCE_KIND__MAINTENANCE_PRUNE, 0, 0, true, true},
        {SEALIFT__MAINTENANCE_KIND__MAINTENANCE_SWEEP, 0, 0, false, true},
        {SEALIFT__MAINTENANCE_KIND__MAINTENANCE_REINDEX, 0, 0, false, true},
        {SEALIFT__MAINTENANCE_KIND__MAINTENANCE_REINDEX + 1, 0, 0, false, false},
    };
    struct run_work work;
    struct err err;
    cr_assert_not(run_work_take(NULL, &work, &err));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        Sealift__Maintenance message = SEALIFT__MAINTENANCE__INIT;
        message.kind = cases[i].kind;
        message.level = cases[i].level;
        message.sample_ppm = cases[i].sample_ppm;
        if (cases[i].job) message.about = lent_bytes(job, ID_LEN);
        cr_expect_eq(run_work_take(&message, &work, &err), cases[i].good, "case %zu", i);
    }
}

/* ---- refusals */

Test(run_table, a_job_has_at_most_one_active_run)
{
    for (int state = STATE(QUEUED); state <= STATE(COMMITTING); state++) {
        stage_deinit(&stage);
        stage_init(&stage);
        struct id run = stage_bring(&stage, 1, (Sealift__RunState)state), second;
        struct err err;
        cr_assert_not(stage_start_kind(&stage, RUN_BACKUP, 1, &second, &err));
        cr_assert_eq(err.code, ERR_BUSY);
        stage_expect_state(&stage, &run, (Sealift__RunState)state);
        (void)stage_start(&stage, 2);
    }
}

Test(run_table, an_order_does_not_wait_for_another_order)
{
    stage_connect(&stage);
    struct id first, second;
    struct err err;
    cr_assert(stage_start_kind(&stage, RUN_RECOVERY, 1, &first, &err));
    cr_assert(stage_start_kind(&stage, RUN_RECOVERY, 2, &second, &err));
}

Test(run_table, what_a_transporter_may_not_say_changes_nothing)
{
    struct id run = stage_bring(&stage, 1, STATE(RUNNING));
    struct run before = *run_table_find(stage.table, &run);
    struct id unknown = {{0x77}};
    size_t sent = stage.sent_count, path = stage.path_len;

    stage_ready(&stage, &unknown, 1);
    stage_ready(&stage, &run, 0);
    stage_ready(&stage, &run, 2);
    stage_ready(&stage, &run, 1);
    stage_progress(&stage, &unknown, 1, SIDE(SOURCE), STATE(COMMITTING));
    stage_progress(&stage, &run, 2, SIDE(SOURCE), STATE(COMMITTING));
    stage_progress(&stage, &run, 1, SIDE(BOTH), STATE(COMMITTING));
    stage_progress(&stage, &run, 1, SIDE(NONE), STATE(COMMITTING));
    stage_end(&stage, &unknown, 1, SIDE(TARGET), 0, "");
    stage_end(&stage, &run, 0, SIDE(TARGET), 0, "");
    stage_end(&stage, &run, 9, SIDE(SOURCE), 3, "");
    stage_end(&stage, &run, 1, SIDE(BOTH), 0, "");
    stage_point(&stage, &unknown);
    stage_log_read(&stage);

    cr_assert_eq(stage.sent_count, sent);
    cr_assert_eq(stage.path_len, path);
    stage_expect_state(&stage, &run, STATE(RUNNING));
    /* all bytes are set, padding too: NOLINTNEXTLINE */
    cr_assert_eq(memcmp(&before, run_table_find(stage.table, &run), sizeof(before)), 0);
}

Test(run_table, only_the_named_hosts_speak_for_a_run)
{
    struct id run = stage_bring(&stage, 1, STATE(RUNNING));
    stage_up(&stage, stage_other, 1, NULL);
    Sealift__RunEnd end = SEALIFT__RUN_END__INIT;
    end.run = (ProtobufCBinaryData){.len = ID_LEN, .data = run.bytes};
    end.attempt = 1;
    struct effects effects = {0};
    for (int side = SIDE(NONE); side <= SIDE(BOTH); side++) {
        end.side = (Sealift__RunSide)side;
        run_table_end(stage.table, &stage.now, stage_other, &end, &effects);
    }
    run_table_ready(stage.table, &stage.now, stage_source, &run, 1, "tcp://evil:1", &effects);
    end.side = SIDE(TARGET);
    run_table_end(stage.table, &stage.now, stage_source, &end, &effects);
    cr_assert_eq(effects.keep_count, 0);
    cr_assert_eq(effects.act_count, 0);
    stage_expect_state(&stage, &run, STATE(RUNNING));
}

Test(run_table, progress_never_moves_a_run_back_or_to_an_end)
{
    static const Sealift__RunState claims[] = {STATE(NONE),    STATE(QUEUED), STATE(ASSIGNED),
                                               STATE(OK),      STATE(FAILED), STATE(STOPPED),
                                               STATE(UNKNOWN), STATE(RUNNING)};
    struct id run = stage_bring(&stage, 1, STATE(COMMITTING));
    for (size_t i = 0; i < sizeof(claims) / sizeof(claims[0]); i++) {
        stage_progress(&stage, &run, 1, SIDE(SOURCE), claims[i]);
        stage_progress(&stage, &run, 1, SIDE(TARGET), claims[i]);
        stage_expect_state(&stage, &run, STATE(COMMITTING));
    }
}

Test(run_table, a_target_does_not_begin_before_its_source_is_assigned)
{
    struct id run = stage_bring(&stage, 1, STATE(ASSIGNED));
    stage_progress(&stage, &run, 1, SIDE(TARGET), STATE(COMMITTING));
    stage_expect_state(&stage, &run, STATE(ASSIGNED));
}

Test(run_table, messages_that_come_twice_count_once)
{
    stage_connect(&stage);
    struct id run = stage_start(&stage, 1);
    for (int i = 0; i < 3; i++)
        stage_ready(&stage, &run, 1);
    cr_assert_eq(stage_sent(&stage, EFFECT_ASSIGN, stage_source, &run), 1);
    stage_progress(&stage, &run, 1, SIDE(SOURCE), STATE(RUNNING));
    for (int i = 0; i < 3; i++)
        stage_end(&stage, &run, 1, SIDE(SOURCE), 0, "");
    stage_expect_state(&stage, &run, STATE(RUNNING));
    stage_end(&stage, &run, 1, SIDE(SOURCE), ERR_DAMAGED, "the second word does not count");
    for (int i = 0; i < 3; i++)
        stage_end(&stage, &run, 1, SIDE(TARGET), 0, "");
    stage_expect_state(&stage, &run, STATE(OK));
}

Test(run_table, ends_that_overtake_everything_are_understood)
{
    stage_connect(&stage);
    struct id run = stage_start(&stage, 1);
    stage_end(&stage, &run, 1, SIDE(SOURCE), 0, "");
    stage_expect_state(&stage, &run, STATE(ASSIGNED));
    stage_ready(&stage, &run, 1);
    stage_end(&stage, &run, 1, SIDE(TARGET), 0, "");
    stage_end(&stage, &run, 1, SIDE(SOURCE), 0, "");
    stage_expect_state(&stage, &run, STATE(OK));
    stage_ready(&stage, &run, 1);
    stage_progress(&stage, &run, 1, SIDE(SOURCE), STATE(RUNNING));
    stage_expect_state(&stage, &run, STATE(OK));
}

/* ---- failures */

Test(run_table, a_failed_side_takes_the_other_with_it_and_is_named)
{
    struct id run = stage_bring(&stage, 1, STATE(RUNNING));
    stage_end(&stage, &run, 1, SIDE(SOURCE), ERR_NO_KEY, "there is no write half of key 'main' here");
    cr_assert_eq(stage_sent(&stage, EFFECT_CANCEL, stage_target, &run), 1);
    stage_expect_state(&stage, &run, STATE(RUNNING));
    stage_end(&stage, &run, 1, SIDE(TARGET), ERR_CANCELLED, "cancelled");
    stage_expect_state(&stage, &run, STATE(FAILED));
    cr_assert_eq(stage_run(&stage, &run)->code, ERR_NO_KEY);
    stage_expect_text(&stage, &run, "web: there is no write half of key 'main' here");
}

Test(run_table, a_target_that_refuses_ends_the_run_before_its_source_hears_of_it)
{
    struct id run = stage_bring(&stage, 1, STATE(ASSIGNED));
    stage_end(&stage, &run, 1, SIDE(TARGET), ERR_POLICY, "local policy does not allow it");
    stage_expect_state(&stage, &run, STATE(FAILED));
    stage_expect_text(&stage, &run, "nas: local policy does not allow it");
    cr_assert_eq(stage_sent(&stage, EFFECT_ASSIGN, stage_source, &run), 0);
    cr_assert_eq(stage_sent(&stage, EFFECT_CANCEL, stage_source, &run), 0);
}

Test(run_table, the_cause_is_shown_and_not_its_consequence)
{
    struct id run = stage_bring(&stage, 1, STATE(RUNNING));
    stage_end(&stage, &run, 1, SIDE(SOURCE), ERR_UNREACHABLE, "the target is gone");
    stage_end(&stage, &run, 1, SIDE(TARGET), ERR_NO_SPACE, "the disk is full");
    stage_expect_text(&stage, &run, "nas: the disk is full");
    run = stage_start(&stage, 2);
    stage_ready(&stage, &run, 1);
    stage_end(&stage, &run, 1, SIDE(TARGET), ERR_UNREACHABLE, "no source came");
    stage_end(&stage, &run, 1, SIDE(SOURCE), ERR_CANCELLED, "cancelled");
    stage_expect_text(&stage, &run, "nas: no source came");
    cr_assert_eq(stage_run(&stage, &run)->code, ERR_UNREACHABLE);
    run = stage_start(&stage, 3);
    stage_ready(&stage, &run, 1);
    stage_end(&stage, &run, 1, SIDE(SOURCE), ERR_NO_SPACE, "the other side: there is no space left");
    stage_end(&stage, &run, 1, SIDE(TARGET), ERR_NO_SPACE, "there is no space left");
    stage_expect_text(&stage, &run, "nas: there is no space left");
}

Test(run_table, a_point_that_the_target_vouches_for_counts_whatever_the_source_says)
{
    struct id run = stage_bring(&stage, 1, STATE(COMMITTING));
    stage_end(&stage, &run, 1, SIDE(SOURCE), ERR_UNREACHABLE, "the receipt did not come");
    stage_end(&stage, &run, 1, SIDE(TARGET), 0, "");
    stage_expect_state(&stage, &run, STATE(OK));
    cr_assert_eq(stage_run(&stage, &run)->code, 1, "with a warning");
}

Test(run_table, a_copy_needs_its_source_to_say_that_it_was_all)
{
    stage_connect(&stage);
    struct id run;
    struct err err;
    cr_assert(stage_start_kind(&stage, RUN_COPY, 1, &run, &err));
    stage_ready(&stage, &run, 1);
    stage_end(&stage, &run, 1, SIDE(SOURCE), ERR_DAMAGED, "point 3 cannot be read");
    stage_end(&stage, &run, 1, SIDE(TARGET), 0, "");
    stage_expect_state(&stage, &run, STATE(FAILED));
    stage_expect_text(&stage, &run, "web: point 3 cannot be read");
}

/* Who opens it sees it first, and keeps nothing of it. */
Test(run_table, damage_that_an_opener_found_lies_with_the_repository)
{
    stage_connect(&stage);
    struct id run;
    struct err err;
    cr_assert(stage_start_kind(&stage, RUN_RECOVERY, 1, &run, &err));
    stage_ready(&stage, &run, 1);
    stage_end(&stage, &run, 1, SIDE(TARGET), ERR_DAMAGED, "stored data is damaged");
    stage_end(&stage, &run, 1, SIDE(SOURCE), ERR_DAMAGED, HEAD_BY_PEER "stored data is damaged");
    stage_expect_state(&stage, &run, STATE(FAILED));
    stage_expect_text(&stage, &run, "web: stored data is damaged (found by 'nas')");
}

Test(run_table, no_source_can_end_a_run_ok)
{
    struct id run = stage_bring(&stage, 1, STATE(COMMITTING));
    stage_end(&stage, &run, 1, SIDE(SOURCE), 0, "");
    stage_end(&stage, &run, 1, SIDE(TARGET), ERR_DAMAGED, "a frame is damaged");
    stage_expect_state(&stage, &run, STATE(FAILED));
}

Test(run_table, the_log_outvotes_a_target_that_reports_failure)
{
    struct id run = stage_bring(&stage, 1, STATE(COMMITTING));
    stage_point(&stage, &run);
    stage_end(&stage, &run, 1, SIDE(SOURCE), 0, "");
    stage_end(&stage, &run, 1, SIDE(TARGET), ERR_SYSTEM, "I fell over my own feet");
    stage_expect_state(&stage, &run, STATE(OK));
    cr_assert_eq(stage_run(&stage, &run)->code, 1);
}

/* ---- stopping */

Test(run_table, stopping_works_in_every_active_state)
{
    for (int state = STATE(QUEUED); state <= STATE(COMMITTING); state++) {
        stage_deinit(&stage);
        stage_init(&stage);
        struct id run = stage_bring(&stage, 1, (Sealift__RunState)state);
        cr_assert(stage_stop(&stage, &run));
        if (state >= STATE(ASSIGNED)) {
            cr_assert_eq(stage_sent(&stage, EFFECT_CANCEL, stage_target, &run), 1);
            stage_expect_state(&stage, &run, (Sealift__RunState)state);
            stage_end(&stage, &run, 1, SIDE(TARGET), ERR_CANCELLED, "cancelled");
            stage_end(&stage, &run, 1, SIDE(SOURCE), ERR_CANCELLED, "cancelled");
        }
        stage_expect_state(&stage, &run, STATE(STOPPED));
        cr_assert_eq(stage_run(&stage, &run)->code, ERR_CANCELLED);
        cr_assert_not(stage_stop(&stage, &run), "it has ended");
    }
}

Test(run_table, a_run_that_was_quicker_than_its_stop_is_ok)
{
    struct id run = stage_bring(&stage, 1, STATE(COMMITTING));
    cr_assert(stage_stop(&stage, &run));
    stage_end(&stage, &run, 1, SIDE(TARGET), 0, "");
    stage_end(&stage, &run, 1, SIDE(SOURCE), 0, "");
    stage_expect_state(&stage, &run, STATE(OK));
}

Test(run_table, a_side_that_does_not_stop_is_not_waited_for_longer_than_its_lease)
{
    struct id run = stage_bring(&stage, 1, STATE(RUNNING));
    cr_assert(stage_stop(&stage, &run));
    stage_wait(&stage, STAGE_LEASE_MS - 1000);
    stage_expect_state(&stage, &run, STATE(RUNNING));
    stage_wait(&stage, 2000);
    stage_expect_state(&stage, &run, STATE(STOPPED));
}

Test(run_table, a_stop_is_repeated_to_a_host_that_comes_back)
{
    struct id run = stage_bring(&stage, 1, STATE(RUNNING));
    stage_down(&stage, stage_target);
    cr_assert(stage_stop(&stage, &run));
    stage_up(&stage, stage_target, 1, &run);
    cr_assert_eq(stage_sent(&stage, EFFECT_CANCEL, stage_target, &run), 2);
}
