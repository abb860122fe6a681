/* Walks of trees that change meanwhile, forbid reading, or are very large. */
#include "common/base/alloc.h"
#include "tree.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* Walks lazily (nothing is read ahead) up to this entry, then lets `change` loose, then to the end. */
static void walk_changing(const struct tree *tree, const char *until, void (*change)(const struct tree *),
                          struct buf *out)
{
    AUTO(walk) struct walk *walk = NULL;
    AUTO(free) char *path = tree_path(tree, until);
    const char *paths[1];
    struct walk_options options = whole_tree(tree, paths);
    struct walk_entry entry;
    enum walk_event event;
    struct err note, err;
    options.ahead_bytes = 1;
    cr_assert(walk_new(&options, &walk, &err), "%s", err.text);
    do {
        cr_assert(walk_next(walk, &event, &entry, &note, &err), "%s", err.text);
        append_event(tree, event, &entry, &note, out);
        if (event == WALK_ENTRY && span_eq(entry.path, span_str(path + 1))) change(tree);
    } while (event != WALK_END);
}

static void make_outside(const struct tree *tree)
{
    put_dir(tree, "a");
    put_dir(tree, "a/b");
    put_file(tree, "a/b/inside", "");
    put_dir(tree, "z");
    put_dir(tree, "z/b");
    put_file(tree, "z/b/outside", "");
}

static void swap_a(const struct tree *tree)
{
    cr_assert_eq(renameat(tree->fd, "a", tree->fd, "moved"), 0);
    put_symlink(tree, "a", "z");
}

Test(walk_change, a_link_put_in_the_place_of_a_directory_leads_nowhere)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(buf) struct buf text = {0};
    make_outside(&tree);
    walk_changing(&tree, "a", swap_a, &text);
    expect_text(&text, "D .\nD a\nW a: was replaced by something else while the tree was read\n- a\n"
                       "D z\nD z/b\nF z/b/outside\n- z/b\n- z\n- .\n");
}

Test(walk_change, a_link_put_higher_up_leads_nowhere)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(buf) struct buf text = {0};
    make_outside(&tree);
    walk_changing(&tree, "a/b", swap_a, &text);
    expect_text(&text,
                "D .\nD a\nD a/b\nF a/b/inside\n- a/b\n- a\nD z\nD z/b\nF z/b/outside\n- z/b\n- z\n- .\n");
}

static void swap_directories(const struct tree *tree)
{
    cr_assert_eq(renameat2(tree->fd, "a/b", tree->fd, "z/b", RENAME_EXCHANGE), 0);
}

Test(walk_change, another_directory_in_the_place_is_not_read)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(buf) struct buf text = {0};
    make_outside(&tree);
    walk_changing(&tree, "a/b", swap_directories, &text);
    expect_text(&text,
                "D .\nD a\nD a/b\nW a/b: was replaced by something else while the tree was read\n- a/b\n- a\n"
                "D z\nD z/b\nF z/b/inside\n- z/b\n- z\n- .\n");
}

static void remove_b(const struct tree *tree)
{
    cr_assert_eq(unlinkat(tree->fd, "a/b/inside", 0), 0);
    cr_assert_eq(unlinkat(tree->fd, "a/b", AT_REMOVEDIR), 0);
}

Test(walk_change, a_directory_that_vanishes_is_a_warning)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(buf) struct buf text = {0};
    make_outside(&tree);
    walk_changing(&tree, "a/b", remove_b, &text);
    expect_text(&text, "D .\nD a\nD a/b\nW a/b: vanished while the tree was read\n- a/b\n- a\n"
                       "D z\nD z/b\nF z/b/outside\n- z/b\n- z\n- .\n");
}

