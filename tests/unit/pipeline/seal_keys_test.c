#include "transporter/pipeline/seal_keys.h"

#include <criterion/criterion.h>
#include <string.h>

Test(seal_keys, finds_the_key_of_a_seal_that_was_added_and_of_no_other)
{
    AUTO(seal_keys) struct seal_keys *keys = seal_keys_new();
    AUTO(run_key) struct run_key *run = run_key_new();
    AUTO(run_key) struct run_key *other = run_key_new();
    struct err err;
    cr_assert(seal_keys_add(keys, run, &err));
    cr_assert_null(seal_keys_find(keys, &other->seal));
    const struct run_key *found = seal_keys_find(keys, &run->seal);
    cr_assert_not_null(found);
    cr_assert_eq(found->frames->len, run->frames->len);
    cr_assert_arr_eq(found->frames->data, run->frames->data, run->frames->len);
}

Test(seal_keys, a_seal_that_is_known_stays_as_it_is)
{
    AUTO(seal_keys) struct seal_keys *keys = seal_keys_new();
    AUTO(run_key) struct run_key *run = run_key_new();
    AUTO(run_key) struct run_key *same = run_key_new();
    struct err err;
    same->seal = run->seal;
    cr_assert(seal_keys_add(keys, run, &err));
    const struct run_key *before = seal_keys_find(keys, &run->seal);
    cr_assert(seal_keys_add(keys, same, &err));
    cr_assert_eq(seal_keys_find(keys, &run->seal), before);
    cr_assert_arr_eq(before->frames->data, run->frames->data, run->frames->len);
}

/* One guarded allocation each would take more mappings than a process may have. */
Test(seal_keys, holds_those_of_many_runs_and_moves_none)
{
    enum { COUNT = 20000 };
    static struct id seals[COUNT];
    static const struct run_key *places[COUNT];
    static uint8_t first_bytes[COUNT];
    AUTO(seal_keys) struct seal_keys *keys = seal_keys_new();
    struct err err;
    for (size_t i = 0; i < COUNT; i++) {
        AUTO(run_key) struct run_key *run = run_key_new();
        cr_assert(seal_keys_add(keys, run, &err));
        seals[i] = run->seal;
        first_bytes[i] = run->frames->data[0];
        places[i] = seal_keys_find(keys, &run->seal);
    }
    for (size_t i = 0; i < COUNT; i++) {
        const struct run_key *found = seal_keys_find(keys, &seals[i]);
        cr_assert_eq(found, places[i]);
        cr_assert(id_eq(&found->seal, &seals[i]));
        cr_assert_eq(found->frames->data[0], first_bytes[i]);
    }
}
