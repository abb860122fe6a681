#include "transporter/proxy/core/rendezvous.h"

#include <criterion/criterion.h>
#include <string.h>

static const uint8_t key[SIPHASH_KEY_LEN] = {1, 2, 3};

static struct rendezvous_name name_of(uint8_t id, uint8_t stripe, enum rendezvous_side side)
{
    return (struct rendezvous_name){.id = {id}, .stripe = stripe, .side = side};
}

static struct rendezvous_answer ask(struct rendezvous *table, struct rendezvous_name name, uint64_t caller)
{
    return rendezvous_ask(table, &name, caller, 1000);
}

Test(rendezvous, joins_the_second_side_to_the_first)
{
    AUTO(rendezvous) struct rendezvous *table = rendezvous_new(key);
    struct rendezvous_answer first = ask(table, name_of(1, 0, RENDEZVOUS_A), 11);
    cr_assert(first.partner == RENDEZVOUS_NOBODY && first.replaced == RENDEZVOUS_NOBODY);
    struct rendezvous_answer second = ask(table, name_of(1, 0, RENDEZVOUS_B), 12);
    cr_assert(second.partner == 11 && second.replaced == RENDEZVOUS_NOBODY);
}

Test(rendezvous, keeps_names_and_stripes_apart)
{
    AUTO(rendezvous) struct rendezvous *table = rendezvous_new(key);
    (void)ask(table, name_of(1, 0, RENDEZVOUS_A), 11);
    cr_assert_eq(ask(table, name_of(1, 1, RENDEZVOUS_B), 12).partner, RENDEZVOUS_NOBODY);
    cr_assert_eq(ask(table, name_of(2, 0, RENDEZVOUS_B), 13).partner, RENDEZVOUS_NOBODY);
    cr_assert_eq(ask(table, name_of(1, 0, RENDEZVOUS_B), 14).partner, 11);
    cr_assert_eq(ask(table, name_of(1, 1, RENDEZVOUS_A), 15).partner, 12);
    cr_assert_eq(ask(table, name_of(2, 0, RENDEZVOUS_A), 16).partner, 13);
}

Test(rendezvous, lets_a_newer_dial_replace_the_one_that_waits)
{
    AUTO(rendezvous) struct rendezvous *table = rendezvous_new(key);
    (void)ask(table, name_of(1, 0, RENDEZVOUS_A), 11);
    struct rendezvous_answer again = ask(table, name_of(1, 0, RENDEZVOUS_A), 21);
    cr_assert(again.replaced == 11 && again.partner == RENDEZVOUS_NOBODY &&
              again.left_alone == RENDEZVOUS_NOBODY);
    cr_assert_eq(ask(table, name_of(1, 0, RENDEZVOUS_B), 12).partner, 21);
}

Test(rendezvous, ends_the_pair_of_the_one_that_dials_again)
{
    AUTO(rendezvous) struct rendezvous *table = rendezvous_new(key);
    struct rendezvous_name a = name_of(1, 0, RENDEZVOUS_A), b = name_of(1, 0, RENDEZVOUS_B);
    (void)ask(table, a, 11);
    (void)ask(table, b, 12);
    struct rendezvous_answer again = ask(table, a, 21);
    cr_assert(again.replaced == 11 && again.left_alone == 12 && again.partner == RENDEZVOUS_NOBODY);
    rendezvous_leave(table, &a, 11); /* the old ones are closed: the new one stays */
    rendezvous_leave(table, &b, 12);
    cr_assert_eq(ask(table, b, 22).partner, 21);
}

Test(rendezvous, forgets_who_leaves)
{
    AUTO(rendezvous) struct rendezvous *table = rendezvous_new(key);
    struct rendezvous_name a = name_of(1, 0, RENDEZVOUS_A), b = name_of(1, 0, RENDEZVOUS_B);
    (void)ask(table, a, 11);
    rendezvous_leave(table, &a, 11);
    rendezvous_leave(table, &a, 11);
    cr_assert_eq(ask(table, b, 12).partner, RENDEZVOUS_NOBODY);
    (void)ask(table, a, 13);
    rendezvous_leave(table, &a, 13);
    rendezvous_leave(table, &b, 12);
    cr_assert_eq(rendezvous_expire(table, UINT64_MAX), RENDEZVOUS_NOBODY);
}

Test(rendezvous, expires_in_order_of_deadlines_and_never_who_is_joined)
{
    AUTO(rendezvous) struct rendezvous *table = rendezvous_new(key);
    struct rendezvous_name late = name_of(1, 0, RENDEZVOUS_A), soon = name_of(2, 0, RENDEZVOUS_B),
                           joined = name_of(3, 0, RENDEZVOUS_A);
    (void)rendezvous_ask(table, &late, 11, 300);
    (void)rendezvous_ask(table, &soon, 12, 200);
    (void)rendezvous_ask(table, &joined, 13, 100);
    joined.side = RENDEZVOUS_B;
    (void)rendezvous_ask(table, &joined, 14, 100);
    cr_assert_eq(rendezvous_expire(table, 199), RENDEZVOUS_NOBODY);
    cr_assert_eq(rendezvous_expire(table, 300), 12);
    cr_assert_eq(rendezvous_expire(table, 300), 11);
    cr_assert_eq(rendezvous_expire(table, UINT64_MAX), RENDEZVOUS_NOBODY);
    cr_assert_eq(rendezvous_ask(table, &joined, 24, 100).left_alone, 13, "they are still joined");
}

Test(rendezvous, holds_ten_thousand_that_wait)
{
    AUTO(rendezvous) struct rendezvous *table = rendezvous_new(key);
    struct rendezvous_name name = {.side = RENDEZVOUS_A};
    for (uint64_t i = 1; i <= 10000; i++) {
        le64_put(name.id, i);
        (void)rendezvous_ask(table, &name, i, i);
    }
    name.side = RENDEZVOUS_B;
    for (uint64_t i = 1; i <= 10000; i++) {
        le64_put(name.id, i);
        cr_assert_eq(rendezvous_ask(table, &name, 10000 + i, i).partner, i);
    }
}

Test(rendezvous, tags_differ_with_the_key_and_do_not_show_the_name)
{
    static const uint8_t other_key[SIPHASH_KEY_LEN] = {9};
    AUTO(rendezvous) struct rendezvous *table = rendezvous_new(key), *other = rendezvous_new(other_key);
    char one[RENDEZVOUS_TAG_LEN + 1], two[RENDEZVOUS_TAG_LEN + 1];
    struct rendezvous_name name = name_of(1, 0, RENDEZVOUS_A);
    rendezvous_tag(table, &name, one);
    rendezvous_tag(other, &name, two);
    cr_assert_str_neq(one, two);
    cr_assert_eq(strlen(one), RENDEZVOUS_TAG_LEN);
}
