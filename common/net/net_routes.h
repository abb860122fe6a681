/* Private to common/net: what a server remembers of its connections, by the routing ids under
 * which libzmq knows them: the key of each, whether it was refused, and how to cut it.
 *
 * libzmq numbers connections in sequence, so a table indexed by the low bits of the number holds
 * the latest NET_ROUTES_MAX of them. An older connection that still talks takes its place back. */
#ifndef SEALIFT_NET_ROUTES_H
#define SEALIFT_NET_ROUTES_H

#include "common/base/auto.h"
#include "common/base/bytes.h"
#include "common/net/net_key.h"
#include "common/net/net_line.h"

#define NET_ROUTES_MAX 4096
#define NET_ROUTE_LEN 5

struct net_route {
    bool used;
    bool refused;
    uint64_t id;
    uint8_t key[NET_KEY_LEN];
    struct net_line line;
};

struct net_routes {
    struct net_route slots[NET_ROUTES_MAX];
};

/* The number in an id that libzmq made: a zero byte and 32 bits, big-endian. A peer's own choice of
 * anything else gets a number above 2^32, and false. */
bool net_route_parse(struct span id, uint64_t *out);
void net_route_format(uint32_t route, uint8_t out[static NET_ROUTE_LEN]);

/* NULL if it is not remembered. */
struct net_route *net_routes_find(struct net_routes *routes, uint64_t id);
/* Takes the place for `id`, whoever had it. */
struct net_route *net_routes_claim(struct net_routes *routes, uint64_t id, const uint8_t *key,
                                   struct net_line line);

/* From now on refused, and the connection ended if its descriptor is still known. */
void net_route_cut(struct net_route *route);

#endif
