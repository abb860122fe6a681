#include "director/cli/time_word.h"

#include <criterion/criterion.h>

#define NS UINT64_C(1000000000)
static const uint64_t now_ns = UINT64_C(1800000000) * NS;

static uint64_t parsed(const char *text)
{
    struct err err = {0};
    uint64_t out = 0;
    cr_assert(time_word_parse(text, now_ns, &out, &err), "%s: %s", text, err.text);
    return out;
}

Test(time_word, dates_and_times_are_utc)
{
    cr_assert_eq(parsed("1970-01-01"), 0);
    cr_assert_eq(parsed("2000-02-29"), UINT64_C(951782400) * NS);
    cr_assert_eq(parsed("2026-11-20"), UINT64_C(1795132800) * NS);
    cr_assert_eq(parsed("2026-11-20T03:04Z"), UINT64_C(1795143840) * NS);
    cr_assert_eq(parsed("2026-11-20T03:04:05"), UINT64_C(1795143845) * NS);
    cr_assert_eq(parsed("2026-11-20T03:04:05Z"), UINT64_C(1795143845) * NS);
}

Test(time_word, a_duration_is_so_long_ago)
{
    cr_assert_eq(parsed("12h"), now_ns - UINT64_C(43200) * NS);
    cr_assert_eq(parsed("0s"), now_ns);
}

Test(time_word, what_is_no_time_is_refused_by_name)
{
    static const char *const bad[] = {"",           "2026-13-01", "2026-02-29",       "2026-00-10",
                                      "2026-01-32", "2026-1-1",   "2026-11-20T24:00", "2026-11-20 03:00",
                                      "yesterday",  "1969-12-31", "99999w",           "12"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct err err = {0};
        uint64_t out = 5;
        cr_assert_not(time_word_parse(bad[i], now_ns, &out, &err), "'%s'", bad[i]);
        cr_assert_eq(err.code, ERR_USAGE);
        cr_assert_eq(out, 5);
    }
}

Test(time_word, ages_are_said_in_one_unit)
{
    static const struct {
        uint64_t seconds;
        const char *text;
    } ages[] = {{0, "0 s"},        {119, "119 s"}, {120, "2 min"},
                {7199, "119 min"}, {7200, "2 h"},  {864000, "10 d"}};
    for (size_t i = 0; i < sizeof(ages) / sizeof(ages[0]); i++) {
        char text[24];
        time_word_age(ages[i].seconds * NS, text);
        cr_assert_str_eq(text, ages[i].text);
    }
}
