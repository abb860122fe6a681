/* A directory that a test has made, taken down with all it holds. */
#ifndef SEALIFT_TESTS_REMOVE_TREE_H
#define SEALIFT_TESTS_REMOVE_TREE_H

#include <stdbool.h>

/* Follows no symbolic link. False: something of it is still there. */
bool remove_tree(const char *path);

#endif
