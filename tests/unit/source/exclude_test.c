#include "transporter/source/exclude.h"

#include "common/base/alloc.h"
#include "transporter/core/path.h"

#include <criterion/criterion.h>
#include <string.h>

static bool excludes(const char *pattern, const char *path, enum exclude_kind kind)
{
    AUTO(exclude) struct exclude *exclude = NULL;
    struct err err;
    cr_assert(exclude_new(&pattern, 1, &exclude, &err), "%s", err.text);
    return exclude_matches(exclude, span_str(path), kind);
}

Test(exclude, patterns_mean_what_the_header_says)
{
    static const struct {
        const char *pattern, *path;
        bool matches;
    } cases[] = {
        /* a name, in any directory */
        {"*.o", "a.o", true},
        {"*.o", "x/y/a.o", true},
        {"*.o", "a.oo", false},
        {"*.o", "a.o/b", false},
        {"*.o", ".o", true},
        {"core", "core", true},
        {"core", "x/core", true},
        {"core", "x/core/y", false},
        {"core", "xcore", false},
        {"Core", "core", false},
        /* several components, in any directory */
        {"a/b", "a/b", true},
        {"a/b", "x/a/b", true},
        {"a/b", "a/b/c", false},
        {"a/b", "xa/b", false},
        {"a/b", "a/x/b", false},
        {"a/*/c", "x/a/b/c", true},
        {"a/*/c", "a/c", false},
        /* from the root */
        {"/a/b", "a/b", true},
        {"/a/b", "x/a/b", false},
        {"/a", "a", true},
        {"/a", "a/a", false},
        {"/*.o", "a.o", true},
        {"/*.o", "x/a.o", false},
        /* any number of components */
        {"**/cache", "cache", true},
        {"**/cache", "a/b/cache", true},
        {"/a/**/z", "a/z", true},
        {"/a/**/z", "a/b/z", true},
        {"/a/**/z", "a/b/c/z", true},
        {"/a/**/z", "a/b/c/zz", false},
        {"/a/**/z", "b/a/z", false},
        {"/a/**", "a", false},
        {"/a/**", "a/b", true},
        {"/a/**", "a/b/c", true},
        {"a/**", "x/a/b", true},
        {"a/**", "x/a", false},
        {"/**", "a", true},
        {"**", "a/b", true},
        {"/a/**/b/**/c", "a/b/c", true},
        {"/a/**/b/**/c", "a/x/b/b/y/c", true},
        {"/a/**/b/**/c", "a/x/c/b", false},
        {"a**b", "axxb", true}, /* within a component it is '*' */
        {"a**b", "ax/xb", false},
        /* within a component */
        {"*", "x", true},
        {"*", "x/y", true},
        {"a*c*e", "abcde", true},
        {"a*c*e", "ace", true},
        {"a*c*e", "aceX", false},
        {"a*b", "a/b", false},
        {"?", "x", true},
        {"?", "xy", false},
        {"a?c", "a/c", false},
        {"[ab]", "a", true},
        {"[ab]", "c", false},
        {"[a-c]x", "bx", true},
        {"[a-c]x", "dx", false},
        {"[!a-c]x", "dx", true},
        {"[!a-c]x", "ax", false},
        {"[^a]", "b", true},
        {"[]a]", "]", true},
        {"[]a]", "a", true},
        {"[!]a]", "]", false},
        {"[a-]", "-", true},
        {"[a-]", "b", false},
        {"[\\]]", "]", true},
        {"[a\\-z]", "m", false},
        {"[a\\-z]", "-", true},
        {"\\*", "*", true},
        {"\\*", "x", false},
        {"\\!x", "!x", true},
        {"x\\?", "x?", true},
        {"x\\?", "xy", false},
        {"\xff*", "\xff\xfe", true},
        {"[\x80-\xff]", "\xc3", true},
        {"#x", "#x", true},
        {" x ", " x ", true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        cr_assert_eq(excludes(cases[i].pattern, cases[i].path, EXCLUDE_OTHER), cases[i].matches,
                     "case %zu: '%s' and '%s'", i, cases[i].pattern, cases[i].path);
}

Test(exclude, a_slash_at_the_end_is_for_directories)
{
    static const char *const patterns[] = {"cache/", "/cache/", "**/cache/", "c*/"};
    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        cr_assert(excludes(patterns[i], "cache", EXCLUDE_DIRECTORY), "%s", patterns[i]);
        cr_assert(!excludes(patterns[i], "cache", EXCLUDE_OTHER), "%s", patterns[i]);
    }
    cr_assert(excludes("cache", "cache", EXCLUDE_DIRECTORY));
}

Test(exclude, the_last_pattern_that_matches_decides)
{
    static const char *const patterns[] = {"*.o", "!keep.o", "/build/keep.o"};
    AUTO(exclude) struct exclude *exclude = NULL;
    struct err err;
    cr_assert(exclude_new(patterns, 3, &exclude, &err), "%s", err.text);
    cr_assert(exclude_matches(exclude, span_str("a.o"), EXCLUDE_OTHER));
    cr_assert(!exclude_matches(exclude, span_str("x/keep.o"), EXCLUDE_OTHER));
    cr_assert(exclude_matches(exclude, span_str("build/keep.o"), EXCLUDE_OTHER));
    cr_assert(!exclude_matches(exclude, span_str("a.c"), EXCLUDE_OTHER));
}

Test(exclude, no_patterns_exclude_nothing)
{
    AUTO(exclude) struct exclude *exclude = NULL;
    struct err err;
    cr_assert(exclude_new(NULL, 0, &exclude, &err), "%s", err.text);
    cr_assert(!exclude_matches(exclude, span_str("a"), EXCLUDE_OTHER));
}

Test(exclude, bad_patterns_are_named)
{
    static const struct {
        const char *pattern, *text;
    } cases[] = {
        {"", "cannot exclude by '': it has an empty component"},
        {"/", "cannot exclude by '/': it has an empty component"},
        {"!", "cannot exclude by '!': it has an empty component"},
        {"a//b", "cannot exclude by 'a//b': it has an empty component"},
        {"a/../b", "cannot exclude by 'a/../b': a component '.' or '..' matches nothing"},
        {"./a", "cannot exclude by './a': a component '.' or '..' matches nothing"},
        {"a\\", "cannot exclude by 'a\\': it ends in '\\'"},
        {"[a", "cannot exclude by '[a': it has an open '['"},
        {"[", "cannot exclude by '[': it has an open '['"},
        {"[!", "cannot exclude by '[!': it has an open '['"},
        {"[]", "cannot exclude by '[]': it has an open '['"},
        {"[a\\", "cannot exclude by '[a\\': it has an open '['"},
        {"[a/b]", "cannot exclude by '[a/b]': it has an open '['"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *const patterns[] = {"fine", cases[i].pattern};
        struct exclude *exclude = NULL;
        struct err err;
        cr_assert(!exclude_new(patterns, 2, &exclude, &err), "%s", cases[i].pattern);
        cr_assert_eq(err.code, ERR_USAGE);
        cr_assert_str_eq(err.text, cases[i].text);
        cr_assert_null(exclude);
    }
    char huge[EXCLUDE_PATTERN_MAX + 2];
    memset(huge, 'x', sizeof(huge));
    huge[sizeof(huge) - 1] = 0;
    const char *const patterns[] = {huge};
    AUTO(exclude) struct exclude *exclude = NULL;
    struct err err;
    cr_assert(!exclude_new(patterns, 1, &exclude, &err));
    huge[EXCLUDE_PATTERN_MAX] = 0;
    cr_assert(exclude_new(patterns, 1, &exclude, &err), "%s", err.text);
}

/* What backtracking would try in exponential time. */
Test(exclude, stars_in_a_row_cost_no_more_than_a_product, .timeout = 60)
{
    char pattern[2001], name[2002];
    for (size_t i = 0; i < 1000; i++)
        memcpy(pattern + 2 * i, "*a", 2);
    pattern[2000] = 0;
    memset(name, 'a', 2000);
    name[2000] = 'b';
    name[2001] = 0;
    cr_assert(!excludes(pattern, name, EXCLUDE_OTHER));
    name[2000] = 0;
    cr_assert(excludes(pattern, name, EXCLUDE_OTHER));
    for (size_t i = 0; i < 1999; i += 2)
        memcpy(name + i, "a/", 2);
    cr_assert(!excludes("/**/a/**/a/**/a/**/a/**/a/**/a/**/a/**/b", name, EXCLUDE_OTHER));
}

/* Whoever may make directories may make one: its end lies beyond 16 bits. */
Test(exclude, the_longest_path_that_there_can_be_is_matched_to_its_end)
{
    const size_t name = 255;
    AUTO(free) char *path = xmalloc(PATH_LEN_MAX + 1);
    memset(path, 'a', PATH_LEN_MAX);
    for (size_t at = name; at < PATH_LEN_MAX; at += name + 1)
        path[at] = '/';
    path[PATH_LEN_MAX] = 0;
    cr_assert(!excludes("a*/a*b", path, EXCLUDE_OTHER));
    path[PATH_LEN_MAX - 1] = 'b';
    cr_assert(excludes("a*/a*b", path, EXCLUDE_OTHER));
    cr_assert(excludes("/**/a*b", path, EXCLUDE_OTHER));
}
