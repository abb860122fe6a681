/* The filter of what is needed. */
#include "sweeping.h"

#include "transporter/repository/live_set.h"

#include <criterion/criterion.h>

/* --- the filter --- */

Test(live_set, takes_no_more_than_its_limit_for_any_number_of_ids)
{
    AUTO(live_set) struct live_set set;
    live_set_init(&set, UINT64_MAX);
    cr_assert_eq((set.block_mask + 1) * 64, LIVE_SET_MOST_BYTES);
    static const uint8_t id[ID_LEN] = {1, 2, 3};
    cr_assert_not(live_set_has(&set, id));
    live_set_add(&set, id);
    cr_assert(live_set_has(&set, id));
}

Test(live_set, finds_all_that_was_added_and_few_others)
{
    AUTO(live_set) struct live_set set;
    live_set_init(&set, 100000);
    uint64_t wrong = 0;
    for (uint32_t i = 0; i < 200000; i++) {
        struct hash id = hash_of(span_of(&i, sizeof(i)));
        if (i % 2) live_set_add(&set, id.bytes);
    }
    for (uint32_t i = 0; i < 200000; i++) {
        struct hash id = hash_of(span_of(&i, sizeof(i)));
        bool found = live_set_has(&set, id.bytes);
        cr_assert(found || i % 2 == 0);
        wrong += found && i % 2 == 0;
    }
    cr_assert_lt(wrong, 500, "%llu of 100,000", (unsigned long long)wrong);
}
