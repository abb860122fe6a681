/* Directories full of files to back up. All paths are relative to the tree. */
#ifndef SEALIFT_TEST_TREE_H
#define SEALIFT_TEST_TREE_H

#include "common/crypto/hash.h"

#include <sys/types.h>

struct tree {
    char path[64]; /* absolute */
    int fd;
};

/* in fast_folder() */
struct tree tree_make(void);
void tree_remove(struct tree *tree);
DEFINE_AUTO_IN_PLACE(tree, struct tree, tree_remove)

/* how many folders its path has: a manifest lists them too */
unsigned tree_depth(const struct tree *tree);

void tree_dir(const struct tree *tree, const char *path);
/* `len` bytes that follow from the seed, as chunk_fill */
void tree_file(const struct tree *tree, const char *path, uint64_t seed, size_t len);
/* writes over a part of a file, or beyond its end */
void tree_write(const struct tree *tree, const char *path, off_t offset, uint64_t seed, size_t len);
void tree_truncate(const struct tree *tree, const char *path, off_t len);
/* `dirs` directories of `files` files of 0 to `most` bytes each */
void tree_many(const struct tree *tree, unsigned dirs, unsigned files, size_t most);
/* the hash of the whole file as it is now */
struct hash tree_hash(const struct tree *tree, const char *path);
/* the path in the manifest: without the leading '/'; good until the next call */
const char *tree_name(const struct tree *tree, const char *path);

#endif
