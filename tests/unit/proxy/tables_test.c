/* SipHash against its paper, and connections counted by client. */
#include "transporter/proxy/core/address_count.h"

#include <criterion/criterion.h>

/* Aumasson and Bernstein, appendix A, and the first vectors of their reference code. */
Test(siphash, gives_the_published_values)
{
    uint8_t key[SIPHASH_KEY_LEN], input[15];
    for (uint8_t i = 0; i < sizeof(key); i++)
        key[i] = i;
    for (uint8_t i = 0; i < sizeof(input); i++)
        input[i] = i;
    cr_assert_eq(siphash(key, span_of(input, 15)), UINT64_C(0xa129ca6149be45e5));
    cr_assert_eq(siphash(key, span_of(input, 0)), UINT64_C(0x726fdb47dd0e0e31));
    cr_assert_eq(siphash(key, span_of(input, 8)), UINT64_C(0x93f5f5799a932462));
}

Test(address_count, lets_each_client_have_as_many_as_may_be)
{
    static const uint8_t key[SIPHASH_KEY_LEN] = {7};
    const uint8_t one[ADDRESS_LEN] = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 1},
                  other[ADDRESS_LEN] = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 2};
    AUTO(address_count) struct address_count *table = address_count_new(key);
    cr_assert(address_count_enter(table, one, 2) && address_count_enter(table, one, 2));
    cr_assert_not(address_count_enter(table, one, 2));
    cr_assert(address_count_enter(table, other, 2));
    address_count_leave(table, one);
    cr_assert(address_count_enter(table, one, 2));
}

Test(address_count, takes_a_network_of_ipv6_for_one_client)
{
    static const uint8_t key[SIPHASH_KEY_LEN] = {7};
    const uint8_t one[ADDRESS_LEN] = {0x20, 1, 0xd, 0xb8, [15] = 1},
                  same[ADDRESS_LEN] = {0x20, 1, 0xd, 0xb8, [8] = 9},
                  other[ADDRESS_LEN] = {0x20, 1, 0xd, 0xb8, [7] = 1, [15] = 1};
    AUTO(address_count) struct address_count *table = address_count_new(key);
    cr_assert(address_count_enter(table, one, 1));
    cr_assert_not(address_count_enter(table, same, 1));
    cr_assert(address_count_enter(table, other, 1));
}
