/* What stays and what goes: by rule, by protection, and for any list at all. */
#include "transporter/core/retention.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define DAY_S UINT64_C(86400)
#define NS UINT64_C(1000000000)
#define MAX_POINTS 64

/* 2026-03-01 00:00 UTC, a Sunday: the last day of an ISO week and the first of a month */
#define SUNDAY_S UINT64_C(1772323200)

/* 'k' keep, '-' remove, by point */
static void expect(const struct retention *rule, const struct retention_floor *floor, const char *times,
                   const char *expected)
{
    struct retention_point points[MAX_POINTS] = {{0}};
    enum retention_reason out[MAX_POINTS];
    size_t count = 0;
    char *end = NULL;
    /* "DAY " or "DAYh " of a held one, days since SUNDAY_S */
    for (const char *at = times; *at; at = end + 1) {
        double day = strtod(at, &end);
        points[count].time_ns = (uint64_t)((double)SUNDAY_S + day * (double)DAY_S) * NS;
        points[count].hold = *end == 'h' ? RETENTION_HELD : RETENTION_FREE;
        end += *end == 'h';
        count++;
    }
    cr_assert_eq(count, strlen(expected), "'%s' has %zu points", times, count);
    retention_judge(points, count, rule, floor, points[count - 1].time_ns, out);
    for (size_t i = 0; i < count; i++)
        cr_expect_eq(out[i] == RETENTION_REMOVE, expected[i] == '-', "point %zu of '%s' is %s", i, times,
                     retention_reason_text(out[i]));
}

