#include "zoo.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

const char *const zoo[ZOO] = {"empty",      "full",          "full/nothing",   "full/one",    "full/small",
                              "full/zmall", "full/middle",   "full/large",     "full/sparse", "link",
                              "fifo",       "zz\xff\n name", "full/attributes"};

static void set_time(const struct tree *tree, const char *path, long seconds, long nanoseconds)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = seconds, .tv_nsec = nanoseconds}};
    cr_assert_eq(utimensat(tree->fd, path, times, AT_SYMLINK_NOFOLLOW), 0, "%s", path);
}

void make_zoo(const struct tree *tree)
{
    tree_dir(tree, "empty");
    tree_dir(tree, "full");
    tree_file(tree, "full/nothing", 1, 0);
    tree_file(tree, "full/one", 1, 1);
    tree_file(tree, "full/small", 2, 5000);
    tree_file(tree, "full/middle", 3, 200000);
    tree_file(tree, "full/large", 4, 9 << 20);
    tree_write(tree, "full/sparse", 1 << 20, 5, 300000);
    tree_truncate(tree, "full/sparse", 20 << 20);
    tree_file(tree, "full/attributes", 6, 10);
    AUTO(fd) int fd = openat(tree->fd, "full/attributes", O_RDONLY);
    (void)fsetxattr(fd, "user.colour", "blue", 4, 0);
    cr_assert_eq(linkat(tree->fd, "full/small", tree->fd, "full/zmall", 0), 0);
    cr_assert_eq(symlinkat("/nowhere/at all", tree->fd, "link"), 0);
    cr_assert_eq(mkfifoat(tree->fd, "fifo", 0640), 0);
    tree_file(tree, "zz\xff\n name", 5, 77);
    cr_assert_eq(fchmodat(tree->fd, "full/small", 04711, 0), 0);
    set_time(tree, "link", 1234567890, 123456789);
    set_time(tree, "full/one", -5, 999999999);
    set_time(tree, "full", 4000000000, 1);
    set_time(tree, "empty", 1, 2);
}
