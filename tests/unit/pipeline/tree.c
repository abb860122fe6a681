#include "tree.h"

#include "chunks.h"
#include "common/base/file.h"
#include "tests/support/fast_folder.h"
#include "tests/support/remove_tree.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct tree tree_make(void)
{
    struct tree tree = {0};
    (void)snprintf(tree.path, sizeof(tree.path), "%s/sealift-tree-XXXXXX", fast_folder());
    cr_assert_not_null(mkdtemp(tree.path));
    tree.fd = open(tree.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cr_assert(tree.fd >= 0);
    return tree;
}

unsigned tree_depth(const struct tree *tree)
{
    unsigned depth = 0;
    for (const char *at = tree->path; *at; at++)
        depth += *at == '/';
    return depth;
}

void tree_remove(struct tree *tree)
{
    (void)close(tree->fd);
    (void)remove_tree(tree->path);
}

void tree_dir(const struct tree *tree, const char *path)
{
    cr_assert_eq(mkdirat(tree->fd, path, 0755), 0, "%s", path);
}

void tree_write(const struct tree *tree, const char *path, off_t offset, uint64_t seed, size_t len)
{
    AUTO(buf) struct buf bytes = {0};
    AUTO(fd) int fd = openat(tree->fd, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    struct err err = {0};
    cr_assert(fd >= 0, "%s", path);
    chunk_fill(&bytes, seed, len);
    cr_assert(fd_pwrite_all(fd, buf_span(&bytes), (uint64_t)offset, path, &err), "%s", err.text);
}

void tree_file(const struct tree *tree, const char *path, uint64_t seed, size_t len)
{
    tree_write(tree, path, 0, seed, len);
}

void tree_truncate(const struct tree *tree, const char *path, off_t len)
{
    AUTO(fd) int fd = openat(tree->fd, path, O_WRONLY | O_CLOEXEC);
    cr_assert(fd >= 0 && ftruncate(fd, len) == 0, "%s", path);
}

void tree_many(const struct tree *tree, unsigned dirs, unsigned files, size_t most)
{
    for (unsigned d = 0; d < dirs; d++) {
        char path[64];
        (void)snprintf(path, sizeof(path), "dir%03u", d);
        tree_dir(tree, path);
        for (unsigned f = 0; f < files; f++) {
            (void)snprintf(path, sizeof(path), "dir%03u/file%04u", d, f);
            uint64_t seed = (uint64_t)d * files + f + 1;
            tree_file(tree, path, seed, (size_t)(seed * 2654435761u % (most + 1)));
        }
    }
}

struct hash tree_hash(const struct tree *tree, const char *path)
{
    AUTO(buf) struct buf bytes = {0};
    struct err err = {0};
    cr_assert(file_read(tree->fd, path, SIZE_MAX, &bytes, &err), "%s", err.text);
    return hash_of(buf_span(&bytes));
}

const char *tree_name(const struct tree *tree, const char *path)
{
    static char name[4096];
    (void)snprintf(name, sizeof(name), "%s/%s", tree->path + 1, path);
    return name;
}
