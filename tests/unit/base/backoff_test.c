#include "common/base/backoff.h"

#include <criterion/criterion.h>

Test(backoff, doubles_from_the_first_to_the_longest_and_begins_anew)
{
    static const uint64_t pauses[] = {250, 500, 1000, 1500, 1500};
    struct backoff backoff = {.first_ms = 250, .most_ms = 1500};
    for (size_t i = 0; i < sizeof(pauses) / sizeof(pauses[0]); i++)
        cr_assert_eq(backoff_step(&backoff), pauses[i], "%zu", i);
    backoff_reset(&backoff);
    cr_assert_eq(backoff_step(&backoff), 250);
}

Test(backoff, of_one_length_stays_so)
{
    struct backoff backoff = {.first_ms = 1, .most_ms = 1};
    for (int i = 0; i < 3; i++)
        cr_assert_eq(backoff_step(&backoff), 1);
    backoff = (struct backoff){.first_ms = UINT64_MAX / 2 + 1, .most_ms = UINT64_MAX};
    (void)backoff_step(&backoff);
    cr_assert_eq(backoff_step(&backoff), UINT64_MAX);
}

Test(backoff, is_blurred_to_no_less_than_half_and_no_more_than_all)
{
    static const uint32_t noises[] = {0, 1, 499, 500, 501, UINT32_MAX};
    for (size_t i = 0; i < sizeof(noises) / sizeof(noises[0]); i++) {
        uint64_t pause_ms = backoff_blur(1000, noises[i]);
        cr_assert(pause_ms >= 500 && pause_ms <= 1000, "%zu: %llu", i, (unsigned long long)pause_ms);
    }
    cr_assert_eq(backoff_blur(1000, 0), 1000);
    cr_assert_eq(backoff_blur(1000, 500), 500);
    cr_assert_eq(backoff_blur(0, 7), 0);
}

Test(backoff, by_chance_is_within_the_same)
{
    struct backoff backoff = {.first_ms = 100, .most_ms = 100};
    for (int i = 0; i < 1000; i++) {
        uint64_t pause_ms = backoff_pause(&backoff);
        cr_assert(pause_ms >= 50 && pause_ms <= 100);
    }
}
