#include "common/net/net_key.h"

#include <criterion/criterion.h>
#include <string.h>

Test(net_key, derives_the_public_half_of_the_pair_in_the_libzmq_manual)
{
    /* zmq_curve(7), the client's pair: D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs and
     * Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID */
    static const uint8_t secret[NET_KEY_LEN] = {
        0x7b, 0xb8, 0x64, 0xb4, 0x89, 0xaf, 0xa3, 0x67, 0x1f, 0xbe, 0x69, 0x10, 0x1f, 0x94, 0xb3, 0x89,
        0x72, 0xf2, 0x48, 0x16, 0xdf, 0xb0, 0x1b, 0x51, 0x65, 0x6b, 0x3f, 0xec, 0x8d, 0xfd, 0x08, 0x88};
    static const uint8_t expected[NET_KEY_LEN] = {
        0xbb, 0x88, 0x47, 0x1d, 0x65, 0xe2, 0x65, 0x9b, 0x30, 0xc5, 0x5a, 0x53, 0x21, 0xce, 0xbb, 0x5a,
        0xab, 0x2b, 0x70, 0xa3, 0x98, 0x64, 0x5c, 0x26, 0xdc, 0xa2, 0xb2, 0xfc, 0xb4, 0x3f, 0xc5, 0x18};
    struct err err;
    AUTO(net_key) struct net_key *key = NULL;
    cr_assert(net_key_from_secret(secret, &key, &err), "%s", err.text);
    cr_assert_eq(memcmp(net_key_public(key), expected, NET_KEY_LEN), 0);
    cr_assert_eq(net_key_secret(key)->len, NET_KEY_LEN);
    cr_assert_eq(memcmp(net_key_secret(key)->data, secret, NET_KEY_LEN), 0);
}

Test(net_key, a_made_pair_comes_back_from_its_secret)
{
    struct err err;
    AUTO(net_key) struct net_key *made = NULL;
    AUTO(net_key) struct net_key *loaded = NULL;
    AUTO(net_key) struct net_key *other = NULL;
    cr_assert(net_key_make(&made, &err), "%s", err.text);
    cr_assert(net_key_make(&other, &err), "%s", err.text);
    cr_assert(net_key_from_secret(net_key_secret(made)->data, &loaded, &err), "%s", err.text);
    cr_assert_eq(memcmp(net_key_public(made), net_key_public(loaded), NET_KEY_LEN), 0);
    cr_assert_neq(memcmp(net_key_public(made), net_key_public(other), NET_KEY_LEN), 0);
}
