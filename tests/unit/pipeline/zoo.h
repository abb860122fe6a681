/* A tree with one of every kind of entry that a restore has to bring back. */
#ifndef SEALIFT_TESTS_ZOO_H
#define SEALIFT_TESTS_ZOO_H

#include "tree.h"

enum { ZOO = 13 };
extern const char *const zoo[ZOO]; /* its paths */

void make_zoo(const struct tree *tree);

#endif
