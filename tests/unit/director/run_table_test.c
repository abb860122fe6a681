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

TestSuite(run_table, .init = setup, .fini = teardown);

static void expect_state(const struct id *run, Sealift__RunState state)
{
    const struct run *kept = stage_run(&stage, run);
    cr_assert_eq(kept->state, state, "%s instead of %s: %s", run_state_name(kept->state),
                 run_state_name(state), kept->text);
}

static void expect_text(const struct id *run, const char *text)
{
    cr_assert_str_eq(stage_run(&stage, run)->text, text);
}

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
    expect_state(&run, STATE(ASSIGNED));
    cr_assert_eq(stage_sent(&stage, EFFECT_ASSIGN, stage_target, &run), 1);
    cr_assert_eq(stage_sent(&stage, EFFECT_ASSIGN, stage_source, &run), 0, "before the target is ready");
    cr_assert_eq(stage_last(&stage, EFFECT_ASSIGN)->side, SIDE(TARGET));

    stage_ready(&stage, &run, 1);
    cr_assert_eq(stage_sent(&stage, EFFECT_ASSIGN, stage_source, &run), 1);
    const struct effect_log *assign = stage_last(&stage, EFFECT_ASSIGN);
    cr_assert_eq(assign->side, SIDE(SOURCE));
    cr_assert_str_eq(assign->endpoint, "tcp://nas:9448");
    cr_assert_eq(memcmp(assign->ticket, stage.sent[0].ticket, RUN_TICKET_LEN), 0,
                 "both sides get one ticket");

    stage_progress(&stage, &run, 1, SIDE(SOURCE), STATE(RUNNING));
    stage_progress(&stage, &run, 1, SIDE(SOURCE), STATE(COMMITTING));
    stage_end(&stage, &run, 1, SIDE(TARGET), 0, "");
    expect_state(&run, STATE(COMMITTING));
    stage_end(&stage, &run, 1, SIDE(SOURCE), 0, "");
    expect_state(&run, STATE(OK));
    static const Sealift__RunState path[] = {STATE(ASSIGNED),   STATE(ASSIGNED),   STATE(RUNNING),
                                             STATE(COMMITTING), STATE(COMMITTING), STATE(OK)};
    expect_path(path, sizeof(path) / sizeof(path[0]));
    cr_assert_eq(run_table_count(stage.table), 0);
    cr_assert_eq(stage_run(&stage, &run)->code, 0);
    cr_assert_eq(stage_run(&stage, &run)->point.bytes[0], 8);
    cr_assert_neq(stage_run(&stage, &run)->ended_ns, 0);
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
    expect_state(&run, STATE(RUNNING));
    stage_end(&stage, &run, 1, SIDE(BOTH), 0, "");
    expect_state(&run, STATE(OK));
}

Test(run_table, warnings_of_a_side_show_in_the_result)
{
    struct id run = stage_bring(&stage, 1, STATE(COMMITTING));
    stage_end(&stage, &run, 1, SIDE(SOURCE), 1, "3 files changed while they were read");
    stage_end(&stage, &run, 1, SIDE(TARGET), 0, "");
    expect_state(&run, STATE(OK));
    cr_assert_eq(stage_run(&stage, &run)->code, 1);
    expect_text(&run, "web: 3 files changed while they were read");
}

Test(run_table, progress_shows_the_greater_of_both_sides_counters)
{
    struct id run = stage_bring(&stage, 1, STATE(RUNNING));
    Sealift__Counters counters;
    Sealift__RunRow row;
    run_row(run_table_find(stage.table, &run), &counters, &row);
    cr_assert_eq(row.counters->files, 11);
    cr_assert_eq(row.state, STATE(RUNNING));
    cr_assert_eq(row.run.len, ID_LEN);
    cr_assert_eq(row.point.len, 0);
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
        expect_state(&run, (Sealift__RunState)state);
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
    expect_state(&run, STATE(RUNNING));
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
    expect_state(&run, STATE(RUNNING));
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
        expect_state(&run, STATE(COMMITTING));
    }
}

