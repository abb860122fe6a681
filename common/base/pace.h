/* Work at a speed that is not exceeded: each who reads bytes says so, and waits as long as all bytes so far
 * should have taken. Any thread. */
#ifndef SEALIFT_BASE_PACE_H
#define SEALIFT_BASE_PACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct pace {
    uint64_t bytes_per_s; /* 0: no limit */
    uint64_t began_ms;    /* clock_steady_ms */
    _Atomic uint64_t bytes;
    const _Atomic bool *cancelled; /* ends the waiting, NULL: nothing does; borrowed */
};

/* Begins now. */
void pace_init(struct pace *pace, uint64_t bytes_per_s, const _Atomic bool *cancelled);
/* So many more bytes. `pace` may be NULL. */
void pace_wait(struct pace *pace, uint64_t bytes);

#endif
