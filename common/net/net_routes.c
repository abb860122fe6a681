#include "common/net/net_routes.h"

#include <string.h>

bool net_route_parse(struct span id, uint64_t *out)
{
    if (id.len == NET_ROUTE_LEN && id.data[0] == 0) {
        *out =
            (uint64_t)id.data[1] << 24 | (uint64_t)id.data[2] << 16 | (uint64_t)id.data[3] << 8 | id.data[4];
        return true;
    }
    uint32_t hash = 2166136261u; /* FNV-1a: a clash costs one line in a log */
    for (size_t i = 0; i < id.len; i++)
        hash = (hash ^ id.data[i]) * 16777619u;
    *out = (uint64_t)1 << 32 | hash;
    return false;
}

void net_route_format(uint32_t route, uint8_t out[static NET_ROUTE_LEN])
{
    out[0] = 0;
    for (int i = 0; i < 4; i++)
        out[1 + i] = (uint8_t)(route >> (24 - 8 * i));
}

struct net_route *net_routes_find(struct net_routes *routes, uint64_t id)
{
    struct net_route *route = &routes->slots[id % NET_ROUTES_MAX];
    return route->used && route->id == id ? route : NULL;
}

struct net_route *net_routes_claim(struct net_routes *routes, uint64_t id, const uint8_t *key,
                                   struct net_line line)
{
    struct net_route *route = &routes->slots[id % NET_ROUTES_MAX];
    *route = (struct net_route){.used = true, .id = id, .line = line};
    memcpy(route->key, key, NET_KEY_LEN);
    return route;
}

void net_route_cut(struct net_route *route)
{
    route->refused = true;
    net_line_cut(&route->line);
}
