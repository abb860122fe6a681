#include "common/net/net_denials.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct net_denial denial_of(int number)
{
    struct net_denial denial = {.reason = NET_DENIED_KEY, .domain = "data", .address = "192.0.2.1"};
    denial.key[0] = (uint8_t)number;
    denial.key[1] = (uint8_t)(number >> 8);
    return denial;
}

static bool add(struct net_denials *denials, int number)
{
    struct net_denial denial = denial_of(number);
    return net_denials_add(denials, &denial);
}

Test(net_denials, come_out_once_in_order_with_their_counts)
{
    struct net_denials denials = {0};
    struct net_denial out;
    cr_assert(add(&denials, 1));
    cr_assert(add(&denials, 2));
    cr_assert(!add(&denials, 1));
    cr_assert(net_denials_take(&denials, &out));
    cr_assert_eq(out.key[0], 1);
    cr_assert_eq(out.count, 2);
    cr_assert(net_denials_take(&denials, &out));
    cr_assert_eq(out.key[0], 2);
    cr_assert_eq(out.count, 1);
    cr_assert(!net_denials_take(&denials, &out));
    cr_assert(!add(&denials, 1));
    cr_assert(!net_denials_take(&denials, &out));
}

Test(net_denials, differ_by_reason_domain_address_and_key)
{
    struct net_denials denials = {0};
    struct net_denial denial = denial_of(1);
    cr_assert(net_denials_add(&denials, &denial));
    denial.reason = NET_DENIED_RATE;
    cr_assert(net_denials_add(&denials, &denial));
    (void)snprintf(denial.domain, sizeof(denial.domain), "control");
    cr_assert(net_denials_add(&denials, &denial));
    (void)snprintf(denial.address, sizeof(denial.address), "192.0.2.2");
    cr_assert(net_denials_add(&denials, &denial));
    denial.key[31] = 1;
    cr_assert(net_denials_add(&denials, &denial));
    cr_assert(!net_denials_add(&denials, &denial));
}

Test(net_denials, keep_the_latest_when_there_are_too_many)
{
    struct net_denials denials = {0};
    struct net_denial out;
    for (int i = 0; i < 1000; i++)
        (void)add(&denials, i);
    for (int i = 1000 - NET_DENIALS_MAX; i < 1000; i++) {
        cr_assert(net_denials_take(&denials, &out));
        cr_assert_eq(out.key[0] | out.key[1] << 8, i);
    }
    cr_assert(!net_denials_take(&denials, &out));
}
