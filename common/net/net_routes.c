#include "common/net/net_routes.h"

#include <netdb.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>

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

struct net_route *net_routes_claim(struct net_routes *routes, uint64_t id, const uint8_t *key)
{
    struct net_route *route = &routes->slots[id % NET_ROUTES_MAX];
    *route = (struct net_route){.used = true, .id = id, .fd = -1};
    memcpy(route->key, key, NET_KEY_LEN);
    return route;
}

/* Of TCP, or of a Unix socket that has a name of its own: a relay's. */
static bool peer_of(int fd, struct sockaddr_storage *peer, socklen_t *len)
{
    memset(peer, 0, sizeof(*peer));
    *len = sizeof(*peer);
    if (fd < 0 || getpeername(fd, (struct sockaddr *)peer, len) != 0) return false;
    if (peer->ss_family == AF_UNIX) return *len > offsetof(struct sockaddr_un, sun_path);
    return peer->ss_family == AF_INET || peer->ss_family == AF_INET6;
}

void net_route_attach(struct net_route *route, int fd, const char *address)
{
    struct sockaddr_storage peer;
    socklen_t len;
    char host[NI_MAXHOST];
    if (!peer_of(fd, &peer, &len)) return;
    if (getnameinfo((const struct sockaddr *)&peer, len, host, sizeof(host), NULL, 0, NI_NUMERICHOST) != 0)
        return;
    if (peer.ss_family != AF_UNIX && strcmp(host, address) != 0) return;
    route->fd = fd;
    route->peer = peer;
    route->peer_len = len;
}

void net_route_cut(struct net_route *route)
{
    struct sockaddr_storage peer;
    socklen_t len;
    route->refused = true;
    if (!peer_of(route->fd, &peer, &len)) return;
    if (len == route->peer_len && memcmp(&peer, &route->peer, len) == 0) (void)shutdown(route->fd, SHUT_RDWR);
    route->fd = -1;
}
