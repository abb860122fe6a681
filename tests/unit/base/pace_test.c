/* Who reads too fast waits, and not longer than the work goes on. */
#include "common/base/clock.h"
#include "common/base/pace.h"

#include <criterion/criterion.h>
#include <stddef.h>

Test(pace, of_many_small_reads_is_that_of_all_bytes)
{
    struct pace pace;
    uint64_t before_ms = clock_steady_ms();
    pace_init(&pace, 100000, NULL);
    for (int i = 0; i < 100; i++)
        pace_wait(&pace, 100);
    cr_assert_geq(clock_steady_ms() - before_ms, 99);
}

Test(pace, holds_nobody_without_a_limit_or_once_it_is_cancelled, .timeout = 60)
{
    static const _Atomic bool cancelled = true;
    struct pace pace;
    pace_wait(NULL, UINT64_MAX / 2);
    pace_init(&pace, 0, NULL);
    pace_wait(&pace, UINT64_MAX / 2);
    pace_init(&pace, 1, &cancelled);
    pace_wait(&pace, UINT64_MAX / 2);
    cr_assert(atomic_load(&cancelled));
}