static void put_numbered(const struct tree *tree, unsigned count)
{
    char name[32];
    for (unsigned i = 0; i < count; i++) {
        (void)snprintf(name, sizeof(name), "n%06u", i);
        AUTO(fd) int fd = openat(tree->fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        cr_assert(fd >= 0);
    }
}

static void remove_late_ones(const struct tree *tree)
{
    cr_assert_eq(unlinkat(tree->fd, "n004500", 0), 0);
    cr_assert_eq(unlinkat(tree->fd, "n004501", 0), 0);
    put_dir(tree, "n004501");
}

Test(walk_change, a_file_that_vanishes_is_a_warning)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(buf) struct buf text = {0};
    put_numbered(&tree, 5000);
    walk_changing(&tree, "n000000", remove_late_ones, &text);
    expect_part(&text, "F n004499\nW n004500: vanished while the tree was read\nD n004501\n- n004501\n");
}

Test(walk_change, an_unreadable_directory_is_a_warning)
{
    AUTO(tree) struct tree tree = tree_make();
    put_dir(&tree, "a");
    put_file(&tree, "a/x", "");
    put_dir(&tree, "b");
    put_file(&tree, "b/x", "");
    put_dir(&tree, "c");
    put_file(&tree, "c/x", "");
    cr_assert_eq(fchmodat(tree.fd, "a", 0700, 0), 0);
    cr_assert_eq(fchmodat(tree.fd, "b", 0711, 0), 0);
    if (geteuid() != 0 || seteuid(65534) != 0) cr_skip_test("needs root, to become somebody else");
    expect_whole(&tree, "D .\nD a\nW a: Permission denied\n- a\nD b\nW b: Permission denied\n- b\n"
                        "D c\nF c/x\n- c\n- .\n");
    AUTO(free) char *known = tree_path(&tree, "b/x");
    const char *paths[] = {known};
    const struct walk_options options = {.paths = paths, .path_count = 1};
    expect_walk(&tree, &options, "D .\nD b\nF b/x\n- b\n- .\n");
    cr_assert_eq(seteuid(0), 0);
}

Test(walk_change, a_directory_of_more_names_than_are_sorted_in_memory)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(buf) struct buf text = {0}, expected = {0};
    const char *paths[1];
    const unsigned count = WALK_SORT_MAX + 5000;
    put_numbered(&tree, count);
    put_dir(&tree, "n030000d");
    put_file(&tree, "n030000d/x", "");
    struct walk_options options = whole_tree(&tree, paths);
    options.spill_dir = "/tmp";
    walk_text(&tree, &options, &text);
    buf_put_str(&expected, "D .\n");
    for (unsigned i = 0; i < count; i++) {
        buf_printf(&expected, "F n%06u\n", i);
        if (i == 30000) buf_put_str(&expected, "D n030000d\nF n030000d/x\n- n030000d\n");
    }
    buf_put_str(&expected, "- .\n");
    cr_assert(span_eq(buf_span(&text), buf_span(&expected)));

    AUTO(walk) struct walk *walk = NULL;
    struct walk_entry entry;
    enum walk_event event;
    struct err note, err;
    bool ok = true;
    AUTO(free) char *absent = tree_path(&tree, "absent");
    options.spill_dir = absent;
    cr_assert(walk_new(&options, &walk, &err), "%s", err.text);
    for (event = WALK_ENTRY; ok && event != WALK_END;)
        ok = walk_next(walk, &event, &entry, &note, &err);
    cr_assert(!ok, "without a place for the names the run ends");
    cr_assert(strstr(err.text, "cannot make a temporary file"), "%s", err.text);
    err_clear(&err);
    cr_assert(!walk_next(walk, &event, &entry, &note, &err), "and stays ended");
    cr_assert(strstr(err.text, "cannot make a temporary file"));
}

Test(walk_change, paths_beyond_the_limits_are_warnings)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(buf) struct buf text = {0};
    const char *paths[1];
    unsigned depth = DEPTH_MAX + 3;
    int fd = dup(tree.fd);
    for (unsigned i = 0; i < depth; i++) {
        cr_assert_eq(mkdirat(fd, "d", 0755), 0);
        int below = openat(fd, "d", O_RDONLY | O_DIRECTORY);
        cr_assert(below >= 0);
        (void)close(fd);
        fd = below;
    }
    (void)close(fd);
    struct walk_options options = whole_tree(&tree, paths);
    walk_text(&tree, &options, &text);
    expect_part(&text, ": has a path that is too long to be stored\n");
}
