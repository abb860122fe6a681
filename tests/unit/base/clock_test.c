#include "common/base/clock.h"

#include <criterion/criterion.h>
#include <time.h>

/* Not by time(): it reads a coarser clock, which is behind by up to a tick. */
static uint64_t machine_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

Test(clock, real_time_is_that_of_the_machine)
{
    uint64_t before_ns = machine_ns();
    uint64_t now_ns = clock_real_ns();
    cr_assert_geq(now_ns, before_ns);
    cr_assert_leq(now_ns, machine_ns());
}

Test(clock, a_wait_ends_at_its_moment_and_not_before)
{
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t never = PTHREAD_COND_INITIALIZER;
    uint64_t until_ms = clock_steady_ms() + 20;
    struct timespec began, ended;
    (void)clock_gettime(CLOCK_MONOTONIC, &began);
    (void)pthread_mutex_lock(&lock);
    while (clock_steady_ms() < until_ms)
        clock_wait(&never, &lock, until_ms);
    (void)pthread_mutex_unlock(&lock);
    (void)clock_gettime(CLOCK_MONOTONIC, &ended);
    double waited_ms =
        (double)(ended.tv_sec - began.tv_sec) * 1e3 + (double)(ended.tv_nsec - began.tv_nsec) / 1e6;
    cr_assert_gt(waited_ms, 18.0);
}

Test(clock, a_wait_for_a_moment_that_has_passed_returns)
{
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t never = PTHREAD_COND_INITIALIZER;
    (void)pthread_mutex_lock(&lock);
    clock_wait(&never, &lock, 0);
    clock_wait(&never, &lock, clock_steady_ms());
    (void)pthread_mutex_unlock(&lock);
}

Test(clock, a_time_that_64_bits_do_not_hold_is_the_nearest)
{
    static const struct {
        struct timespec time;
        int64_t ns;
    } cases[] = {
        {{.tv_sec = 1, .tv_nsec = 7}, 1000000007},
        {{.tv_sec = -1, .tv_nsec = 7}, -999999993},
        {{.tv_sec = 9223372036, .tv_nsec = 854775807}, INT64_MAX},
        {{.tv_sec = 9223372036, .tv_nsec = 854775808}, INT64_MAX},
        {{.tv_sec = INT64_MAX}, INT64_MAX},
        {{.tv_sec = INT64_MIN, .tv_nsec = 999999999}, INT64_MIN},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        cr_assert_eq(clock_ns_of(&cases[i].time), cases[i].ns, "case %zu", i);
}
