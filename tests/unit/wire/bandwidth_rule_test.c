#include "common/wire/bandwidth_rule.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define MIB (UINT64_C(1) << 20)

/* 2026-11-22 is a Sunday. */
static uint64_t at(unsigned day_of_week, unsigned hour, unsigned minute)
{
    uint64_t sunday_s = UINT64_C(1795305600);
    return (sunday_s + day_of_week * UINT64_C(86400) + hour * 3600 + minute * 60) * 1000000000;
}

static struct bandwidth_rule rule_of(const char *text)
{
    struct bandwidth_rule rule;
    struct err err = {0};
    cr_assert(bandwidth_rule_parse(text, &rule, &err), "%s: %s", text, err.text);
    return rule;
}

Test(bandwidth_rule, one_rate_holds_always)
{
    struct bandwidth_rule rule = rule_of("20MiB");
    cr_assert_eq(bandwidth_rule_at(&rule, 0), 20 * MIB);
    cr_assert_eq(bandwidth_rule_at(&rule, UINT64_MAX), 20 * MIB);
}

Test(bandwidth_rule, a_rate_may_say_that_it_is_one)
{
    static const char *const texts[] = {"40MiB/s", "40M", "40M/s", "40960K", "40MiB/s@mon-fri, 40M/s"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        struct bandwidth_rule rule = rule_of(texts[i]);
        cr_assert_eq(bandwidth_rule_at(&rule, at(1, 0, 0)), 40 * MIB, "%s", texts[i]);
        cr_assert_eq(bandwidth_rule_at(&rule, at(0, 0, 0)), 40 * MIB, "%s", texts[i]);
    }
}

Test(bandwidth_rule, the_first_part_that_holds_counts_and_none_is_no_limit)
{
    struct bandwidth_rule rule =
        rule_of("1MiB@mon-fri 08:00-18:00, 2MiB@08:00-18:00,unlimited@sat, 3MiB@fri-sun");
    static const struct {
        unsigned day, hour, minute;
        uint64_t rate;
    } moments[] = {
        {1, 8, 0, MIB},      {1, 17, 59, MIB},     {1, 18, 0, 0},  {1, 7, 59, 0},
        {6, 8, 0, 2 * MIB},  {0, 12, 0, 2 * MIB},  {6, 18, 0, 0},  {6, 0, 0, 0},
        {0, 18, 0, 3 * MIB}, {5, 23, 59, 3 * MIB}, {5, 9, 0, MIB}, {4, 23, 59, 0},
    };
    for (size_t i = 0; i < sizeof(moments) / sizeof(moments[0]); i++)
        cr_assert_eq(bandwidth_rule_at(&rule, at(moments[i].day, moments[i].hour, moments[i].minute)),
                     moments[i].rate, "moment %zu", i);
}

Test(bandwidth_rule, over_midnight_the_day_is_the_one_on_which_it_begins)
{
    struct bandwidth_rule rule = rule_of("1MiB@sat 22:00-06:00");
    cr_assert_eq(bandwidth_rule_at(&rule, at(6, 21, 59)), 0);
    cr_assert_eq(bandwidth_rule_at(&rule, at(6, 22, 0)), MIB);
    cr_assert_eq(bandwidth_rule_at(&rule, at(7, 5, 59)), MIB);
    cr_assert_eq(bandwidth_rule_at(&rule, at(7, 6, 0)), 0);
    cr_assert_eq(bandwidth_rule_at(&rule, at(6, 5, 0)), 0);
    cr_assert_eq(bandwidth_rule_at(&rule, at(7, 22, 0)), 0);
    struct bandwidth_rule until = rule_of("1MiB@08:00-24:00");
    cr_assert_eq(bandwidth_rule_at(&until, at(1, 23, 59)), MIB);
    cr_assert_eq(bandwidth_rule_at(&until, at(1, 0, 0)), 0);
}

Test(bandwidth_rule, what_is_no_rule_is_refused_with_an_example)
{
    static const char *const bad[] = {
        "",
        ",",
        "1MiB,",
        "fast",
        "15KiB",
        "2TiB",
        "1MiB@",
        "1MiB@8:00",
        "1MiB@08:00",
        "1MiB@08:00-",
        "1MiB@24:00-08:00",
        "1MiB@08:60-09:00",
        "1MiB@monday",
        "1MiB@mon-",
        "1MiB@mon fri",
        "1MiB@08:00-24:01",
        "1MiB@mon 08:00-09:00 x",
        "1MiB 2MiB",
        "@08:00-09:00",
        "-1MiB",
        "1MiB@08:00-18:00@mon",
        "1MiB@MON",
        "1 MiB",
        "/s",
        "1MiB/",
        "1MiB/h",
        "1MiB/s/s",
        "unlimited/s",
    };
    struct bandwidth_rule rule;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct err err = {0};
        cr_assert_not(bandwidth_rule_parse(bad[i], &rule, &err), "'%s'", bad[i]);
        cr_assert_eq(err.code, ERR_USAGE);
        cr_assert(strstr(err.text, "20MiB@mon-fri 08:00-18:00, 100MiB"), "%s", err.text);
    }
}

Test(bandwidth_rule, length_and_parts_are_limited)
{
    struct bandwidth_rule rule;
    struct err err = {0};
    char text[BANDWIDTH_TEXT_MAX + 2];
    memset(text, '1', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    cr_assert_not(bandwidth_rule_parse(text, &rule, &err));
    char parts[6 * (BANDWIDTH_PARTS_MAX + 1)];
    for (int count = BANDWIDTH_PARTS_MAX; count <= BANDWIDTH_PARTS_MAX + 1; count++) {
        size_t len = 0;
        for (int i = 0; i < count; i++)
            len += (size_t)snprintf(parts + len, sizeof(parts) - len, "%s1MiB", i ? "," : "");
        cr_assert_eq(bandwidth_rule_parse(parts, &rule, &err), count == BANDWIDTH_PARTS_MAX);
    }
}
