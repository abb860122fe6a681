/* Vectors of tests/golden/manifest.hex. */
#ifndef SEALIFT_TEST_GOLDEN_H
#define SEALIFT_TEST_GOLDEN_H

#include "common/base/bytes.h"

/* replaces what `out` held; asserts that the vector is there */
void golden(const char *name, struct buf *out);

#endif