Test(run_table, a_target_does_not_begin_before_its_source_is_assigned)
{
    struct id run = stage_bring(&stage, 1, STATE(ASSIGNED));
    stage_progress(&stage, &run, 1, SIDE(TARGET), STATE(COMMITTING));
    expect_state(&run, STATE(ASSIGNED));
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
    expect_state(&run, STATE(RUNNING));
    stage_end(&stage, &run, 1, SIDE(SOURCE), ERR_DAMAGED, "the second word does not count");
    for (int i = 0; i < 3; i++)
        stage_end(&stage, &run, 1, SIDE(TARGET), 0, "");
    expect_state(&run, STATE(OK));
}

Test(run_table, ends_that_overtake_everything_are_understood)
{
    stage_connect(&stage);
    struct id run = stage_start(&stage, 1);
    stage_end(&stage, &run, 1, SIDE(SOURCE), 0, "");
    expect_state(&run, STATE(ASSIGNED));
    stage_ready(&stage, &run, 1);
    stage_end(&stage, &run, 1, SIDE(TARGET), 0, "");
    stage_end(&stage, &run, 1, SIDE(SOURCE), 0, "");
    expect_state(&run, STATE(OK));
    stage_ready(&stage, &run, 1);
    stage_progress(&stage, &run, 1, SIDE(SOURCE), STATE(RUNNING));
    expect_state(&run, STATE(OK));
}

/* ---- failures */

Test(run_table, a_failed_side_takes_the_other_with_it_and_is_named)
{
    struct id run = stage_bring(&stage, 1, STATE(RUNNING));
    stage_end(&stage, &run, 1, SIDE(SOURCE), ERR_NO_KEY, "there is no write half of key 'main' here");
    cr_assert_eq(stage_sent(&stage, EFFECT_CANCEL, stage_target, &run), 1);
    expect_state(&run, STATE(RUNNING));
    stage_end(&stage, &run, 1, SIDE(TARGET), ERR_CANCELLED, "cancelled");
    expect_state(&run, STATE(FAILED));
    cr_assert_eq(stage_run(&stage, &run)->code, ERR_NO_KEY);
    expect_text(&run, "web: there is no write half of key 'main' here");
}

Test(run_table, a_target_that_refuses_ends_the_run_before_its_source_hears_of_it)
{
    struct id run = stage_bring(&stage, 1, STATE(ASSIGNED));
    stage_end(&stage, &run, 1, SIDE(TARGET), ERR_POLICY, "local policy does not allow it");
    expect_state(&run, STATE(FAILED));
    expect_text(&run, "nas: local policy does not allow it");
    cr_assert_eq(stage_sent(&stage, EFFECT_ASSIGN, stage_source, &run), 0);
    cr_assert_eq(stage_sent(&stage, EFFECT_CANCEL, stage_source, &run), 0);
}

Test(run_table, the_cause_is_shown_and_not_its_consequence)
{
    struct id run = stage_bring(&stage, 1, STATE(RUNNING));
    stage_end(&stage, &run, 1, SIDE(SOURCE), ERR_UNREACHABLE, "the target is gone");
    stage_end(&stage, &run, 1, SIDE(TARGET), ERR_NO_SPACE, "the disk is full");
    expect_text(&run, "nas: the disk is full");
    run = stage_start(&stage, 2);
    stage_ready(&stage, &run, 1);
    stage_end(&stage, &run, 1, SIDE(TARGET), ERR_UNREACHABLE, "no source came");
    stage_end(&stage, &run, 1, SIDE(SOURCE), ERR_CANCELLED, "cancelled");
    expect_text(&run, "nas: no source came");
    cr_assert_eq(stage_run(&stage, &run)->code, ERR_UNREACHABLE);
    run = stage_start(&stage, 3);
    stage_ready(&stage, &run, 1);
    stage_end(&stage, &run, 1, SIDE(SOURCE), ERR_NO_SPACE, "the other side: there is no space left");
    stage_end(&stage, &run, 1, SIDE(TARGET), ERR_NO_SPACE, "there is no space left");
    expect_text(&run, "nas: there is no space left");
}

