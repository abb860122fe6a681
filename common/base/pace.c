#include "common/base/pace.h"

#include "common/base/clock.h"

#include <stddef.h>
#include <time.h>

enum { SLICE_MS = 100 };

void pace_init(struct pace *pace, uint64_t bytes_per_s, const _Atomic bool *cancelled)
{
    pace->bytes_per_s = bytes_per_s;
    pace->began_ms = clock_steady_ms();
    atomic_init(&pace->bytes, 0);
    pace->cancelled = cancelled;
}

static bool is_cancelled(const struct pace *pace)
{
    return pace->cancelled && atomic_load(pace->cancelled);
}

void pace_wait(struct pace *pace, uint64_t bytes)
{
    if (!pace || pace->bytes_per_s == 0) return;
    double due_s = (double)(atomic_fetch_add(&pace->bytes, bytes) + bytes) / (double)pace->bytes_per_s;
    uint64_t due_ms = pace->began_ms + (uint64_t)(due_s * 1000);
    for (uint64_t now = clock_steady_ms(); now < due_ms && !is_cancelled(pace); now = clock_steady_ms()) {
        uint64_t wait_ms = due_ms - now < SLICE_MS ? due_ms - now : SLICE_MS;
        struct timespec pause = {.tv_nsec = (long)wait_ms * 1000000};
        (void)nanosleep(&pause, NULL);
    }
}
