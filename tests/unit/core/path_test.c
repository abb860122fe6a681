#include "transporter/core/path.h"

#include <criterion/criterion.h>
#include <string.h>

Test(path, a_name_is_one_component_of_any_bytes_but_slash_and_nul)
{
    static const char *const good[] = {"a", "...", ".a", "..a", "a..", "\xff\xfe", "\n", " ", "-", "\\"};
    static const char *const bad[] = {"", ".", "..", "/", "a/b", "/a", "a/"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        cr_assert(name_valid(span_str(good[i])), "'%s'", good[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        cr_assert(!name_valid(span_str(bad[i])), "'%s'", bad[i]);
    cr_assert(!name_valid(span_of("a\0b", 3)));
}

Test(path, a_path_is_relative_and_normal)
{
    static const char *const good[] = {"a", "a/b", "...", "a/..b/c", "a/.b"};
    static const char *const bad[] = {"",     "/",      "/a",  "a/",  "a//b",  ".",     "..", "a/..",
                                      "../a", "a/../b", "./a", "a/.", "a/./b", "a/b//", "//"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        cr_assert(path_valid(span_str(good[i])), "'%s'", good[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        cr_assert(!path_valid(span_str(bad[i])), "'%s'", bad[i]);
    cr_assert(!path_valid(span_of("a/\0", 3)));
}

/* "x/x/…" */
static struct buf deep(unsigned components)
{
    struct buf path = {0};
    for (unsigned i = 0; i < components; i++)
        buf_put_str(&path, i ? "/x" : "x");
    return path;
}

Test(path, the_limits_are_2048_components_and_65535_bytes)
{
    AUTO(buf) struct buf most = deep(DEPTH_MAX);
    AUTO(buf) struct buf more = deep(DEPTH_MAX + 1);
    cr_assert(path_valid(buf_span(&most)));
    cr_assert(!path_valid(buf_span(&more)));
    AUTO(buf) struct buf wide = {0};
    memset(buf_grow(&wide, PATH_LEN_MAX + 1), 'w', PATH_LEN_MAX + 1);
    cr_assert(path_valid(span_of(wide.data, PATH_LEN_MAX)));
    cr_assert(!path_valid(buf_span(&wide)));
}

/* The definition of path order: component by component. */
static int by_components(struct span a, struct span b)
{
    while (a.len > 0 && b.len > 0) {
        const uint8_t *slash_a = memchr(a.data, '/', a.len);
        const uint8_t *slash_b = memchr(b.data, '/', b.len);
        size_t len_a = slash_a ? (size_t)(slash_a - a.data) : a.len;
        size_t len_b = slash_b ? (size_t)(slash_b - b.data) : b.len;
        int order = span_cmp(span_of(a.data, len_a), span_of(b.data, len_b));
        if (order != 0) return order;
        a = slash_a ? span_of(slash_a + 1, a.len - len_a - 1) : span_of(NULL, 0);
        b = slash_b ? span_of(slash_b + 1, b.len - len_b - 1) : span_of(NULL, 0);
    }
    return (a.len > 0) - (b.len > 0);
}

static int sign(int x)
{
    return (x > 0) - (x < 0);
}

Test(path, order_is_by_components)
{
    static const char *const paths[] = {"",        "a",     "a/b",    "a/b/c", "a/bc",  "a.b", "a\x01",
                                        "a\x01/b", "a-b/c", "a\xff",  "ab",    "ab/c",  "b",   "b/a",
                                        "\x01",    "\xff",  "a/\x01", "a/a",   "a/a/a", "a0"};
    size_t count = sizeof(paths) / sizeof(paths[0]);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < count; j++)
            cr_assert_eq(sign(path_cmp(span_str(paths[i]), span_str(paths[j]))),
                         sign(by_components(span_str(paths[i]), span_str(paths[j]))), "'%s' '%s'", paths[i],
                         paths[j]);
}

Test(path, within_is_by_components_too)
{
    cr_assert(path_within(span_str("a/b"), span_str("a")));
    cr_assert(path_within(span_str("a"), span_str("a")));
    cr_assert(path_within(span_str("a"), span_str("")));
    cr_assert(!path_within(span_str("ab"), span_str("a")));
    cr_assert(!path_within(span_str("a"), span_str("a/b")));
}

Test(trail, follows_a_stream_of_entries)
{
    AUTO(trail) struct trail trail = {0};
    static const struct {
        unsigned depth;
        bool directory;
        const char *name, *path, *parent;
    } steps[] = {
        {1, true, "a", "a", ""},
        {2, true, "b", "a/b", "a"},
        {3, false, "c", "a/b/c", "a/b"},
        {3, true, "d", "a/b/d", "a/b"},
        {2, false, "bb", "a/bb", "a"},
        {1, true, "a.", "a.", ""},
        {2, false, "\xff", "a./\xff", "a."},
    };
    cr_assert(trail_begin(&trail, span_str("")));
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        const char *fault = trail_step(&trail, steps[i].depth, span_str(steps[i].name), steps[i].directory);
        cr_assert_null(fault, "%s: %s", steps[i].path, fault);
        cr_assert(span_eq(buf_span(&trail.path), span_str(steps[i].path)), "%s", steps[i].path);
        cr_assert(span_eq(trail_parent(&trail), span_str(steps[i].parent)), "%s", steps[i].path);
    }
}

Test(trail, refuses_what_cannot_follow_and_stays)
{
    static const struct {
        unsigned depth;
        const char *name;
        const char *fault;
    } steps[] = {
        {0, "a", "its depth is out of range"},  {DEPTH_MAX + 1, "a", "its depth is out of range"},
        {4, "a", "it skips a directory level"}, {3, "a", "it lies below what is no directory"},
        {2, "b", "it is out of order"},         {2, "a", "it is out of order"},
        {1, "a", "it is out of order"},         {1, "A", "it is out of order"},
    };
    AUTO(trail) struct trail trail = {0};
    cr_assert(trail_begin(&trail, span_str("a")));
    cr_assert_null(trail_step(&trail, 2, span_str("b"), false));
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        const char *fault = trail_step(&trail, steps[i].depth, span_str(steps[i].name), true);
        cr_assert_not_null(fault, "step %zu", i);
        cr_assert_str_eq(fault, steps[i].fault);
        cr_assert(span_eq(buf_span(&trail.path), span_str("a/b")));
    }
    cr_assert_null(trail_step(&trail, 2, span_str("c"), true), "it goes on where it stood");
    cr_assert_null(trail_step(&trail, 3, span_str("a"), false));
}

Test(trail, a_path_never_grows_beyond_its_limit)
{
    AUTO(trail) struct trail trail = {0};
    AUTO(buf) struct buf wide = {0};
    memset(buf_grow(&wide, PATH_LEN_MAX), 'w', PATH_LEN_MAX);
    cr_assert(trail_begin(&trail, span_str("p")));
    cr_assert_str_eq(trail_step(&trail, 2, span_of(wide.data, PATH_LEN_MAX - 1), true),
                     "its path is too long");
    cr_assert_null(trail_step(&trail, 2, span_of(wide.data, PATH_LEN_MAX - 2), true));
    cr_assert_str_eq(trail_step(&trail, 3, span_str("x"), true), "its path is too long");
    cr_assert(!trail_begin(&trail, span_str("a//b")));
}

Test(trail, knows_which_directories_stand_open)
{
    AUTO(trail) struct trail trail = {0};
    cr_assert(trail_begin(&trail, span_str("a/bc")));
    cr_assert(trail_inside(&trail, span_str("")));
    cr_assert(trail_inside(&trail, span_str("a")));
    cr_assert(trail_inside(&trail, span_str("a/bc")));
    cr_assert(!trail_inside(&trail, span_str("a/b")));
    cr_assert(!trail_inside(&trail, span_str("a/bc/d")));
    cr_assert_null(trail_step(&trail, 3, span_str("file"), false));
    cr_assert(trail_inside(&trail, span_str("a/bc")));
    cr_assert(!trail_inside(&trail, span_str("a/bc/file")), "a file is no directory");
}
