#include "common/net/net_routes.h"

#include "common/base/alloc.h"

#include <criterion/criterion.h>

static const uint8_t alice[NET_KEY_LEN] = {1};
static const uint8_t bob[NET_KEY_LEN] = {2};
static const struct net_line none = {.fd = -1};

Test(net_routes, only_five_bytes_after_a_zero_are_a_route_of_libzmq)
{
    uint64_t id;
    uint8_t out[NET_ROUTE_LEN];
    cr_assert(net_route_parse(span_of("\0\x12\x34\x56\x78", 5), &id));
    cr_assert_eq(id, 0x12345678);
    net_route_format((uint32_t)id, out);
    cr_assert(span_eq(span_of(out, sizeof(out)), span_of("\0\x12\x34\x56\x78", 5)));
    static const struct span chosen[] = {{(const uint8_t *)"", 0},
                                         {(const uint8_t *)"\0\x12\x34\x56", 4},
                                         {(const uint8_t *)"\0\x12\x34\x56\x78\x9a", 6},
                                         {(const uint8_t *)"\1\x12\x34\x56\x78", 5},
                                         {(const uint8_t *)"director", 8}};
    for (size_t i = 0; i < sizeof(chosen) / sizeof(chosen[0]); i++) {
        cr_assert(!net_route_parse(chosen[i], &id), "%zu", i);
        cr_assert_gt(id, UINT32_MAX);
    }
}

Test(net_routes, the_latest_ones_are_remembered_and_the_oldest_forgotten)
{
    AUTO(free) struct net_routes *routes = xcalloc(1, sizeof(*routes));
    const uint64_t first = UINT32_MAX - 10; /* the number wraps */
    cr_assert_null(net_routes_find(routes, 0));
    for (uint32_t i = 0; i <= NET_ROUTES_MAX; i++)
        (void)net_routes_claim(routes, (uint32_t)(first + i), i % 2 ? alice : bob, none);
    cr_assert_null(net_routes_find(routes, first));
    for (uint32_t i = 1; i <= NET_ROUTES_MAX; i++) {
        const struct net_route *route = net_routes_find(routes, (uint32_t)(first + i));
        cr_assert_not_null(route);
        cr_assert_eq(route->key[0], i % 2 ? 1 : 2);
    }
}

Test(net_routes, a_cut_without_a_known_descriptor_refuses_all_the_same)
{
    AUTO(free) struct net_routes *routes = xcalloc(1, sizeof(*routes));
    net_route_cut(net_routes_claim(routes, 7, alice, none));
    cr_assert(net_routes_find(routes, 7)->refused);
    cr_assert(!net_routes_claim(routes, 7, bob, none)->refused);
}
