#include "transporter/session/credit_pool.h"

#include <criterion/criterion.h>

#define MIB (UINT64_C(1) << 20)

Test(credit_pool, gives_the_first_what_it_asks_for_and_later_ones_half_of_what_is_left)
{
    struct credit_pool pool = {0};
    cr_assert_eq(credit_pool_take(&pool, 32 * MIB, 96 * MIB), 96 * MIB);
    cr_assert_eq(credit_pool_take(&pool, 32 * MIB, 96 * MIB), 48 * MIB);
    cr_assert_eq(credit_pool_take(&pool, 32 * MIB, 96 * MIB), 32 * MIB, "half would be less than the least");
}

Test(credit_pool, that_is_used_up_still_gives_the_least)
{
    struct credit_pool pool = {0};
    for (int i = 0; i < 100; i++)
        cr_assert_geq(credit_pool_take(&pool, 32 * MIB, 96 * MIB), 32 * MIB);
    cr_assert_eq(credit_pool_take(&pool, 0, 96 * MIB), 0);
}

Test(credit_pool, gives_again_what_came_back)
{
    struct credit_pool pool = {0};
    uint64_t all = 0;
    for (int i = 0; i < 20; i++)
        all += credit_pool_take(&pool, 32 * MIB, 96 * MIB);
    credit_pool_give(&pool, all);
    cr_assert_eq(credit_pool_take(&pool, 32 * MIB, 96 * MIB), 96 * MIB);
}

Test(credit_pool, gives_no_more_than_is_asked_for)
{
    struct credit_pool pool = {0};
    cr_assert_eq(credit_pool_take(&pool, 32 * MIB, 0), 0);
    cr_assert_eq(credit_pool_take(&pool, 32 * MIB, 8 * MIB), 8 * MIB);
    cr_assert_eq(credit_pool_take(NULL, 32 * MIB, 96 * MIB), 96 * MIB, "without one there is no limit");
}
