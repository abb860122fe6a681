#include "stage.h"

#include <criterion/criterion.h>

static struct stage stage;

static void setup(void)
{
    stage_init(&stage);
}

static void teardown(void)
{
    stage_deinit(&stage);
}

TestSuite(run_priority, .init = setup, .fini = teardown);

static struct id start(uint32_t priority, enum run_kind kind)
{
    static uint8_t job;
    struct id run = {0};
    struct err err = {0};
    stage.priority = priority;
    cr_assert(stage_start_kind(&stage, kind, ++job, &run, &err), "%s", err.text);
    return run;
}

static void end(const struct id *run)
{
    stage_ready(&stage, run, 1);
    stage_end(&stage, run, 1, SIDE(SOURCE), ERR_CANCELLED, "");
    stage_end(&stage, run, 1, SIDE(TARGET), ERR_CANCELLED, "");
}

Test(run_priority, who_comes_first_is_assigned_first_and_then_the_oldest)
{
    struct id working[4], waiting[4];
    stage_connect(&stage);
    for (size_t i = 0; i < 4; i++)
        working[i] = start(RUN_PRIORITY_USUAL, RUN_BACKUP);
    static const uint32_t priorities[] = {5, 2, 2, 1};
    static const size_t order[] = {3, 1, 2, 0};
    for (size_t i = 0; i < 4; i++)
        waiting[i] = start(priorities[i], RUN_BACKUP);
    for (size_t i = 0; i < 4; i++) {
        end(&working[i]);
        for (size_t j = 0; j < 4; j++)
            stage_expect_state(&stage, &waiting[order[j]], j <= i ? STATE(ASSIGNED) : STATE(QUEUED));
    }
}

Test(run_priority, a_recovery_goes_before_whoever_waits)
{
    stage_connect(&stage);
    struct id working = start(1, RUN_BACKUP);
    for (int i = 0; i < 3; i++)
        (void)start(1, RUN_BACKUP);
    struct id first = start(1, RUN_BACKUP), recovery = start(RUN_PRIORITY_RECOVERY, RUN_RECOVERY);
    end(&working);
    stage_expect_state(&stage, &recovery, STATE(ASSIGNED));
    stage_expect_state(&stage, &first, STATE(QUEUED));
}

Test(run_priority, kept_slots_are_for_recoveries_alone)
{
    stage.kept_slots = 2;
    stage_connect(&stage); /* 4 slots */
    struct id backups[3], recoveries[3];
    for (size_t i = 0; i < 3; i++)
        backups[i] = start(1, RUN_BACKUP);
    stage_expect_state(&stage, &backups[1], STATE(ASSIGNED));
    stage_expect_state(&stage, &backups[2], STATE(QUEUED));
    cr_assert_str_eq(run_table_find(stage.table, &backups[2])->text,
                     "waits: transporter 'nas' has no free slot");
    for (size_t i = 0; i < 3; i++)
        recoveries[i] = start(RUN_PRIORITY_RECOVERY, RUN_RECOVERY);
    stage_expect_state(&stage, &recoveries[1], STATE(ASSIGNED));
    stage_expect_state(&stage, &recoveries[2], STATE(QUEUED));
    end(&backups[0]);
    stage_expect_state(&stage, &recoveries[2], STATE(ASSIGNED));
    stage_expect_state(&stage, &backups[2], STATE(QUEUED));
    end(&recoveries[0]);
    stage_expect_state(&stage, &backups[2], STATE(ASSIGNED));
}

Test(run_priority, recoveries_use_up_the_kept_slots_first)
{
    stage.kept_slots = 2;
    stage_connect(&stage);
    (void)start(RUN_PRIORITY_RECOVERY, RUN_RECOVERY);
    (void)start(RUN_PRIORITY_RECOVERY, RUN_RECOVERY);
    struct id first = start(3, RUN_BACKUP), second = start(3, RUN_BACKUP);
    stage_expect_state(&stage, &first, STATE(ASSIGNED));
    stage_expect_state(&stage, &second, STATE(ASSIGNED));
}

Test(run_priority, nobody_waits_for_ever_behind_later_runs)
{
    struct id working[4];
    stage_connect(&stage);
    for (size_t i = 0; i < 4; i++) {
        working[i] = start(3, RUN_BACKUP);
        stage_ready(&stage, &working[i], 1);
    }
    struct id patient = start(5, RUN_BACKUP);
    for (uint64_t i = 0; i < 4; i++) {
        struct id later = start(1, RUN_BACKUP);
        stage_expect_state(&stage, &patient, STATE(QUEUED));
        stage.now.mono_ms += RUN_MOVES_UP_MS;
        end(&working[i]);
        stage_expect_state(&stage, &later, i < 3 ? STATE(ASSIGNED) : STATE(QUEUED));
    }
    stage_expect_state(&stage, &patient, STATE(ASSIGNED));
}

/* As a site does at midnight. */
Test(run_priority, fifty_runs_at_once_all_get_their_turn)
{
    struct id runs[50];
    stage.kept_slots = 1;
    stage_connect(&stage);
    for (size_t i = 0; i < 50; i++)
        runs[i] = start((uint32_t)(1 + i % 5), RUN_BACKUP);
    for (size_t rounds = 0; rounds < 50 && run_table_count(stage.table) > 0; rounds++) {
        size_t at_work = 0;
        struct id id = {0};
        for (size_t i = 0; i < run_table_count(stage.table); i++)
            if (run_table_at(stage.table, i)->state != STATE(QUEUED)) {
                id = run_table_at(stage.table, i)->id;
                at_work++;
            }
        cr_assert_geq(at_work, 1);
        cr_assert_leq(at_work, 3);
        end(&id);
    }
    cr_assert_eq(run_table_count(stage.table), 0);
    for (size_t i = 0; i < 50; i++)
        cr_assert_eq(stage_sent(&stage, EFFECT_ASSIGN, stage_target, &runs[i]), 1);
}
