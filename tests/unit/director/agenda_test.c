#include "director/core/agenda.h"
#include "stage.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define NS UINT64_C(1000000000)
#define DAY (UINT64_C(86400))

static struct stage stage;
static struct agenda *agenda;
static struct agenda_item kept[16];
static size_t kept_count;
static struct agenda_item wanted[16];
static size_t wanted_count;

static const struct id one = {{7}}, two = {{17}}; /* repositories; `one` is the stage's */

static void want(enum agenda_kind kind, const struct id *repository, uint8_t job, const char *spec,
                 const uint8_t *source)
{
    struct agenda_item item = {.kind = kind, .job = {{job}}, .sample_ppm = 33334};
    if (repository) item.repository = *repository;
    (void)snprintf(item.spec, sizeof(item.spec), "%s", spec);
    memcpy(item.source, source, SIGN_PK_LEN);
    memcpy(item.target, stage_target, SIGN_PK_LEN);
    wanted[wanted_count++] = item;
}

static void plan(void)
{
    agenda_plan(agenda, &stage.now, wanted, wanted_count);
}

static void setup(void)
{
    stage_init(&stage);
    stage.now.wall_ns = UINT64_C(20000) * DAY * NS; /* a Saturday */
    agenda = agenda_new();
    kept_count = wanted_count = 0;
}

static void teardown(void)
{
    agenda_free(agenda);
    stage_deinit(&stage);
}

TestSuite(agenda, .init = setup, .fini = teardown);

static void keep_changes(void)
{
    const struct agenda_item *item;
    while ((item = agenda_take_changed(agenda))) {
        size_t at = 0;
        while (at < kept_count &&
               (kept[at].kind != item->kind || !id_eq(&kept[at].repository, &item->repository) ||
                !id_eq(&kept[at].job, &item->job)))
            at++;
        kept[at] = *item;
        if (at == kept_count) kept_count++;
    }
}

static void restart(void)
{
    keep_changes();
    agenda_free(agenda);
    agenda = agenda_new();
    for (size_t i = 0; i < kept_count; i++) {
        struct agenda_item item = {.kind = kept[i].kind,
                                   .repository = kept[i].repository,
                                   .job = kept[i].job,
                                   .since_ns = kept[i].since_ns,
                                   .next_ns = kept[i].next_ns,
                                   .good_ns = kept[i].good_ns};
        memcpy(item.spec, kept[i].spec, sizeof(item.spec));
        agenda_load(agenda, &item);
    }
    stage_restart(&stage);
    stage_connect(&stage);
    plan();
}

static struct id begin(const struct agenda_item *item)
{
    struct id run = {0};
    struct err err = {0};
    struct run_work work = agenda_work(item);
    if (item->kind == AGENDA_JOB) return stage_start(&stage, item->job.bytes[0]);
    cr_assert(stage_start_work(&stage, &work, &run, &err), "%s", err.text);
    return run;
}

/* Starts what is due and ends it at once, well. How many there were; `order` gets their kinds. */
static size_t do_due(enum agenda_kind *order)
{
    size_t count = 0;
    const struct agenda_item *item;
    while ((item = agenda_due(agenda, &stage.now, stage.table))) {
        if (order) order[count] = item->kind;
        count++;
        cr_assert_lt(count, 10);
        struct agenda_item copy = *item;
        agenda_started(agenda, &stage.now, &copy);
        struct id run = begin(&copy);
        if (copy.kind == AGENDA_JOB) {
            stage_ready(&stage, &run, 1);
            stage_end(&stage, &run, 1, SIDE(SOURCE), 0, "");
            stage_end(&stage, &run, 1, SIDE(TARGET), 0, "");
        } else {
            stage_end(&stage, &run, 1, SIDE(BOTH), 0, "");
        }
        agenda_ended(agenda, &stage.now, stage_run(&stage, &run));
    }
    keep_changes();
    return count;
}

/* Time passes, an hour at a step; how often something was done. */
static size_t pass_hours(size_t hours)
{
    size_t count = 0;
    for (size_t i = 0; i < hours; i++) {
        stage.now.wall_ns += 3600 * NS;
        stage.now.mono_ms += 3600000;
        count += do_due(NULL);
        stage.kept_count = 0;
        stage.sent_count = stage.path_len = 0;
    }
    return count;
}

static void want_usual(void)
{
    want(AGENDA_SWEEP, &one, 0, "weekly", stage_target);
    want(AGENDA_PRUNE, &one, 3, "weekly", stage_target);
    want(AGENDA_CHECK, &one, 0, "daily", stage_target);
}

Test(agenda, does_each_once_a_period)
{
    stage_connect(&stage);
    want_usual();
    plan();
    cr_assert_eq(pass_hours(4 * 7 * 24), 4 + 4 + 28);
    for (size_t i = 0; i < agenda_count(agenda); i++)
        cr_assert_gt(agenda_at(agenda, i)->good_ns, agenda_at(agenda, i)->since_ns);
}