Test(run_table, a_point_that_the_target_vouches_for_counts_whatever_the_source_says)
{
    struct id run = stage_bring(&stage, 1, STATE(COMMITTING));
    stage_end(&stage, &run, 1, SIDE(SOURCE), ERR_UNREACHABLE, "the receipt did not come");
    stage_end(&stage, &run, 1, SIDE(TARGET), 0, "");
    expect_state(&run, STATE(OK));
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
    expect_state(&run, STATE(FAILED));
    expect_text(&run, "web: point 3 cannot be read");
}

Test(run_table, no_source_can_end_a_run_ok)
{
    struct id run = stage_bring(&stage, 1, STATE(COMMITTING));
    stage_end(&stage, &run, 1, SIDE(SOURCE), 0, "");
    stage_end(&stage, &run, 1, SIDE(TARGET), ERR_DAMAGED, "a frame is damaged");
    expect_state(&run, STATE(FAILED));
}

Test(run_table, the_log_outvotes_a_target_that_reports_failure)
{
    struct id run = stage_bring(&stage, 1, STATE(COMMITTING));
    stage_point(&stage, &run);
    stage_end(&stage, &run, 1, SIDE(SOURCE), 0, "");
    stage_end(&stage, &run, 1, SIDE(TARGET), ERR_SYSTEM, "I fell over my own feet");
    expect_state(&run, STATE(OK));
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
            expect_state(&run, (Sealift__RunState)state);
            stage_end(&stage, &run, 1, SIDE(TARGET), ERR_CANCELLED, "cancelled");
            stage_end(&stage, &run, 1, SIDE(SOURCE), ERR_CANCELLED, "cancelled");
        }
        expect_state(&run, STATE(STOPPED));
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
    expect_state(&run, STATE(OK));
}

Test(run_table, a_side_that_does_not_stop_is_not_waited_for_longer_than_its_lease)
{
    struct id run = stage_bring(&stage, 1, STATE(RUNNING));
    cr_assert(stage_stop(&stage, &run));
    stage_wait(&stage, STAGE_LEASE_MS - 1000);
    expect_state(&run, STATE(RUNNING));
    stage_wait(&stage, 2000);
    expect_state(&run, STATE(STOPPED));
}

Test(run_table, a_stop_is_repeated_to_a_host_that_comes_back)
{
    struct id run = stage_bring(&stage, 1, STATE(RUNNING));
    stage_down(&stage, stage_target);
    cr_assert(stage_stop(&stage, &run));
    stage_up(&stage, stage_target, 1, &run);
    cr_assert_eq(stage_sent(&stage, EFFECT_CANCEL, stage_target, &run), 2);
}

/* ---- slots */

Test(run_table, slots_bound_what_is_assigned_and_the_rest_waits_in_order)
{
    stage_connect(&stage);
    struct id runs[6];
    for (uint8_t i = 0; i < 6; i++)
        runs[i] = stage_start(&stage, (uint8_t)(i + 1));
    for (int i = 0; i < 4; i++)
        expect_state(&runs[i], STATE(ASSIGNED));
    for (int i = 4; i < 6; i++)
        expect_state(&runs[i], STATE(QUEUED));
    cr_assert_eq(run_table_busy(stage.table, stage_target), 4);
    cr_assert_str_eq(run_table_find(stage.table, &runs[4])->text,
                     "waits: transporter 'nas' has no free slot");
    stage_end(&stage, &runs[2], 1, SIDE(TARGET), ERR_POLICY, "no");
    expect_state(&runs[4], STATE(ASSIGNED));
    expect_state(&runs[5], STATE(QUEUED));
}

Test(run_table, a_side_that_has_ended_frees_its_slot_before_the_other)
{
    struct id run = stage_bring(&stage, 1, STATE(COMMITTING));
    cr_assert_eq(run_table_busy(stage.table, stage_source), 1);
    stage_end(&stage, &run, 1, SIDE(SOURCE), 0, "");
    cr_assert_eq(run_table_busy(stage.table, stage_source), 0);
    cr_assert_eq(run_table_busy(stage.table, stage_target), 1);
}

