/* An empty directory of a test's own, removed with all it holds. */
#ifndef SEALIFT_TEST_SCRATCH_H
#define SEALIFT_TEST_SCRATCH_H

#include "common/base/auto.h"

struct scratch {
    char path[256];
    int fd;
};

struct scratch scratch_make(void);
void scratch_remove(struct scratch *scratch);
DEFINE_AUTO_IN_PLACE(scratch, struct scratch, scratch_remove)
/* how many names it holds */
int scratch_count(const struct scratch *scratch);

#endif
