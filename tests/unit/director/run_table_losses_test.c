/* The run table when hosts are full, go away or come back, and when the director itself does. */
#include "stage.h"

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

TestSuite(run_table_losses, .init = setup, .fini = teardown);

/* ---- slots */

Test(run_table_losses, slots_bound_what_is_assigned_and_the_rest_waits_in_order)
{
    stage_connect(&stage);
    struct id runs[6];
    for (uint8_t i = 0; i < 6; i++)
        runs[i] = stage_start(&stage, (uint8_t)(i + 1));
    for (int i = 0; i < 4; i++)
        stage_expect_state(&stage, &runs[i], STATE(ASSIGNED));
    for (int i = 4; i < 6; i++)
        stage_expect_state(&stage, &runs[i], STATE(QUEUED));
    cr_assert_eq(run_table_busy(stage.table, stage_target), 4);
    cr_assert_str_eq(run_table_find(stage.table, &runs[4])->text,
                     "waits: transporter 'nas' has no free slot");
    stage_end(&stage, &runs[2], 1, SIDE(TARGET), ERR_POLICY, "no");
    stage_expect_state(&stage, &runs[4], STATE(ASSIGNED));
    stage_expect_state(&stage, &runs[5], STATE(QUEUED));
}

Test(run_table_losses, a_side_that_has_ended_frees_its_slot_before_the_other)
{
    struct id run = stage_bring(&stage, 1, STATE(COMMITTING));
    cr_assert_eq(run_table_busy(stage.table, stage_source), 1);
    stage_end(&stage, &run, 1, SIDE(SOURCE), 0, "");
    cr_assert_eq(run_table_busy(stage.table, stage_source), 0);
    cr_assert_eq(run_table_busy(stage.table, stage_target), 1);
}

Test(run_table_losses, a_full_host_is_tried_again_later_under_a_higher_attempt)
{
    struct id run = stage_bring(&stage, 1, STATE(ASSIGNED));
    stage_end(&stage, &run, 1, SIDE(TARGET), ERR_BUSY, "all slots are taken");
    stage_expect_state(&stage, &run, STATE(QUEUED));
    stage_wait(&stage, RUN_AGAIN_PAUSE_MS);
    stage_expect_state(&stage, &run, STATE(ASSIGNED));
    const struct effect_log *assign = stage_last(&stage, EFFECT_ASSIGN);
    cr_assert_eq(assign->attempt, 2);
    cr_assert_neq(memcmp(assign->ticket, stage.sent[0].ticket, RUN_TICKET_LEN), 0,
                  "each attempt has its ticket");
    stage_ready(&stage, &run, 1);
    cr_assert_eq(stage_sent(&stage, EFFECT_ASSIGN, stage_source, &run), 0,
                 "an old attempt's word is nothing");
    for (uint32_t attempt = 2; attempt <= RUN_ATTEMPTS_MAX; attempt++) {
        stage_end(&stage, &run, attempt, SIDE(TARGET), ERR_BUSY, "all slots are taken");
        stage_wait(&stage, RUN_AGAIN_PAUSE_MS);
    }
    stage_expect_state(&stage, &run, STATE(FAILED));
    cr_assert_eq(stage_run(&stage, &run)->code, ERR_BUSY);
}

/* ---- lost transporters */

Test(run_table_losses, a_run_waits_for_its_hosts_as_long_as_the_lease)
{
    stage_up(&stage, stage_target, 1, NULL);
    struct id run = stage_start(&stage, 1);
    cr_assert_str_eq(run_table_find(stage.table, &run)->text, "waits: transporter 'web' is not connected");
    stage_wait(&stage, STAGE_LEASE_MS - 1000);
    stage_expect_state(&stage, &run, STATE(QUEUED));
    stage_wait(&stage, 2000);
    stage_expect_state(&stage, &run, STATE(FAILED));
    cr_assert_eq(stage_run(&stage, &run)->code, ERR_UNREACHABLE);
    stage_expect_text(&stage, &run, "transporter 'web' is not connected");
}