Test(agenda, a_director_that_was_off_for_a_month_does_each_once)
{
    stage_connect(&stage);
    want_usual();
    plan();
    (void)pass_hours(24);
    stage.now.wall_ns += 31 * DAY * NS;
    restart();
    enum agenda_kind order[10];
    cr_assert_eq(do_due(order), 3, "each once");
    cr_assert_eq(pass_hours(23), 1, "and then as ever: the next daily check");
}

Test(agenda, remembers_its_next_moments_over_a_restart)
{
    stage_connect(&stage);
    want_usual();
    plan();
    size_t done = 0;
    for (size_t day = 0; day < 28; day++) {
        done += pass_hours(24);
        restart();
    }
    cr_assert_eq(done, 4 + 4 + 28);
}

Test(agenda, a_clock_that_steps_back_by_less_than_a_period_does_nothing_twice)
{
    stage_connect(&stage);
    want(AGENDA_CHECK, &one, 0, "daily 03:00", stage_target);
    plan();
    cr_assert_eq(pass_hours(4), 1);
    stage.now.wall_ns -= 3 * 3600 * NS; /* one in the morning again */
    cr_assert_eq(pass_hours(20), 0);
    cr_assert_eq(pass_hours(24), 1);
}

Test(agenda, a_clock_that_was_in_the_next_century_delays_nothing)
{
    stage_connect(&stage);
    want_usual();
    plan();
    uint64_t good_ns = stage.now.wall_ns;
    stage.now.wall_ns += 36525 * DAY * NS;
    cr_assert_eq(do_due(NULL), 3, "due early, once");
    stage.now.wall_ns = good_ns;
    cr_assert_eq(do_due(NULL), 0);
    cr_assert_eq(pass_hours(7 * 24), 1 + 1 + 7);
}

Test(agenda, sweeps_before_it_prunes_so_that_what_is_removed_can_come_back_until_the_next_sweep)
{
    enum agenda_kind order[10];
    stage_connect(&stage);
    want(AGENDA_PRUNE, &one, 3, "weekly", stage_target);
    want(AGENDA_SWEEP, &one, 0, "weekly", stage_target);
    plan();
    stage.now.wall_ns += 8 * DAY * NS;
    cr_assert_eq(do_due(order), 2);
    cr_assert_eq(order[0], AGENDA_SWEEP);
    cr_assert_eq(order[1], AGENDA_PRUNE);
}

static const struct agenda_item *start_due(struct id *run)
{
    const struct agenda_item *item = agenda_due(agenda, &stage.now, stage.table);
    if (!item) return NULL;
    static struct agenda_item copy;
    copy = *item;
    agenda_started(agenda, &stage.now, &copy);
    *run = begin(&copy);
    return &copy;
}

/* As stage_end does, with sessions that the sweep waits for. */
static void end_waiting(const struct id *run)
{
    struct run ended = *stage_run(&stage, run);
    stage_end(&stage, run, 1, SIDE(BOTH), 0, "");
    ended = *stage_run(&stage, run);
    ended.target.counters.skipped = 2;
    agenda_ended(agenda, &stage.now, &ended);
}

Test(agenda, a_sweep_that_waits_for_backups_is_tried_again_and_the_prune_waits_for_it)
{
    struct id run;
    stage_connect(&stage);
    want(AGENDA_SWEEP, &one, 0, "weekly", stage_target);
    want(AGENDA_PRUNE, &one, 3, "weekly", stage_target);
    plan();
    stage.now.wall_ns += 8 * DAY * NS;
    cr_assert_eq(start_due(&run)->kind, AGENDA_SWEEP);
    end_waiting(&run);
    cr_assert_null(agenda_due(agenda, &stage.now, stage.table), "neither again at once, nor the prune");
    stage.now.wall_ns += AGENDA_RETRY_S * NS;
    cr_assert_eq(start_due(&run)->kind, AGENDA_SWEEP);
    stage_end(&stage, &run, 1, SIDE(BOTH), 0, "");
    agenda_ended(agenda, &stage.now, stage_run(&stage, &run));
    cr_assert_eq(start_due(&run)->kind, AGENDA_PRUNE);
}

Test(agenda, one_at_a_time_on_a_transporter_and_a_repository)
{
    struct id run;
    stage_connect(&stage);
    want(AGENDA_CHECK, &one, 0, "daily", stage_target);
    want(AGENDA_CHECK, &two, 0, "daily", stage_target);
    want(AGENDA_SWEEP, &one, 0, "daily", stage_target);
    plan();
    stage.now.wall_ns += 2 * DAY * NS;
    cr_assert_not_null(start_due(&run));
    cr_assert_null(agenda_due(agenda, &stage.now, stage.table));
    stage_end(&stage, &run, 1, SIDE(BOTH), 0, "");
    cr_assert_not_null(start_due(&run));
    cr_assert_null(agenda_due(agenda, &stage.now, stage.table));
}

