/* The vectors of tests/golden: lines of a name and hex digits. A missing one fails the test. */
#ifndef SEALIFT_TEST_GOLDEN_H
#define SEALIFT_TEST_GOLDEN_H

#include "common/base/bytes.h"

/* `file` without ".hex"; the caller releases the buffer */
struct buf golden(const char *file, const char *name);

#endif
