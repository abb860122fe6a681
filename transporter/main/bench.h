/* `sealift-transporter --bench`: how fast each stage of a backup is on this machine, alone: reading, cutting,
 * hashing, compressing, sealing, sending, storing. Needs no configuration, changes nothing, takes some
 * seconds.
 *
 * Every stage runs on one thread (sending on one at each end, and libzmq's own) over the same data: what is
 * at `path`, from the page cache if it is there, or made-up data. A backup runs them side by side on all
 * processors, so that none of these figures is a backup's. */
#ifndef SEALIFT_TRANSPORTER_BENCH_H
#define SEALIFT_TRANSPORTER_BENCH_H

#include "common/base/err.h"

struct bench_options {
    const char *path;  /* a file or directory to read; NULL: data is made up */
    const char *store; /* the directory that is written to, by files without a name */
    enum { BENCH_TABLE, BENCH_JSON } format;
};

/* Prints to standard output. Nothing but a whole result is printed. */
bool bench_run(const struct bench_options *options, struct err *err) MUST_CHECK;

#endif
