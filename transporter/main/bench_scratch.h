/* Files that `--bench` writes to and leaves nothing of, however the process ends. */
#ifndef SEALIFT_TRANSPORTER_BENCH_SCRATCH_H
#define SEALIFT_TRANSPORTER_BENCH_SCRATCH_H

#include "common/base/err.h"

/* A new, empty file in `directory` that has no name any more. */
bool bench_scratch_open(const char *directory, int *out, struct err *err) MUST_CHECK;

#endif
