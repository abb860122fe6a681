#include "transporter/source/hard_links.h"

#include "common/base/alloc.h"
#include "tree.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

static struct span meet(struct hard_links *links, uint64_t device, uint64_t inode, uint32_t count,
                        const char *path)
{
    struct span first;
    struct err err;
    const struct linked file = {.device = device, .inode = inode, .count = count};
    cr_assert(hard_links_meet(links, &file, span_str(path), &first, &err), "%s", err.text);
    return first;
}

Test(hard_links, the_first_name_is_told_to_the_others)
{
    AUTO(hard_links) struct hard_links *links = hard_links_new(NULL);
    cr_assert_eq(meet(links, 1, 5, 3, "a").len, 0);
    cr_assert_eq(meet(links, 2, 5, 2, "b").len, 0, "the same inode of another file system");
    cr_assert(span_eq(meet(links, 1, 5, 3, "c"), span_str("a")));
    cr_assert(span_eq(meet(links, 2, 5, 2, "d"), span_str("b")));
    cr_assert_eq(meet(links, 2, 5, 2, "g").len, 0, "all names of the second were met");
    cr_assert(span_eq(meet(links, 1, 5, 3, "e"), span_str("a")));
    cr_assert_eq(meet(links, 1, 5, 3, "f").len, 0, "a name more than there were: a file of its own");
}

/* Whoever removes both of his names while a backup is under way could else have a file of somebody else, made
 * since, taken for one more name of his. */
Test(hard_links, a_file_with_the_inode_of_one_that_is_gone_is_another)
{
    AUTO(hard_links) struct hard_links *links = hard_links_new(NULL);
    const struct linked old = {.device = 1, .inode = 5, .born_ns = 100, .count = 3};
    const struct linked new = {.device = 1, .inode = 5, .born_ns = 200, .count = 2};
    struct span first;
    struct err err;
    cr_assert(hard_links_meet(links, &old, span_str("a"), &first, &err), "%s", err.text);
    cr_assert(hard_links_meet(links, &new, span_str("b"), &first, &err), "%s", err.text);
    cr_assert_eq(first.len, 0);
    cr_assert(hard_links_meet(links, &new, span_str("c"), &first, &err), "%s", err.text);
    cr_assert(span_eq(first, span_str("b")));
}

/* Every file has its number in its path; the order of second names differs from that of first ones. */
static void many(const char *spill_dir, unsigned count)
{
    AUTO(hard_links) struct hard_links *links = hard_links_new(spill_dir);
    char path[200], expected[200];
    for (unsigned i = 0; i < count; i++) {
        (void)snprintf(path, sizeof(path), "some/directory/of/middle/length/first-%u", i);
        cr_assert_eq(meet(links, i % 3, i / 3, 2 + i % 2, path).len, 0);
    }
    for (unsigned round = 0; round < 2; round++)
        for (unsigned n = 0; n < count; n++) {
            unsigned i = (unsigned)((uint64_t)n * 7919 % count);
            if (round == 1 && i % 2 == 0) continue;
            struct span first = meet(links, i % 3, i / 3, 2 + i % 2, "x");
            (void)snprintf(expected, sizeof(expected), "some/directory/of/middle/length/first-%u", i);
            if (!span_eq(first, span_str(expected)))
                cr_assert_fail("%u: '%.*s'", i, (int)first.len, (const char *)first.data);
        }
    for (unsigned i = 0; i < count; i++)
        cr_assert_eq(meet(links, i % 3, i / 3, 2 + i % 2, "again").len, 0, "%u is waited for no more", i);
}

Test(hard_links, many_are_remembered)
{
    many(NULL, 20011);
}

Test(hard_links, more_than_memory_may_hold_go_to_files)
{
    many("/tmp", 500009);
}

/* One file after the other, as in most trees: the table must not grow with those that are done. */
Test(hard_links, what_is_complete_takes_no_room)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(free) char *absent = tree_path(&tree, "absent");
    AUTO(hard_links) struct hard_links *links = hard_links_new(absent);
    char path[64];
    for (unsigned i = 0; i < 1000000; i++) {
        (void)snprintf(path, sizeof(path), "name-%u", i);
        cr_assert_eq(meet(links, 1, i, 2, path).len, 0);
        cr_assert(span_eq(meet(links, 1, i, 2, "again"), span_str(path)));
    }
    /* and some that never come to an end in between */
    for (unsigned i = 0; i < 200000; i++)
        if (i % 100 == 0 || i % 100 == 50) (void)meet(links, 2, i / 50, 2, "waiting");
}

Test(hard_links, a_spill_directory_that_is_none_is_an_error)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(free) char *absent = tree_path(&tree, "absent");
    AUTO(hard_links) struct hard_links *links = hard_links_new(absent);
    struct span first;
    struct err err;
    bool ok = true;
    for (unsigned i = 0; i < 1000000 && ok; i++)
        ok = hard_links_meet(links, &(struct linked){1, i, 0, 2}, span_str("path"), &first, &err);
    cr_assert(!ok);
    AUTO(free)
    char *said = xasprintf("cannot make a temporary file in '%s': No such file or directory", absent);
    cr_assert_str_eq(err.text, said);
}

Test(hard_links, a_full_disk_is_an_error_and_no_signal)
{
    const struct rlimit limit = {.rlim_cur = 6 << 20, .rlim_max = 6 << 20};
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    AUTO(hard_links) struct hard_links *links = hard_links_new("/tmp");
    struct span first;
    struct err err;
    bool ok = true;
    for (unsigned i = 0; i < 10000000 && ok; i++)
        ok = hard_links_meet(links, &(struct linked){1, i, 0, 2}, span_str("path"), &first, &err);
    cr_assert(!ok);
    cr_assert(strstr(err.text, "cannot reserve"), "%s", err.text);
    /* it is as it was before */
    cr_assert(span_eq(meet(links, 1, 7, 2, "again"), span_str("path")));
}
