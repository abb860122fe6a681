/* The data that `--bench` measures with: the beginning of what a path holds, read as a backup reads it, or
 * made up. Also how fast it was read. */
#ifndef SEALIFT_TRANSPORTER_BENCH_SAMPLE_H
#define SEALIFT_TRANSPORTER_BENCH_SAMPLE_H

#include "common/base/bytes.h"
#include "common/base/err.h"

enum {
    BENCH_SAMPLE_MOST = 32 << 20, /* bytes kept */
    BENCH_READ_MS = 1000,         /* how long reading may take */
};

struct bench_sample {
    struct buf bytes;
    uint64_t files;      /* that were read; 0: the data is made up */
    uint64_t read_bytes; /* may be more than was kept */
    uint64_t read_ms;
};
void bench_sample_deinit(struct bench_sample *sample);
DEFINE_AUTO_IN_PLACE(bench_sample, struct bench_sample, bench_sample_deinit)

/* The files at and below `path`, in the order of a backup, until time or data are over: walked by the
 * source's threads, opened and read by this one. What cannot be read is left out; ERR_NOT_FOUND if nothing is
 * left. */
bool bench_sample_read(const char *path, struct bench_sample *out, struct err *err) MUST_CHECK;
/* Data of which LZ4 leaves about two thirds, the same each time, written to a file in `store` and read back.
 */
bool bench_sample_make(const char *store, struct bench_sample *out, struct err *err) MUST_CHECK;

#endif