Test(run_table, a_full_host_is_tried_again_later_under_a_higher_attempt)
{
    struct id run = stage_bring(&stage, 1, STATE(ASSIGNED));
    stage_end(&stage, &run, 1, SIDE(TARGET), ERR_BUSY, "all slots are taken");
    expect_state(&run, STATE(QUEUED));
    stage_wait(&stage, RUN_AGAIN_PAUSE_MS);
    expect_state(&run, STATE(ASSIGNED));
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
    expect_state(&run, STATE(FAILED));
    cr_assert_eq(stage_run(&stage, &run)->code, ERR_BUSY);
}

/* ---- lost transporters */

Test(run_table, a_run_waits_for_its_hosts_as_long_as_the_lease)
{
    stage_up(&stage, stage_target, 1, NULL);
    struct id run = stage_start(&stage, 1);
    cr_assert_str_eq(run_table_find(stage.table, &run)->text, "waits: transporter 'web' is not connected");
    stage_wait(&stage, STAGE_LEASE_MS - 1000);
    expect_state(&run, STATE(QUEUED));
    stage_wait(&stage, 2000);
    expect_state(&run, STATE(FAILED));
    cr_assert_eq(stage_run(&stage, &run)->code, ERR_UNREACHABLE);
    expect_text(&run, "transporter 'web' is not connected");
}

Test(run_table, a_run_that_waits_begins_when_its_hosts_have_come)
{
    struct id run = stage_start(&stage, 1);
    stage_up(&stage, stage_source, 1, NULL);
    expect_state(&run, STATE(QUEUED));
    stage_up(&stage, stage_target, 1, NULL);
    expect_state(&run, STATE(ASSIGNED));
}

/* Both hosts out of sight beyond the lease, at every state. */
Test(run_table, a_run_whose_hosts_stay_away_ends_and_names_them)
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
        expect_state(&run, cases[i].at);
        stage_wait(&stage, 3000);
        expect_state(&run, cases[i].end);
        expect_text(&run, cases[i].text);
    }
}

Test(run_table, one_side_out_of_sight_does_not_end_what_the_other_goes_on_with)
{
    struct id run = stage_bring(&stage, 1, STATE(RUNNING));
    stage_down(&stage, stage_source);
    for (int i = 0; i < 10; i++) {
        stage_wait(&stage, STAGE_LEASE_MS / 2);
        stage_progress(&stage, &run, 1, SIDE(TARGET), STATE(RUNNING));
    }
    expect_state(&run, STATE(RUNNING));
    stage_end(&stage, &run, 1, SIDE(TARGET), 0, "");
    stage_up(&stage, stage_source, 1, NULL);
    stage_end(&stage, &run, 1, SIDE(SOURCE), 0, "");
    expect_state(&run, STATE(OK));
    cr_assert_eq(stage_run(&stage, &run)->code, 0);
}

Test(run_table, a_new_start_ends_a_run_whose_side_is_gone_for_longer_than_its_lease)
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
    expect_state(&second, STATE(QUEUED));
}

Test(run_table, a_host_that_was_restarted_loses_what_it_ran)
{
    struct id run = stage_bring(&stage, 1, STATE(RUNNING));
    stage_down(&stage, stage_source);
    stage_up(&stage, stage_source, 2, NULL);
    stage_wait(&stage, RUN_MISSING_GRACE_MS - 1000);
    cr_assert_eq(stage_sent(&stage, EFFECT_CANCEL, stage_target, &run), 0, "its last word may be on the way");
    stage_wait(&stage, 2000);
    cr_assert_eq(stage_sent(&stage, EFFECT_CANCEL, stage_target, &run), 1);
    stage_end(&stage, &run, 1, SIDE(TARGET), ERR_CANCELLED, "cancelled");
    expect_state(&run, STATE(FAILED));
    expect_text(&run, "transporter 'web' was restarted during the run");
}

