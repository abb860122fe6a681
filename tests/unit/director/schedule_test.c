#include "director/core/schedule.h"

#include <criterion/criterion.h>

#define NS UINT64_C(1000000000)
#define DAY (UINT64_C(86400))
static const struct id spread = {{5}};
/* Friday, 2026-11-20T13:00:00Z */
static const uint64_t friday_s = UINT64_C(1795179600);

static struct schedule parsed(const char *text)
{
    struct schedule out;
    struct err err = {0};
    cr_assert(schedule_parse(text, &spread, &out, &err), "%s", err.text);
    return out;
}

static uint64_t next_s(const char *text, uint64_t now_s)
{
    struct schedule schedule = parsed(text);
    uint64_t next_ns = schedule_next(&schedule, now_s * NS);
    cr_assert_eq(next_ns % NS, 0);
    return next_ns / NS;
}

Test(schedule, names_a_moment_of_the_day_and_the_week_in_utc)
{
    uint64_t midnight_s = friday_s - 13 * 3600;
    cr_assert_eq(next_s("daily 13:00", friday_s), friday_s + DAY, "after now, not at it");
    cr_assert_eq(next_s("daily 13:01", friday_s), friday_s + 60);
    cr_assert_eq(next_s("daily 02:30", friday_s), midnight_s + DAY + 9000);
    cr_assert_eq(next_s("weekly fri 12:59", friday_s), friday_s - 60 + 7 * DAY);
    cr_assert_eq(next_s("weekly fri 13:01", friday_s), friday_s + 60);
    cr_assert_eq(next_s("weekly sun 03:00", friday_s), midnight_s + 2 * DAY + 3 * 3600);
    cr_assert_eq(next_s("weekly thu 00:00", friday_s), midnight_s + 6 * DAY);
}

Test(schedule, comes_again_after_each_period_whatever_is_left_open)
{
    static const struct {
        const char *text;
        uint64_t period_s;
    } rows[] = {{"hourly", 3600},    {"daily", DAY},      {"weekly", 7 * DAY}, {"weekly mon", 7 * DAY},
                {"every 6h", 21600}, {"every 90m", 5400}, {"every 1s", 1},     {"weekly 03:00", 7 * DAY}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t first_s = next_s(rows[i].text, friday_s);
        cr_assert_gt(first_s, friday_s, "%s", rows[i].text);
        cr_assert_leq(first_s, friday_s + rows[i].period_s, "%s", rows[i].text);
        cr_assert_eq(next_s(rows[i].text, first_s), first_s + rows[i].period_s, "%s", rows[i].text);
        cr_assert_eq(next_s(rows[i].text, first_s - 1), first_s, "%s", rows[i].text);
    }
    cr_assert_eq(next_s("weekly mon", friday_s) / DAY % 7, 4, "a Monday: day 4 after a Thursday");
}

Test(schedule, spreads_what_is_left_open_over_the_period)
{
    bool hours[24] = {false};
    size_t different = 0;
    for (uint8_t i = 0; i < 100; i++) {
        struct schedule schedule;
        struct err err = {0};
        cr_assert(schedule_parse("daily", &(struct id){{i}}, &schedule, &err));
        different += !hours[schedule.phase_s / 3600];
        hours[schedule.phase_s / 3600] = true;
    }
    cr_assert_geq(different, 15, "100 starts in only %zu hours", different);
}

Test(schedule, of_none_never_comes)
{
    struct schedule schedule = parsed("none");
    cr_assert_eq(schedule_next(&schedule, friday_s * NS), UINT64_MAX);
}

Test(schedule, of_a_clock_at_its_end_is_never_in_the_past)
{
    struct schedule schedule = parsed("every 366d");
    uint64_t next_ns = schedule_next(&schedule, UINT64_MAX - 1);
    cr_assert_geq(next_ns, UINT64_MAX - 1);
}

Test(schedule, refuses_what_it_does_not_know)
{
    static const char *const texts[] = {
        "",
        " ",
        "dayly",
        "daily 24:00",
        "daily 2:30",
        "daily 02:60",
        "daily +2:30",
        "daily 02:30 x",
        "hourly 02:30",
        "weekly Sunday",
        "weekly 03:00 sun",
        "weekly sun mon",
        "every",
        "every 0s",
        "every 1500ms",
        "every 367d",
        "every 6h 02:00",
        "none none",
        "every -1h",
        "DAILY",
        "* * * * *",
        "daily\t02:30",
        "daily 02:30 and a text that is far longer than any schedule that anybody would ever write"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct schedule schedule = {77, 7};
        struct err err = {0};
        cr_assert_not(schedule_parse(texts[i], &spread, &schedule, &err), "'%s'", texts[i]);
        cr_assert_eq(err.code, ERR_USAGE);
        cr_assert_eq(schedule.period_s, 77);
    }
}
