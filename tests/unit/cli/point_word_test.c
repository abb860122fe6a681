#include "director/cli/point.h"

#include <criterion/criterion.h>

#define NS UINT64_C(1000000000)
static const uint64_t now_ns = UINT64_C(1800000000) * NS;

struct parsed {
    enum point_word word;
    char job[IDENTITY_NAME_MAX + 1];
    uint64_t time_ns;
};

static bool parse(const char *text, struct parsed *out, struct err *err)
{
    *out = (struct parsed){0};
    return point_word_parse(text, now_ns, &out->word, out->job, &out->time_ns, err);
}

Test(point_word, a_prefix_of_hex_digits_is_an_id)
{
    struct parsed parsed;
    struct err err = {0};
    cr_assert(parse("3f2a", &parsed, &err));
    cr_assert_eq(parsed.word, POINT_BY_PREFIX);
    cr_assert(parse("3F2A91c0d4e73f2a91c0d4e73f2a91c0", &parsed, &err));
}

Test(point_word, the_latest_and_the_last_of_a_day)
{
    struct parsed parsed;
    struct err err = {0};
    cr_assert(parse("web@latest", &parsed, &err));
    cr_assert_eq(parsed.word, POINT_LATEST);
    cr_assert_str_eq(parsed.job, "web");
    cr_assert(parse("web@2026-11-20", &parsed, &err));
    cr_assert_eq(parsed.word, POINT_BEFORE);
    cr_assert_eq(parsed.time_ns, UINT64_C(1795219200) * NS - 1, "the whole day counts");
    cr_assert(parse("web@2026-11-20T03:00", &parsed, &err));
    cr_assert_eq(parsed.time_ns, UINT64_C(1795143600) * NS);
    cr_assert(parse("web@12h", &parsed, &err));
    cr_assert_eq(parsed.time_ns, now_ns - UINT64_C(43200) * NS);
}

Test(point_word, anything_else_is_refused)
{
    static const char *const bad[] = {"",          "3f2",         "xyz9",
                                      "web",       "web@",        "@latest",
                                      "web@never", "we b@latest", "3f2a91c0d4e73f2a91c0d4e73f2a91c00"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct parsed parsed;
        struct err err = {0};
        cr_assert_not(parse(bad[i], &parsed, &err), "'%s'", bad[i]);
        cr_assert_eq(err.code, ERR_USAGE, "'%s': %s", bad[i], err.text);
    }
}
