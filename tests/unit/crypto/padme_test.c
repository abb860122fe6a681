#include "common/crypto/padme.h"

#include <criterion/criterion.h>

Test(padme, has_the_values_of_the_paper)
{
    /* PETS 2019, section 4: E = floor(log2 L), S = floor(log2 E) + 1, the last E - S bits are zero */
    static const struct {
        uint64_t length, padded;
    } rows[] = {
        {0, 0},
        {1, 1},
        {2, 2},
        {3, 3},
        {4, 4},
        {7, 7},
        {8, 8},
        {9, 10},
        {10, 10},
        {11, 12},
        {15, 16},
        {16, 16},
        {17, 18},
        {31, 32},
        {33, 36},
        {100, 104},
        {127, 128},
        {129, 144},
        {1000, 1024},
        {1023, 1024},
        {1025, 1088},
        {65537, 67584},
        {1000000, 1015808},
        {1048577, 1081344},
        {UINT64_C(1) << 40, UINT64_C(1) << 40},
        {(UINT64_C(1) << 40) + 1, (UINT64_C(1) << 40) + (UINT64_C(1) << 34)},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        cr_assert_eq(padme(rows[i].length), rows[i].padded, "padme(%lu) is %lu, not %lu", rows[i].length,
                     padme(rows[i].length), rows[i].padded);
}

Test(padme, costs_at_most_twelve_percent)
{
    for (uint64_t length = 1; length < 1 << 20; length++)
        cr_assert((padme(length) - length) * 100 <= 12 * length, "%lu", length);
    for (unsigned bit = 20; bit < 63; bit++) {
        uint64_t length = (UINT64_C(1) << bit) + 1;
        cr_assert((padme(length) - length) / (length / 100) < 12, "%lu", length);
    }
}

Test(padme, never_shortens_and_is_monotone_and_stable)
{
    uint64_t last = 0;

    for (uint64_t length = 0; length < 1 << 20; length++) {
        uint64_t padded = padme(length);
        cr_assert(padded >= length && padded >= last);
        cr_assert_eq(padme(padded), padded, "%lu", length);
        last = padded;
    }
}

Test(padme, leaves_few_lengths)
{
    uint64_t distinct = 0;

    for (uint64_t length = 1; length <= 1 << 20; length = padme(length) + 1)
        distinct++;
    cr_assert_eq(distinct, 300);
}

Test(padme, saturates_where_the_sum_leaves_64_bits)
{
    cr_assert_eq(padme(UINT64_MAX), UINT64_MAX);
    cr_assert_eq(padme(UINT64_MAX - 1), UINT64_MAX);
    cr_assert_eq(padme(UINT64_C(1) << 63), UINT64_C(1) << 63);
    cr_assert_eq(padme((UINT64_C(1) << 63) + 1), (UINT64_C(1) << 63) + (UINT64_C(1) << 57));
}
