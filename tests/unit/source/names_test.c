#include "transporter/source/names.h"

#include "common/base/alloc.h"
#include "tree.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

static const struct names_limits plenty = {.memory_max = 64000};

static struct names *read_names(const struct tree *tree, const struct names_limits *limits)
{
    AUTO(fd) int fd = openat(tree->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct names *names = NULL;
    int fault;
    struct err err;
    cr_assert(names_read(fd, limits, &names, &fault, &err), "%s", err.text);
    cr_assert_eq(fault, 0);
    return names;
}

/* All names, '|' behind each. */
static void join(struct names *names, struct buf *out)
{
    for (;;) {
        struct span name;
        bool found;
        struct err err;
        cr_assert(names_next(names, &name, &found, &err), "%s", err.text);
        if (!found) return;
        buf_put_span(out, name);
        buf_put_u8(out, '|');
    }
}

Test(names, come_in_bytewise_order)
{
    AUTO(tree) struct tree tree = tree_make();
    static const char *const made[] = {"b",        "a",         "\xff",         "a.b",    "a-b",
                                       "A",        "...",       "\x01",         "aa",     "\n",
                                       "12345678", "123456789", "12345678\x01", "1234567"};
    for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++)
        put_file(&tree, made[i], "");
    AUTO(names) struct names *names = read_names(&tree, &plenty);
    AUTO(buf) struct buf text = {0};
    cr_assert_eq(names_count(names), sizeof(made) / sizeof(made[0]));
    cr_assert(!names_tagged(names));
    join(names, &text);
    expect_text(&text, "\x01|\n|...|1234567|12345678|12345678\x01|123456789|A|a|a-b|a.b|aa|b|\xff|");
}

Test(names, an_empty_directory_has_none)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(names) struct names *names = read_names(&tree, &plenty);
    AUTO(buf) struct buf text = {0};
    join(names, &text);
    cr_assert_eq(text.len, 0);
}

Test(names, runs_in_a_file_come_in_the_same_order)
{
    AUTO(tree) struct tree tree = tree_make();
    char name[256];
    for (unsigned i = 0; i < 2000; i++) {
        unsigned len = i % 200;
        memset(name, 'n', sizeof(name));
        (void)snprintf(name + len, sizeof(name) - len, "%u", i * 7919 % 2000);
        put_file(&tree, name, "");
    }
    put_file(&tree, "CACHEDIR.TAG", "");
    AUTO(names) struct names *in_memory = read_names(&tree, &plenty);
    AUTO(buf) struct buf expected = {0};
    join(in_memory, &expected);
    static const size_t limits[] = {1, 2, 7, 100, 1999, 2000, 2001};
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        const struct names_limits spilling = {.memory_max = limits[i], .spill_dir = tree.path};
        AUTO(names) struct names *names = read_names(&tree, &spilling);
        AUTO(buf) struct buf text = {0};
        cr_assert(names_tagged(names));
        join(names, &text);
        cr_assert(span_eq(buf_span(&text), buf_span(&expected)), "runs of %zu", limits[i]);
    }
}

Test(names, a_directory_that_cannot_be_read_gives_the_fault)
{
    AUTO(fd) int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    AUTO(names) struct names *names = NULL;
    int fault;
    struct err err;
    cr_assert(names_read(fd, &plenty, &names, &fault, &err), "%s", err.text);
    cr_assert_eq(fault, EBADF);
    cr_assert_eq(names_count(names), 0);
}

Test(names, a_spill_directory_that_is_none_is_an_error)
{
    AUTO(tree) struct tree tree = tree_make();
    put_file(&tree, "a", "");
    put_file(&tree, "b", "");
    AUTO(fd) int fd = openat(tree.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    AUTO(free) char *absent = tree_path(&tree, "absent");
    const struct names_limits spilling = {.memory_max = 1, .spill_dir = absent};
    struct names *names = NULL;
    int fault;
    struct err err;
    cr_assert(!names_read(fd, &spilling, &names, &fault, &err));
    cr_assert_null(names);
    AUTO(free)
    char *said = xasprintf("cannot make a temporary file in '%s': No such file or directory", absent);
    cr_assert_str_eq(err.text, said);
}

Test(names, a_list_is_given_back)
{
    const struct span list[] = {span_str("a"), span_str("b")};
    AUTO(names) struct names *names = names_of(list, 2);
    AUTO(buf) struct buf text = {0};
    join(names, &text);
    expect_text(&text, "a|b|");
}

Test(names, listed_twice_are_given_once)
{
    const struct span list[] = {span_str("a"), span_str("b"), span_str("b"), span_str("b"), span_str("c")};
    AUTO(names) struct names *names = names_of(list, 5);
    AUTO(buf) struct buf text = {0};
    join(names, &text);
    expect_text(&text, "a|b|c|");
}
