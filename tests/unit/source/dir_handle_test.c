#include "transporter/source/dir_handle.h"

#include "tree.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

static struct dir_handle *child_of(const struct tree *tree, struct dir_handle *parent, const char *path,
                                   const char *name)
{
    struct stat st;
    cr_assert_eq(fstatat(tree->fd, path, &st, AT_SYMLINK_NOFOLLOW), 0);
    return dir_handle_child(parent, span_str(name), st.st_dev, st.st_ino);
}

/* Whether the handle's descriptor is of this directory. */
static void expect_dir(const struct tree *tree, struct dir_handle *dir, const char *path)
{
    struct stat expected, found;
    struct err err;
    int fd;
    cr_assert_eq(fstatat(tree->fd, path, &expected, 0), 0);
    cr_assert(dir_handle_get(dir, &fd, &err), "%s", err.text);
    cr_assert_eq(fstat(fd, &found), 0);
    cr_assert_eq(found.st_ino, expected.st_ino);
    dir_handle_put(dir);
}

static unsigned open_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    cr_assert_not_null(dir);
    unsigned count = 0;
    while (readdir(dir))
        count++;
    (void)closedir(dir);
    return count;
}

Test(dir_handle, opens_again_what_was_closed)
{
    AUTO(tree) struct tree tree = tree_make();
    put_dir(&tree, "a");
    put_dir(&tree, "a/b");
    put_dir(&tree, "c");
    AUTO(dir_pool) struct dir_pool *pool = dir_pool_new(1);
    AUTO(dir_handle) struct dir_handle *root = NULL;
    struct err err;
    cr_assert(dir_handle_root(pool, tree.path, &root, &err), "%s", err.text);
    AUTO(dir_handle) struct dir_handle *a = child_of(&tree, root, "a", "a");
    AUTO(dir_handle) struct dir_handle *b = child_of(&tree, a, "a/b", "b");
    AUTO(dir_handle) struct dir_handle *c = child_of(&tree, root, "c", "c");
    for (unsigned i = 0; i < 3; i++) {
        expect_dir(&tree, b, "a/b");
        expect_dir(&tree, c, "c");
        expect_dir(&tree, a, "a");
    }
}

Test(dir_handle, keeps_few_descriptors_open)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(dir_pool) struct dir_pool *pool = dir_pool_new(8);
    AUTO(dir_handle) struct dir_handle *root = NULL;
    struct dir_handle *dirs[200];
    struct err err;
    cr_assert(dir_handle_root(pool, tree.path, &root, &err), "%s", err.text);
    unsigned before = open_descriptors();
    for (unsigned i = 0; i < 200; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "%u", i);
        put_dir(&tree, name);
        dirs[i] = child_of(&tree, root, name, name);
        expect_dir(&tree, dirs[i], name);
    }
    cr_assert_leq(open_descriptors(), before + 8);
    for (unsigned i = 0; i < 200; i++)
        dir_handle_unref(dirs[i]);
    cr_assert_eq(open_descriptors(), before);
}

Test(dir_handle, a_used_descriptor_stays_open)
{
    AUTO(tree) struct tree tree = tree_make();
    put_dir(&tree, "a");
    put_dir(&tree, "b");
    AUTO(dir_pool) struct dir_pool *pool = dir_pool_new(1);
    AUTO(dir_handle) struct dir_handle *root = NULL;
    struct err err;
    int fd, again;
    cr_assert(dir_handle_root(pool, tree.path, &root, &err), "%s", err.text);
    AUTO(dir_handle) struct dir_handle *a = child_of(&tree, root, "a", "a");
    AUTO(dir_handle) struct dir_handle *b = child_of(&tree, root, "b", "b");
    cr_assert(dir_handle_get(a, &fd, &err), "%s", err.text);
    for (unsigned i = 0; i < 5; i++)
        expect_dir(&tree, b, "b");
    cr_assert(dir_handle_get(a, &again, &err), "%s", err.text);
    cr_assert_eq(fd, again);
    dir_handle_put(a);
    dir_handle_put(a);
}

/* With the pool's one descriptor taken by another directory, so that it must be opened anew. */
Test(dir_handle, refuses_whatever_took_the_place)
{
    AUTO(tree) struct tree tree = tree_make();
    put_dir(&tree, "a");
    put_dir(&tree, "outside");
    AUTO(dir_pool) struct dir_pool *pool = dir_pool_new(1);
    AUTO(dir_handle) struct dir_handle *root = NULL;
    struct err err;
    int fd;
    cr_assert(dir_handle_root(pool, tree.path, &root, &err), "%s", err.text);
    AUTO(dir_handle) struct dir_handle *a = child_of(&tree, root, "a", "a");
    AUTO(dir_handle) struct dir_handle *other = child_of(&tree, root, "outside", "outside");
    expect_dir(&tree, a, "a");
    expect_dir(&tree, other, "outside");

    cr_assert_eq(renameat(tree.fd, "a", tree.fd, "moved"), 0);
    cr_assert(!dir_handle_get(a, &fd, &err));
    cr_assert_eq(err.code, ERR_NOT_FOUND);
    put_symlink(&tree, "a", "outside");
    cr_assert(!dir_handle_get(a, &fd, &err));
    cr_assert_eq(err.code, ERR_FAILED, "a symbolic link");
    cr_assert_eq(unlinkat(tree.fd, "a", 0), 0);
    put_dir(&tree, "a");
    cr_assert(!dir_handle_get(a, &fd, &err));
    cr_assert_eq(err.code, ERR_FAILED, "another directory");
    cr_assert_eq(unlinkat(tree.fd, "a", AT_REMOVEDIR), 0);
    put_file(&tree, "a", "");
    cr_assert(!dir_handle_get(a, &fd, &err));
    cr_assert_eq(err.code, ERR_FAILED, "a file");
    cr_assert_eq(unlinkat(tree.fd, "a", 0), 0);
    cr_assert_eq(renameat(tree.fd, "moved", tree.fd, "a"), 0);
    expect_dir(&tree, a, "a");
}
