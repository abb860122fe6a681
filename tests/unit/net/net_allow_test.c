#include "common/net/net_allow.h"

#include <criterion/criterion.h>

static const uint8_t alice[NET_KEY_LEN] = {1};
static const uint8_t bob[NET_KEY_LEN] = {2};
static const uint8_t carol[NET_KEY_LEN] = {1, [31] = 1};

static struct net_allow *table(enum net_unknown unknown)
{
    struct net_allow *allow = net_allow_new();
    net_allow_set_domain(allow, "data", unknown);
    net_allow_add(allow, "data", alice);
    return allow;
}

static enum net_denial_reason denied(struct net_allow *allow, const char *domain, const uint8_t *key,
                                     enum net_admission expected)
{
    enum net_denial_reason reason = NET_DENIED_MECHANISM;
    cr_assert_eq(net_allow_admit(allow, domain, key, 0, &reason), expected);
    return reason;
}

Test(net_allow, admits_a_listed_key_and_no_other)
{
    AUTO(net_allow) struct net_allow *allow = table(NET_UNKNOWN_REFUSE);
    enum net_denial_reason reason;
    cr_assert_eq(net_allow_admit(allow, "data", alice, 0, &reason), NET_ADMIT);
    cr_assert_eq(denied(allow, "data", bob, NET_DENY_FINAL), NET_DENIED_KEY);
    cr_assert_eq(denied(allow, "data", carol, NET_DENY_FINAL), NET_DENIED_KEY);
    cr_assert_eq(net_allow_standing(allow, "data", alice), NET_STANDING_ALLOWED);
    cr_assert_eq(net_allow_standing(allow, "data", bob), NET_STANDING_NONE);
}

Test(net_allow, treats_unknown_keys_as_the_domain_says)
{
    AUTO(net_allow) struct net_allow *allow = table(NET_UNKNOWN_RETRY);
    enum net_denial_reason reason;
    cr_assert_eq(denied(allow, "data", bob, NET_DENY_FOR_NOW), NET_DENIED_KEY);
    net_allow_set_domain(allow, "data", NET_UNKNOWN_PENDING);
    cr_assert_eq(net_allow_admit(allow, "data", bob, 0, &reason), NET_ADMIT);
    cr_assert_eq(net_allow_standing(allow, "data", bob), NET_STANDING_PENDING);
    cr_assert_eq(net_allow_standing(allow, "data", alice), NET_STANDING_ALLOWED);
}

Test(net_allow, a_key_counts_in_its_own_domain_only)
{
    AUTO(net_allow) struct net_allow *allow = table(NET_UNKNOWN_REFUSE);
    net_allow_set_domain(allow, "control", NET_UNKNOWN_REFUSE);
    cr_assert_eq(denied(allow, "control", alice, NET_DENY_FINAL), NET_DENIED_KEY);
    cr_assert_eq(net_allow_standing(allow, "control", alice), NET_STANDING_NONE);
}

Test(net_allow, nobody_enters_a_domain_that_is_not_declared)
{
    AUTO(net_allow) struct net_allow *allow = table(NET_UNKNOWN_PENDING);
    cr_assert_eq(denied(allow, "other", alice, NET_DENY_FINAL), NET_DENIED_DOMAIN);
    cr_assert_eq(denied(allow, "", alice, NET_DENY_FINAL), NET_DENIED_DOMAIN);
    cr_assert_eq(net_allow_standing(allow, "other", alice), NET_STANDING_NONE);
}

Test(net_allow, declaring_a_domain_again_keeps_its_keys)
{
    AUTO(net_allow) struct net_allow *allow = table(NET_UNKNOWN_REFUSE);
    net_allow_set_domain(allow, "data", NET_UNKNOWN_RETRY);
    cr_assert_eq(net_allow_standing(allow, "data", alice), NET_STANDING_ALLOWED);
}

Test(net_allow, a_removed_key_is_unknown)
{
    AUTO(net_allow) struct net_allow *allow = table(NET_UNKNOWN_REFUSE);
    net_allow_remove(allow, "data", bob);
    cr_assert_eq(net_allow_standing(allow, "data", alice), NET_STANDING_ALLOWED);
    net_allow_remove(allow, "data", alice);
    cr_assert_eq(net_allow_standing(allow, "data", alice), NET_STANDING_NONE);
}

Test(net_allow, replacing_all_leaves_exactly_the_new_keys)
{
    AUTO(net_allow) struct net_allow *allow = table(NET_UNKNOWN_REFUSE);
    const uint8_t keys[][NET_KEY_LEN] = {{2}, {1, [31] = 1}, {2}};
    net_allow_replace_all(allow, "data", keys, 3);
    cr_assert_eq(net_allow_standing(allow, "data", alice), NET_STANDING_NONE);
    cr_assert_eq(net_allow_standing(allow, "data", bob), NET_STANDING_ALLOWED);
    cr_assert_eq(net_allow_standing(allow, "data", carol), NET_STANDING_ALLOWED);
    net_allow_replace_all(allow, "data", NULL, 0);
    cr_assert_eq(net_allow_standing(allow, "data", bob), NET_STANDING_NONE);
}

static unsigned admitted_of(struct net_allow *allow, const uint8_t *key, unsigned tries, uint64_t now_s)
{
    unsigned admitted = 0;
    for (unsigned i = 0; i < tries; i++) {
        enum net_denial_reason reason = NET_DENIED_MECHANISM;
        enum net_admission admission = net_allow_admit(allow, "data", key, now_s, &reason);
        if (admission == NET_ADMIT)
            admitted++;
        else
            cr_assert(admission == NET_DENY_FOR_NOW && reason == NET_DENIED_RATE);
    }
    return admitted;
}

Test(net_allow, one_known_key_gets_so_many_admissions_in_a_window)
{
    AUTO(net_allow) struct net_allow *allow = table(NET_UNKNOWN_REFUSE);
    net_allow_add(allow, "data", bob);
    cr_assert_eq(admitted_of(allow, alice, NET_ZAP_BURST_KNOWN + 5, 100), NET_ZAP_BURST_KNOWN);
    cr_assert_eq(admitted_of(allow, bob, 1, 100), 1);
    cr_assert_eq(admitted_of(allow, alice, 1, 100 + NET_ZAP_WINDOW_S - 1), 0);
    cr_assert_eq(admitted_of(allow, alice, NET_ZAP_BURST_KNOWN + 5, 100 + NET_ZAP_WINDOW_S),
                 NET_ZAP_BURST_KNOWN);
}

Test(net_allow, all_unknown_keys_share_one_rate)
{
    AUTO(net_allow) struct net_allow *allow = table(NET_UNKNOWN_PENDING);
    cr_assert_eq(admitted_of(allow, bob, NET_ZAP_BURST, 100), NET_ZAP_BURST);
    cr_assert_eq(admitted_of(allow, carol, 1, 100), 0);
    cr_assert_eq(admitted_of(allow, alice, 1, 100), 1);
}