Test(run_table_losses, a_run_that_waits_begins_when_its_hosts_have_come)
{
    struct id run = stage_start(&stage, 1);
    stage_up(&stage, stage_source, 1, NULL);
    stage_expect_state(&stage, &run, STATE(QUEUED));
    stage_up(&stage, stage_target, 1, NULL);
    stage_expect_state(&stage, &run, STATE(ASSIGNED));
}

/* Both hosts out of sight beyond the lease, at every state. */
Test(run_table_losses, a_run_whose_hosts_stay_away_ends_and_names_them)
{
    static const struct {
        Sealift__RunState at, end;
        const char *text;
    } cases[] = {
        {STATE(QUEUED), STATE(FAILED), "transporter 'web' is not connected"},
        {STATE(ASSIGNED), STATE(FAILED), "transporter 'web' has been gone for too long"},
        {STATE(RUNNING), STATE(UNKNOWN),
         "transporter 'nas' has been gone for too long; the repository's log will show whether there is a "
         "point"},
        {STATE(COMMITTING), STATE(UNKNOWN),
         "transporter 'nas' has been gone for too long; the repository's log will show whether there is a "
         "point"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        stage_deinit(&stage);
        stage_init(&stage);
        struct id run = stage_bring(&stage, 1, cases[i].at);
        stage_down(&stage, stage_target);
        stage_down(&stage, stage_source);
        stage_wait(&stage, STAGE_LEASE_MS - 2000);
        stage_expect_state(&stage, &run, cases[i].at);
        stage_wait(&stage, 3000);
        stage_expect_state(&stage, &run, cases[i].end);
        stage_expect_text(&stage, &run, cases[i].text);
    }
}

Test(run_table_losses, one_side_out_of_sight_does_not_end_what_the_other_goes_on_with)
{
    struct id run = stage_bring(&stage, 1, STATE(RUNNING));
    stage_down(&stage, stage_source);
    for (int i = 0; i < 10; i++) {
        stage_wait(&stage, STAGE_LEASE_MS / 2);
        stage_progress(&stage, &run, 1, SIDE(TARGET), STATE(RUNNING));
    }
    stage_expect_state(&stage, &run, STATE(RUNNING));
    stage_end(&stage, &run, 1, SIDE(TARGET), 0, "");
    stage_up(&stage, stage_source, 1, NULL);
    stage_end(&stage, &run, 1, SIDE(SOURCE), 0, "");
    stage_expect_state(&stage, &run, STATE(OK));
    cr_assert_eq(stage_run(&stage, &run)->code, 0);
}

Test(run_table_losses, a_new_start_ends_a_run_whose_side_is_gone_for_longer_than_its_lease)
{
    struct id run = stage_bring(&stage, 1, STATE(RUNNING)), second;
    stage_down(&stage, stage_source);
    stage_wait(&stage, STAGE_LEASE_MS - 1000);
    struct err err;
    cr_assert_not(stage_start_kind(&stage, RUN_BACKUP, 1, &second, &err));
    stage_wait(&stage, 1000);
    cr_assert(stage_start_kind(&stage, RUN_BACKUP, 1, &second, &err), "%s", err.text);
    cr_assert_neq(stage_run(&stage, &run)->state, STATE(RUNNING));
    cr_assert_eq(stage_sent(&stage, EFFECT_CANCEL, stage_target, &run), 1, "the other side is told");
    stage_expect_state(&stage, &second, STATE(QUEUED));
}

Test(run_table_losses, a_host_that_was_restarted_loses_what_it_ran)
{
    struct id run = stage_bring(&stage, 1, STATE(RUNNING));
    stage_down(&stage, stage_source);
    stage_up(&stage, stage_source, 2, NULL);
    stage_wait(&stage, RUN_MISSING_GRACE_MS - 1000);
    cr_assert_eq(stage_sent(&stage, EFFECT_CANCEL, stage_target, &run), 0, "its last word may be on the way");
    stage_wait(&stage, 2000);
    cr_assert_eq(stage_sent(&stage, EFFECT_CANCEL, stage_target, &run), 1);
    stage_end(&stage, &run, 1, SIDE(TARGET), ERR_CANCELLED, "cancelled");
    stage_expect_state(&stage, &run, STATE(FAILED));
    stage_expect_text(&stage, &run, "transporter 'web' was restarted during the run");
}

Test(run_table_losses, a_host_that_was_restarted_may_still_report_what_it_had_finished)
{
    struct id run = stage_bring(&stage, 1, STATE(COMMITTING));
    stage_end(&stage, &run, 1, SIDE(TARGET), 0, "");
    stage_down(&stage, stage_source);
    stage_up(&stage, stage_source, 2, NULL);
    stage_end(&stage, &run, 1, SIDE(SOURCE), 0, "");
    stage_expect_state(&stage, &run, STATE(OK));
    cr_assert_eq(stage_run(&stage, &run)->code, 0);
}

Test(run_table_losses, a_host_that_was_restarted_before_it_began_is_assigned_again)
{
    struct id run = stage_bring(&stage, 1, STATE(ASSIGNED));
    stage_down(&stage, stage_target);
    stage_up(&stage, stage_target, 2, NULL);
    stage_wait(&stage, RUN_MISSING_GRACE_MS + RUN_AGAIN_PAUSE_MS + 1000);
    stage_expect_state(&stage, &run, STATE(ASSIGNED));
    cr_assert_eq(stage_last(&stage, EFFECT_ASSIGN)->attempt, 2);
}

Test(run_table_losses, an_assignment_that_got_lost_is_sent_again_unchanged)
{
    struct id run = stage_bring(&stage, 1, STATE(ASSIGNED));
    stage_down(&stage, stage_target);
    stage_up(&stage, stage_target, 1, NULL);
    stage_wait(&stage, RUN_MISSING_GRACE_MS + 1000);
    cr_assert_eq(stage_sent(&stage, EFFECT_ASSIGN, stage_target, &run), 2);
    cr_assert_eq(stage_last(&stage, EFFECT_ASSIGN)->attempt, 1);
    cr_assert_eq(memcmp(stage.sent[0].ticket, stage.sent[1].ticket, RUN_TICKET_LEN), 0);
}

Test(run_table_losses, a_host_that_neither_begins_nor_refuses_is_given_up)
{
    struct id run = stage_bring(&stage, 1, STATE(ASSIGNED));
    stage_wait(&stage, STAGE_LEASE_MS + 1000);
    stage_expect_state(&stage, &run, STATE(FAILED));
    stage_expect_text(&stage, &run, "transporter 'nas' did not begin the run");
    cr_assert_eq(stage_sent(&stage, EFFECT_CANCEL, stage_target, &run), 1);
}

Test(run_table_losses, work_that_nobody_ordered_is_cancelled)
{
    struct id stray = {{0x55}};
    stage_up(&stage, stage_target, 1, &stray);
    cr_assert_eq(stage_sent(&stage, EFFECT_CANCEL, stage_target, &stray), 1);
    struct id run = stage_bring(&stage, 1, STATE(RUNNING));
    stage_up(&stage, stage_other, 1, &run);
    cr_assert_eq(stage_sent(&stage, EFFECT_CANCEL, stage_other, &run), 1);
    stage_up(&stage, stage_target, 1, &run);
    cr_assert_eq(stage_sent(&stage, EFFECT_CANCEL, stage_target, &run), 0);
}

Test(run_table_losses, a_host_that_leaves_the_roster_loses_its_runs_at_once)
{
    struct id run = stage_bring(&stage, 1, STATE(RUNNING));
    struct effects effects = {0};
    run_table_removed(stage.table, &stage.now, stage_source, &effects);
    stage_apply(&stage, &effects);
    cr_assert_eq(stage_sent(&stage, EFFECT_CANCEL, stage_target, &run), 1);
    stage_end(&stage, &run, 1, SIDE(TARGET), ERR_CANCELLED, "");
    stage_expect_state(&stage, &run, STATE(FAILED));
    stage_expect_text(&stage, &run, "transporter 'web' is not in the roster any more");
}

/* ---- unknown ends */

static struct id bring_unknown(void)
{
    struct id run = stage_bring(&stage, 1, STATE(COMMITTING));
    stage_end(&stage, &run, 1, SIDE(SOURCE), 0, "");
    stage_down(&stage, stage_target);
    stage_wait(&stage, STAGE_LEASE_MS + 1000);
    stage_expect_state(&stage, &run, STATE(UNKNOWN));
    return run;
}

Test(run_table_losses, an_unknown_run_is_ok_when_the_log_shows_its_point)
{
    struct id run = bring_unknown();
    stage_up(&stage, stage_target, 2, NULL);
    stage_point(&stage, &run);
    stage_expect_state(&stage, &run, STATE(OK));
    cr_assert_eq(run_table_count(stage.table), 0);
}

Test(run_table_losses, an_unknown_run_has_failed_when_the_log_was_read_without_its_point)
{
    struct id run = bring_unknown();
    stage_up(&stage, stage_target, 2, NULL);
    stage_log_read(&stage);
    stage_expect_state(&stage, &run, STATE(FAILED));
}

Test(run_table_losses, an_unknown_run_that_is_still_at_work_is_waited_for)
{
    struct id run = bring_unknown();
    stage_up(&stage, stage_target, 1, &run);
    stage_log_read(&stage);
    stage_expect_state(&stage, &run, STATE(UNKNOWN));
    cr_assert_eq(run_table_busy(stage.table, stage_target), 1);
    stage_end(&stage, &run, 1, SIDE(TARGET), 0, "");
    stage_expect_state(&stage, &run, STATE(OK));
}

Test(run_table_losses, an_unknown_run_does_not_keep_its_job_busy)
{
    (void)bring_unknown();
    (void)stage_start(&stage, 1);
}

Test(run_table_losses, a_target_restarted_while_it_committed_is_asked_for_its_log)
{
    struct id run = stage_bring(&stage, 1, STATE(COMMITTING));
    stage_down(&stage, stage_target);
    stage_up(&stage, stage_target, 2, NULL);
    stage_wait(&stage, RUN_MISSING_GRACE_MS + 1000);
    stage_end(&stage, &run, 1, SIDE(SOURCE), ERR_UNREACHABLE, "the target is gone");
    stage_expect_state(&stage, &run, STATE(UNKNOWN));
    cr_assert_not_null(stage_last(&stage, EFFECT_ASK_LOG));
    cr_assert_eq(memcmp(stage_last(&stage, EFFECT_ASK_LOG)->host, stage_target, SIGN_PK_LEN), 0);
    stage_log_read(&stage);
    stage_expect_state(&stage, &run, STATE(FAILED));
}

/* ---- changes of a job */

static void replan(const struct id *run)
{
    const struct run *known = run_table_find(stage.table, run);
    struct run_plan plan = {.subject = known->subject,
                            .subject_id = known->subject_id,
                            .subject_version = 2,
                            .kind = RUN_BACKUP,
                            .repository = known->repository,
                            .source_name = "lab",
                            .target_name = "nas"};
    memcpy(plan.source, stage_other, SIGN_PK_LEN);
    memcpy(plan.target, stage_target, SIGN_PK_LEN);
    struct effects effects = {0};
    run_table_replan(stage.table, &stage.now, &plan, &effects);
    stage_apply(&stage, &effects);
}

Test(run_table_losses, a_run_that_waits_goes_by_the_new_version_of_its_job)
{
    struct id run = stage_bring(&stage, 1, STATE(QUEUED));
    replan(&run);
    cr_assert_eq(stage_run(&stage, &run)->subject_version, 2);
    stage_up(&stage, stage_target, 1, NULL);
    stage_up(&stage, stage_other, 1, NULL);
    stage_expect_state(&stage, &run, STATE(ASSIGNED));
    stage_ready(&stage, &run, 1);
    cr_assert_eq(stage_sent(&stage, EFFECT_ASSIGN, stage_other, &run), 1);
}

Test(run_table_losses, a_run_that_was_assigned_goes_by_the_version_it_began_with)
{
    struct id run = stage_bring(&stage, 1, STATE(ASSIGNED));
    replan(&run);
    cr_assert_eq(stage_run(&stage, &run)->subject_version, 1);
}

/* ---- the director's own restarts */

static void act(struct id *run, int step)
{
    switch (step) {
    case 0:
        stage_connect(&stage);
        break;
    case 1:
        *run = stage_start(&stage, 1);
        break;
    case 2:
        stage_ready(&stage, run, 1);
        break;
    case 3:
        stage_progress(&stage, run, 1, SIDE(SOURCE), STATE(RUNNING));
        break;
    case 4:
        stage_progress(&stage, run, 1, SIDE(TARGET), STATE(RUNNING));
        break;
    case 5:
        stage_progress(&stage, run, 1, SIDE(SOURCE), STATE(COMMITTING));
        break;
    case 6:
        stage_end(&stage, run, 1, SIDE(TARGET), 0, "");
        break;
    default:
        stage_end(&stage, run, 1, SIDE(SOURCE), 0, "");
    }
}

Test(run_table_losses, a_director_restarted_at_any_step_finishes_the_run)
{
    for (int broken = 1; broken < 8; broken++) {
        stage_deinit(&stage);
        stage_init(&stage);
        struct id run = {0};
        for (int step = 0; step < 8; step++) {
            act(&run, step);
            if (step != broken) continue;
            stage_restart(&stage);
            bool target_works = step < 6, source_works = step >= 2 && step < 7;
            stage_up(&stage, stage_target, 1, target_works ? &run : NULL);
            stage_up(&stage, stage_source, 1, source_works ? &run : NULL);
        }
        stage_expect_state(&stage, &run, STATE(OK));
        cr_assert_eq(stage_run(&stage, &run)->code, 0, "restarted after step %d", broken);
        cr_assert_eq(stage_run(&stage, &run)->attempt, 1);
    }
}

Test(run_table_losses, a_director_that_died_before_it_sent_an_assignment_sends_it_later)
{
    struct id run = stage_bring(&stage, 1, STATE(ASSIGNED));
    stage_restart(&stage);
    stage_connect(&stage);
    stage_wait(&stage, RUN_MISSING_GRACE_MS + 1000);
    cr_assert_eq(stage_sent(&stage, EFFECT_ASSIGN, stage_target, &run), 2);
    cr_assert_eq(memcmp(stage.sent[0].ticket, stage.sent[1].ticket, RUN_TICKET_LEN), 0,
                 "the ticket was kept");
}

Test(run_table_losses, a_restarted_director_goes_on_stopping)
{
    struct id run = stage_bring(&stage, 1, STATE(RUNNING));
    cr_assert(stage_stop(&stage, &run));
    stage_restart(&stage);
    stage_up(&stage, stage_target, 1, &run);
    stage_up(&stage, stage_source, 1, &run);
    cr_assert_eq(stage_sent(&stage, EFFECT_CANCEL, stage_target, &run), 2);
    cr_assert_eq(stage_sent(&stage, EFFECT_CANCEL, stage_source, &run), 2);
    stage_end(&stage, &run, 1, SIDE(TARGET), ERR_CANCELLED, "");
    stage_end(&stage, &run, 1, SIDE(SOURCE), ERR_CANCELLED, "");
    stage_expect_state(&stage, &run, STATE(STOPPED));
}

Test(run_table_losses, an_unknown_run_survives_a_restart_of_the_director)
{
    struct id run = bring_unknown();
    stage_restart(&stage);
    stage_up(&stage, stage_target, 1, NULL);
    stage_point(&stage, &run);
    stage_expect_state(&stage, &run, STATE(OK));
}

Test(run_table_losses, text_from_outside_is_cut_at_a_character)
{
    char text[RUN_TEXT_MAX * 2];
    memset(text, 'a', sizeof(text));
    memcpy(text + RUN_TEXT_MAX - 1, "\xe2\x82\xac", 3);
    text[sizeof(text) - 1] = '\0';
    char out[RUN_TEXT_MAX + 1];
    run_text_set(out, sizeof(out), text);
    cr_assert_eq(strlen(out), RUN_TEXT_MAX - 1, "no half of a character");
}