Test(run_table, a_host_that_was_restarted_may_still_report_what_it_had_finished)
{
    struct id run = stage_bring(&stage, 1, STATE(COMMITTING));
    stage_end(&stage, &run, 1, SIDE(TARGET), 0, "");
    stage_down(&stage, stage_source);
    stage_up(&stage, stage_source, 2, NULL);
    stage_end(&stage, &run, 1, SIDE(SOURCE), 0, "");
    expect_state(&run, STATE(OK));
    cr_assert_eq(stage_run(&stage, &run)->code, 0);
}

Test(run_table, a_host_that_was_restarted_before_it_began_is_assigned_again)
{
    struct id run = stage_bring(&stage, 1, STATE(ASSIGNED));
    stage_down(&stage, stage_target);
    stage_up(&stage, stage_target, 2, NULL);
    stage_wait(&stage, RUN_MISSING_GRACE_MS + RUN_AGAIN_PAUSE_MS + 1000);
    expect_state(&run, STATE(ASSIGNED));
    cr_assert_eq(stage_last(&stage, EFFECT_ASSIGN)->attempt, 2);
}

Test(run_table, an_assignment_that_got_lost_is_sent_again_unchanged)
{
    struct id run = stage_bring(&stage, 1, STATE(ASSIGNED));
    stage_down(&stage, stage_target);
    stage_up(&stage, stage_target, 1, NULL);
    stage_wait(&stage, RUN_MISSING_GRACE_MS + 1000);
    cr_assert_eq(stage_sent(&stage, EFFECT_ASSIGN, stage_target, &run), 2);
    cr_assert_eq(stage_last(&stage, EFFECT_ASSIGN)->attempt, 1);
    cr_assert_eq(memcmp(stage.sent[0].ticket, stage.sent[1].ticket, RUN_TICKET_LEN), 0);
}

Test(run_table, a_host_that_neither_begins_nor_refuses_is_given_up)
{
    struct id run = stage_bring(&stage, 1, STATE(ASSIGNED));
    stage_wait(&stage, STAGE_LEASE_MS + 1000);
    expect_state(&run, STATE(FAILED));
    expect_text(&run, "transporter 'nas' did not begin the run");
    cr_assert_eq(stage_sent(&stage, EFFECT_CANCEL, stage_target, &run), 1);
}

Test(run_table, work_that_nobody_ordered_is_cancelled)
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

Test(run_table, a_host_that_leaves_the_roster_loses_its_runs_at_once)
{
    struct id run = stage_bring(&stage, 1, STATE(RUNNING));
    struct effects effects = {0};
    run_table_removed(stage.table, &stage.now, stage_source, &effects);
    stage_apply(&stage, &effects);
    cr_assert_eq(stage_sent(&stage, EFFECT_CANCEL, stage_target, &run), 1);
    stage_end(&stage, &run, 1, SIDE(TARGET), ERR_CANCELLED, "");
    expect_state(&run, STATE(FAILED));
    expect_text(&run, "transporter 'web' is not in the roster any more");
}

/* ---- unknown ends */

static struct id bring_unknown(void)
{
    struct id run = stage_bring(&stage, 1, STATE(COMMITTING));
    stage_end(&stage, &run, 1, SIDE(SOURCE), 0, "");
    stage_down(&stage, stage_target);
    stage_wait(&stage, STAGE_LEASE_MS + 1000);
    expect_state(&run, STATE(UNKNOWN));
    return run;
}

Test(run_table, an_unknown_run_is_ok_when_the_log_shows_its_point)
{
    struct id run = bring_unknown();
    stage_up(&stage, stage_target, 2, NULL);
    stage_point(&stage, &run);
    expect_state(&run, STATE(OK));
    cr_assert_eq(run_table_count(stage.table), 0);
}

Test(run_table, an_unknown_run_has_failed_when_the_log_was_read_without_its_point)
{
    struct id run = bring_unknown();
    stage_up(&stage, stage_target, 2, NULL);
    stage_log_read(&stage);
    expect_state(&run, STATE(FAILED));
}