Test(retention, keeps_what_the_rules_say)
{
    static const struct {
        struct retention rule;
        struct retention_floor floor;
        const char *times, *expected;
    } cases[] = {
        {{0}, {0}, "0 1 2 ", "kkk"}, /* no rule: all */
        {{.immutable_s = 1}, {0}, "0 1 2 ", "kkk"},
        {{.last = 2}, {0}, "0 1 2 ", "-kk"},
        {{.last = 9}, {0}, "0 1 2 ", "kkk"},
        {{.last = 1}, {0}, "0 0 0 ", "--k"},
        {{.daily = 2}, {0}, "0.1 0.2 1.1 1.2 2.1 2.2 ", "---k-k"},
        {{.daily = 2}, {0}, "0.1 0.2 9.1 9.2 ", "-k-k"}, /* days without points do not count */
        {{.weekly = 2}, {0}, "-1 0 1 2 ", "-k-k"},       /* Sunday ends a week, Monday begins one */
        {{.monthly = 2}, {0}, "-2 -1 0 1 ", "-k-k"},     /* February ends before the 1st of March */
        {{.yearly = 2}, {0}, "-60 -59 0 1 ", "k--k"},    /* 2025-12-31 is the last of its year */
        {{.yearly = 1}, {0}, "-60 -59 0 1 ", "---k"},
        {{.last = 1, .daily = 2, .weekly = 2}, {0}, "-9 -2 0 1 1.5 ", "--k-k"},
        {{.last = 1}, {0}, "0h 1 2 ", "k-k"},
        {{.last = 1, .immutable_s = 2 * DAY_S}, {0}, "0 1 2 3 ", "--kk"}, /* two days old is old enough */
        {{.last = 1}, {.keep_least = 3}, "0 1 2 3 ", "-kkk"},
        {{.last = 1}, {.keep_age_s = 3 * DAY_S}, "0 1 2 3 ", "-kkk"},
        {{.last = 1}, {.keep_least = 100}, "0 1 ", "kk"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect(&cases[i].rule, &cases[i].floor, cases[i].times, cases[i].expected);
}

Test(retention, february_29_and_the_turn_of_a_century_lie_in_their_months)
{
    /* the last point of a month is kept, that of the next month too: 2024-02-29 and 2024-03-01, 2100-02-28
     * and 2100-03-01, 2000-02-29 and 2000-03-01 */
    static const uint64_t pairs[][2] = {
        {1709164800, 1709251200}, {4107456000, 4107542400}, {951782400, 951868800}};
    struct retention rule = {.monthly = 2};
    struct retention_floor floor = {0};
    for (size_t i = 0; i < 3; i++) {
        struct retention_point points[3] = {{.time_ns = (pairs[i][0] - 1) * NS},
                                            {.time_ns = pairs[i][0] * NS},
                                            {.time_ns = pairs[i][1] * NS}};
        enum retention_reason out[3];
        retention_judge(points, 3, &rule, &floor, points[2].time_ns, out);
        cr_expect_eq(out[0], RETENTION_REMOVE);
        cr_expect_eq(out[1], RETENTION_KEEP_MONTHLY);
        cr_expect_eq(out[2], RETENTION_KEEP_NEWEST);
    }
}

Test(retention, an_order_is_refused_by_hold_immutability_floor_and_for_the_last_point)
{
    static const struct {
        struct retention rule;
        struct retention_floor floor;
        size_t count, at;
        const char *text; /* NULL: allowed */
    } cases[] = {
        {{0}, {0}, 3, 2, NULL},
        {{.last = 3}, {0}, 3, 1, NULL}, /* a rule keeps it, an order may still */
        {{0}, {0}, 3, 0, "held"},
        {{0}, {0}, 1, 0, "held"},
        {{.immutable_s = DAY_S + 1}, {0}, 3, 1, "immutable"},
        {{.immutable_s = DAY_S}, {0}, 3, 1, NULL},
        {{0}, {.keep_age_s = DAY_S + 1}, 3, 1, "every point"},
        {{0}, {.keep_least = 2}, 3, 1, NULL},
        {{0}, {.keep_least = 3}, 3, 1, "at least 3"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct retention_point points[3] = {
            {.time_ns = 0, .hold = RETENTION_HELD}, {.time_ns = DAY_S * NS}, {.time_ns = 2 * DAY_S * NS}};
        struct err err = {0};
        bool allowed = retention_may_delete(points, cases[i].count, cases[i].at, &cases[i].rule,
                                            &cases[i].floor, 2 * DAY_S * NS, &err);
        cr_expect_eq(allowed, cases[i].text == NULL, "case %zu: %s", i, err.text);
        if (cases[i].text && !allowed) {
            cr_expect_eq(err.code, ERR_POLICY);
            cr_expect(strstr(err.text, cases[i].text), "case %zu: %s", i, err.text);
        }
    }
    struct retention_point only = {.time_ns = 0};
    struct retention rule = {0};
    struct retention_floor floor = {0};
    struct err err = {0};
    cr_expect_not(retention_may_delete(&only, 1, 0, &rule, &floor, 0, &err));
    cr_expect(strstr(err.text, "last point"), "%s", err.text);
}

/* --- lines --- */

/* Points a day apart, a letter for each: of line A, of line B, and of a, which B took over from. */
static void expect_lines(const struct retention *rule, const struct retention_floor *floor, const char *lines,
                         const char *expected)
{
    struct retention_point points[MAX_POINTS] = {{0}};
    enum retention_reason out[MAX_POINTS];
    size_t count = strlen(lines);
    for (size_t i = 0; i < count; i++)
        points[i] = (struct retention_point){.time_ns = (SUNDAY_S + i * DAY_S) * NS,
                                             .line = (uint8_t)lines[i],
                                             .heir = lines[i] == 'a' ? 'B' : (uint8_t)lines[i]};
    retention_judge(points, count, rule, floor, points[count - 1].time_ns, out);
    for (size_t i = 0; i < count; i++)
        cr_expect_eq(out[i] == RETENTION_REMOVE, expected[i] == '-', "point %zu of %s is %s", i, lines,
                     retention_reason_text(out[i]));
}

Test(retention, points_of_one_line_push_out_none_of_another)
{
    static const struct {
        struct retention rule;
        struct retention_floor floor;
        const char *lines, *expected;
    } cases[] = {
        {{.last = 2}, {0}, "AAABBBBB", "-kk---kk"}, {{.daily = 2}, {0}, "AAABBBBB", "-kk---kk"},
        {{.last = 1}, {0}, "ABABAB", "----kk"},     {{.last = 1}, {.keep_least = 2}, "AAABBB", "-kk-kk"},
        {{.yearly = 1}, {0}, "AABB", "-k-k"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect_lines(&cases[i].rule, &cases[i].floor, cases[i].lines, cases[i].expected);
}

Test(retention, points_of_a_line_go_as_those_of_its_heir_come_and_push_out_none_of_his)
{
    struct retention rule = {.last = 2};
    struct retention_floor floor = {0};
    expect_lines(&rule, &floor, "aaa", "-kk");
    expect_lines(&rule, &floor, "aaaB", "--kk");
    expect_lines(&rule, &floor, "aaaBB", "---kk");
    expect_lines(&rule, &floor, "aaaBBB", "----kk");
    expect_lines(&rule, &floor, "BBaaa", "kk-kk"); /* what somebody adds who has the old key */
    expect_lines(&rule, &floor, "AaAaBAaB", "--k-kkkk");
}

/* --- any list --- */

static uint64_t state = 0x9e3779b97f4a7c15;
static uint64_t draw(uint64_t below)
{
    state ^= state << 13; /* xorshift64, G. Marsaglia */
    state ^= state >> 7;
    state ^= state << 17;
    return state % below;
}

struct drawn {
    struct retention_point points[MAX_POINTS];
    size_t count;
    struct retention rule;
    struct retention_floor floor;
    uint64_t now_ns;
};

static void draw_all(struct drawn *drawn)
{
    uint64_t time_ns = draw(4000) * DAY_S * NS;
    *drawn = (struct drawn){.count = 1 + draw(MAX_POINTS)};
    for (size_t i = 0; i < drawn->count; i++) {
        time_ns += draw(3) ? draw(3 * DAY_S) * NS : draw(90 * DAY_S) * NS;
        drawn->points[i].time_ns = time_ns;
        drawn->points[i].hold = draw(10) == 0 ? RETENTION_HELD : RETENTION_FREE;
    }
    drawn->rule = (struct retention){.last = (uint32_t)draw(4),
                                     .daily = (uint32_t)draw(8),
                                     .weekly = (uint32_t)draw(5),
                                     .monthly = (uint32_t)draw(5),
                                     .yearly = (uint32_t)draw(3),
                                     .immutable_s = draw(2) ? 0 : draw(20 * DAY_S)};
    drawn->floor.keep_least = (uint32_t)draw(6);
    drawn->floor.keep_age_s = draw(2) ? 0 : draw(20 * DAY_S);
    drawn->now_ns = time_ns + draw(3) * DAY_S * NS;
}

static size_t kept(const enum retention_reason *out, size_t count)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        n += out[i] != RETENTION_REMOVE;
    return n;
}

/* Removing what is judged away and judging again removes nothing more, at the same moment. */
static void expect_settled(const struct drawn *drawn, const enum retention_reason *first)
{
    struct retention_point left[MAX_POINTS];
    enum retention_reason out[MAX_POINTS];
    size_t count = 0;
    for (size_t i = 0; i < drawn->count; i++)
        if (first[i] != RETENTION_REMOVE) left[count++] = drawn->points[i];
    retention_judge(left, count, &drawn->rule, &drawn->floor, drawn->now_ns, out);
    cr_assert_eq(kept(out, count), count);
}

Test(retention, of_any_list_the_newest_the_held_the_young_and_the_least_stay)
{
    for (int round = 0; round < 20000; round++) {
        struct drawn drawn;
        enum retention_reason out[MAX_POINTS];
        draw_all(&drawn);
        retention_judge(drawn.points, drawn.count, &drawn.rule, &drawn.floor, drawn.now_ns, out);
        cr_assert_eq(out[drawn.count - 1], RETENTION_KEEP_NEWEST);
        for (size_t i = 0; i < drawn.count; i++) {
            uint64_t age_s = (drawn.now_ns - drawn.points[i].time_ns) / NS;
            bool protected = drawn.points[i].hold == RETENTION_HELD || age_s < drawn.rule.immutable_s ||
                             age_s < drawn.floor.keep_age_s || drawn.count - i <= drawn.floor.keep_least ||
                             drawn.count - i <= drawn.rule.last;
            cr_assert(!protected || out[i] != RETENTION_REMOVE, "round %d, point %zu", round, i);
        }
        expect_settled(&drawn, out);
    }
}

/* Puts points of other lines anywhere between, some of whose heir is the first. Where each of its points is.
 */
static size_t add_others(const struct drawn *drawn, struct retention_point *out, size_t *at)
{
    size_t count = 0;
    for (size_t i = 0; i < drawn->count; i++) {
        for (size_t more = draw(3); more > 0; more--) {
            uint32_t line = 1 + (uint32_t)draw(3);
            out[count++] = (struct retention_point){
                .time_ns = drawn->points[i].time_ns, .line = line, .heir = line == 1 ? 0 : line};
        }
        at[i] = count;
        out[count++] = drawn->points[i];
    }
    return count;
}

Test(retention, of_a_line_the_same_stays_whatever_others_add)
{
    for (int round = 0; round < 5000; round++) {
        struct drawn drawn;
        struct retention_point all[3 * MAX_POINTS];
        enum retention_reason alone[MAX_POINTS], among[3 * MAX_POINTS];
        size_t at[MAX_POINTS];
        draw_all(&drawn);
        retention_judge(drawn.points, drawn.count, &drawn.rule, &drawn.floor, drawn.now_ns, alone);
        size_t count = add_others(&drawn, all, at);
        retention_judge(all, count, &drawn.rule, &drawn.floor, drawn.now_ns, among);
        for (size_t i = 0; i < drawn.count; i++)
            cr_assert_eq(among[at[i]], alone[i], "round %d, point %zu", round, i);
    }
}

Test(retention, a_stricter_rule_or_floor_never_keeps_less)
{
    for (int round = 0; round < 5000; round++) {
        struct drawn drawn;
        enum retention_reason out[MAX_POINTS];
        enum retention_reason more[MAX_POINTS];
        draw_all(&drawn);
        drawn.rule.last++; /* a rule there is */
        retention_judge(drawn.points, drawn.count, &drawn.rule, &drawn.floor, drawn.now_ns, out);
        drawn.rule.daily += (uint32_t)draw(2);
        drawn.rule.monthly += (uint32_t)draw(2);
        drawn.rule.immutable_s += draw(DAY_S);
        struct retention_floor other = {.keep_least = (uint32_t)draw(10), .keep_age_s = draw(30 * DAY_S)};
        drawn.floor = retention_stricter(&drawn.floor, &other);
        retention_judge(drawn.points, drawn.count, &drawn.rule, &drawn.floor, drawn.now_ns, more);
        for (size_t i = 0; i < drawn.count; i++)
            cr_assert(out[i] == RETENTION_REMOVE || more[i] != RETENTION_REMOVE, "round %d", round);
    }
}

Test(retention, a_clock_behind_the_newest_entry_does_not_make_points_older)
{
    cr_assert_eq(retention_now(5, 9), 9);
    cr_assert_eq(retention_now(9, 5), 9);
    struct retention rule = {.last = 1, .immutable_s = 100};
    struct retention_floor floor = {0};
    struct retention_point points[2] = {{.time_ns = 50 * NS}, {.time_ns = 60 * NS}};
    enum retention_reason out[2];
    retention_judge(points, 2, &rule, &floor, 10 * NS, out); /* even if somebody passed an earlier one */
    cr_assert_eq(out[0], RETENTION_KEEP_IMMUTABLE);
}