Test(agenda, maintenance_leaves_slots_to_the_backups_that_wait_or_run)
{
    struct id runs[4], run;
    stage_connect(&stage); /* 4 slots */
    want(AGENDA_CHECK, &one, 0, "daily", stage_target);
    plan();
    stage.now.wall_ns += 2 * DAY * NS;
    for (uint8_t i = 0; i < 4; i++)
        runs[i] = stage_start(&stage, (uint8_t)(40 + i));
    cr_assert_null(agenda_due(agenda, &stage.now, stage.table), "no slot");
    (void)stage_start(&stage, 50);
    stage_ready(&stage, &runs[0], 1);
    stage_end(&stage, &runs[0], 1, SIDE(SOURCE), 0, "");
    stage_end(&stage, &runs[0], 1, SIDE(TARGET), 0, "");
    cr_assert_null(agenda_due(agenda, &stage.now, stage.table), "the backup that waited has it");
    stage_ready(&stage, &runs[1], 1);
    stage_end(&stage, &runs[1], 1, SIDE(SOURCE), 0, "");
    stage_end(&stage, &runs[1], 1, SIDE(TARGET), 0, "");
    cr_assert_not_null(start_due(&run));
}

Test(agenda, waits_for_who_is_away_and_then_does_it_once)
{
    want(AGENDA_CHECK, &one, 0, "daily", stage_target);
    want(AGENDA_JOB, NULL, 9, "daily", stage_source);
    plan();
    stage_up(&stage, stage_target, 1, NULL);
    stage.now.wall_ns += 5 * DAY * NS;
    cr_assert_eq(do_due(NULL), 1, "the check; the job's source is away");
    stage_up(&stage, stage_source, 1, NULL);
    cr_assert_eq(do_due(NULL), 1, "the job, once");
}

Test(agenda, another_spec_counts_from_now_and_what_is_not_wanted_is_gone)
{
    stage_connect(&stage);
    want_usual();
    plan();
    (void)pass_hours(7 * 24);
    uint64_t good_ns = agenda_at(agenda, 0)->good_ns;
    wanted_count = 0;
    want(AGENDA_SWEEP, &one, 0, "every 2h", stage_target);
    plan();
    cr_assert_eq(agenda_count(agenda), 1);
    cr_assert_eq(agenda_at(agenda, 0)->good_ns, good_ns, "that it was swept stays known");
    cr_assert_eq(pass_hours(24), 12);
    wanted_count = 0;
    plan();
    cr_assert_eq(pass_hours(24), 0);
}

Test(agenda, what_failed_for_good_waits_for_its_next_time_and_what_was_lost_is_tried_again)
{
    struct id run;
    stage_connect(&stage);
    want(AGENDA_CHECK, &one, 0, "daily", stage_target);
    plan();
    stage.now.wall_ns += 2 * DAY * NS;
    (void)start_due(&run);
    stage_end(&stage, &run, 1, SIDE(BOTH), ERR_DAMAGED, "a pack is damaged");
    agenda_ended(agenda, &stage.now, stage_run(&stage, &run));
    cr_assert_neq(agenda_at(agenda, 0)->good_ns, 0, "it came to its end");
    uint64_t later_ns = agenda_at(agenda, 0)->next_ns;
    cr_assert_gt(later_ns, stage.now.wall_ns);
    struct run lost = *stage_run(&stage, &run);
    lost.code = ERR_UNREACHABLE;
    agenda_ended(agenda, &stage.now, &lost);
    cr_assert_leq(agenda_at(agenda, 0)->next_ns, stage.now.wall_ns + AGENDA_RETRY_S * NS);
}

Test(agenda, a_new_repository_is_left_alone_for_an_hour_unless_a_time_was_chosen)
{
    for (uint8_t i = 0; i < 100; i++) {
        want(AGENDA_CHECK, &(struct id){{i}}, 0, "daily", stage_target);
        plan();
        uint64_t wait_ns = agenda_at(agenda, 0)->next_ns - stage.now.wall_ns;
        cr_assert(wait_ns > 3600 * NS && wait_ns <= (DAY + 3600) * NS);
        wanted_count = 0;
    }
    want(AGENDA_CHECK, &one, 0, "daily 00:05", stage_target); /* it is midnight */
    plan();
    cr_assert_eq(agenda_at(agenda, 0)->next_ns - stage.now.wall_ns, 300 * NS);
}

Test(agenda, a_dry_run_of_a_prune_counts_for_nothing)
{
    stage_connect(&stage);
    want(AGENDA_PRUNE, &one, 3, "weekly", stage_target);
    plan();
    struct run_work work = agenda_work(agenda_at(agenda, 0));
    work.dry_run = true;
    struct run run = {.kind = RUN_MAINTENANCE, .repository = one, .work = work, .state = STATE(OK)};
    agenda_ended(agenda, &stage.now, &run);
    cr_assert_eq(agenda_at(agenda, 0)->good_ns, 0);
}
