#include "common/net/net_routes.h"

#include "common/base/alloc.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <unistd.h>

static const uint8_t alice[NET_KEY_LEN] = {1};
static const uint8_t bob[NET_KEY_LEN] = {2};

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
        (void)net_routes_claim(routes, (uint32_t)(first + i), i % 2 ? alice : bob);
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
    struct net_route *route = net_routes_claim(routes, 7, alice);
    net_route_attach(route, -1, "127.0.0.1");
    net_route_attach(route, STDERR_FILENO, "127.0.0.1");
    cr_assert_eq(route->fd, -1);
    net_route_cut(route);
    cr_assert(net_routes_find(routes, 7)->refused);
    cr_assert(!net_routes_claim(routes, 7, bob)->refused);
}

/* Two connected TCP sockets on loopback. */
struct connection {
    int ends[2];
};

static struct connection connect_pair(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(address);
    AUTO(fd) int listener = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert(bind(listener, (struct sockaddr *)&address, len) == 0 && listen(listener, 1) == 0);
    cr_assert_eq(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    struct connection pair;
    pair.ends[0] = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(connect(pair.ends[0], (struct sockaddr *)&address, len), 0);
    pair.ends[1] = accept(listener, NULL, NULL);
    cr_assert_geq(pair.ends[1], 0);
    return pair;
}

static bool is_cut(const struct connection *pair)
{
    char byte;
    return recv(pair->ends[0], &byte, 1, MSG_DONTWAIT) == 0;
}

static void close_pair(struct connection *pair)
{
    close(pair->ends[0]);
    close(pair->ends[1]);
}
DEFINE_AUTO_IN_PLACE(connection, struct connection, close_pair)

Test(net_routes, a_cut_ends_the_connection_it_was_attached_to)
{
    AUTO(connection) struct connection pair = connect_pair();
    struct net_route route = {.fd = -1};
    net_route_attach(&route, pair.ends[1], "127.0.0.1");
    cr_assert(!is_cut(&pair));
    net_route_cut(&route);
    cr_assert(is_cut(&pair));
}

Test(net_routes, a_descriptor_of_another_address_is_not_attached)
{
    AUTO(connection) struct connection pair = connect_pair();
    struct net_route route = {.fd = -1};
    net_route_attach(&route, pair.ends[1], "127.0.0.2");
    net_route_cut(&route);
    cr_assert(!is_cut(&pair));
}

Test(net_routes, a_cut_spares_a_descriptor_that_went_to_another_connection)
{
    AUTO(connection) struct connection old = connect_pair();
    AUTO(connection) struct connection young = connect_pair();
    struct net_route route = {.fd = -1};
    net_route_attach(&route, old.ends[1], "127.0.0.1");
    cr_assert_geq(dup2(young.ends[1], old.ends[1]), 0);
    net_route_cut(&route);
    cr_assert(!is_cut(&young));
}