Test(run_table, an_unknown_run_that_is_still_at_work_is_waited_for)
{
    struct id run = bring_unknown();
    stage_up(&stage, stage_target, 1, &run);
    stage_log_read(&stage);
    expect_state(&run, STATE(UNKNOWN));
    cr_assert_eq(run_table_busy(stage.table, stage_target), 1);
    stage_end(&stage, &run, 1, SIDE(TARGET), 0, "");
    expect_state(&run, STATE(OK));
}

Test(run_table, an_unknown_run_does_not_keep_its_job_busy)
{
    (void)bring_unknown();
    (void)stage_start(&stage, 1);
}

Test(run_table, a_target_restarted_while_it_committed_is_asked_for_its_log)
{
    struct id run = stage_bring(&stage, 1, STATE(COMMITTING));
    stage_down(&stage, stage_target);
    stage_up(&stage, stage_target, 2, NULL);
    stage_wait(&stage, RUN_MISSING_GRACE_MS + 1000);
    stage_end(&stage, &run, 1, SIDE(SOURCE), ERR_UNREACHABLE, "the target is gone");
    expect_state(&run, STATE(UNKNOWN));
    cr_assert_not_null(stage_last(&stage, EFFECT_ASK_LOG));
    cr_assert_eq(memcmp(stage_last(&stage, EFFECT_ASK_LOG)->host, stage_target, SIGN_PK_LEN), 0);
    stage_log_read(&stage);
    expect_state(&run, STATE(FAILED));
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

Test(run_table, a_run_that_waits_goes_by_the_new_version_of_its_job)
{
    struct id run = stage_bring(&stage, 1, STATE(QUEUED));
    replan(&run);
    cr_assert_eq(stage_run(&stage, &run)->subject_version, 2);
    stage_up(&stage, stage_target, 1, NULL);
    stage_up(&stage, stage_other, 1, NULL);
    expect_state(&run, STATE(ASSIGNED));
    stage_ready(&stage, &run, 1);
    cr_assert_eq(stage_sent(&stage, EFFECT_ASSIGN, stage_other, &run), 1);
}

Test(run_table, a_run_that_was_assigned_goes_by_the_version_it_began_with)
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

Test(run_table, a_director_restarted_at_any_step_finishes_the_run)
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
        expect_state(&run, STATE(OK));
        cr_assert_eq(stage_run(&stage, &run)->code, 0, "restarted after step %d", broken);
        cr_assert_eq(stage_run(&stage, &run)->attempt, 1);
    }
}

Test(run_table, a_director_that_died_before_it_sent_an_assignment_sends_it_later)
{
    struct id run = stage_bring(&stage, 1, STATE(ASSIGNED));
    stage_restart(&stage);
    stage_connect(&stage);
    stage_wait(&stage, RUN_MISSING_GRACE_MS + 1000);
    cr_assert_eq(stage_sent(&stage, EFFECT_ASSIGN, stage_target, &run), 2);
    cr_assert_eq(memcmp(stage.sent[0].ticket, stage.sent[1].ticket, RUN_TICKET_LEN), 0,
                 "the ticket was kept");
}

Test(run_table, a_restarted_director_goes_on_stopping)
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
    expect_state(&run, STATE(STOPPED));
}

Test(run_table, an_unknown_run_survives_a_restart_of_the_director)
{
    struct id run = bring_unknown();
    stage_restart(&stage);
    stage_up(&stage, stage_target, 1, NULL);
    stage_point(&stage, &run);
    expect_state(&run, STATE(OK));
}

Test(run_table, text_from_outside_is_cut_at_a_character)
{
    char text[RUN_TEXT_MAX * 2];
    memset(text, 'a', sizeof(text));
    memcpy(text + RUN_TEXT_MAX - 1, "\xe2\x82\xac", 3);
    text[sizeof(text) - 1] = '\0';
    char out[RUN_TEXT_MAX + 1];
    run_text_set(out, sizeof(out), text);
    cr_assert_eq(strlen(out), RUN_TEXT_MAX - 1, "no half of a character");
}
