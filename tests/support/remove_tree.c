#include "tests/support/remove_tree.h"

#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>

/* A test may have closed a directory to its owner. */
static int open_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    if (kind == FTW_D || kind == FTW_DNR) (void)chmod(path, 0700);
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    return remove(path);
}

bool remove_tree(const char *path)
{
    enum { DESCRIPTORS = 16 };
    (void)nftw(path, open_one, DESCRIPTORS, FTW_PHYS);
    return nftw(path, remove_one, DESCRIPTORS, FTW_DEPTH | FTW_PHYS) == 0;
}
