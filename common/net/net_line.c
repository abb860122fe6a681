#include "common/net/net_line.h"

#include "common/base/tcp.h"
#include "common/net/net_tally.h"

#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

struct peer {
    struct sockaddr_storage address;
    socklen_t len;
};

static bool peer_of(int fd, struct peer *out)
{
    memset(out, 0, sizeof(*out));
    out->len = sizeof(out->address);
    if (fd < 0 || getpeername(fd, (struct sockaddr *)&out->address, &out->len) != 0) return false;
    if (out->address.ss_family == AF_UNIX) return out->len > offsetof(struct sockaddr_un, sun_path);
    return out->address.ss_family == AF_INET || out->address.ss_family == AF_INET6;
}

/* FNV-1a */
static uint64_t hash_of(const struct peer *peer)
{
    const unsigned char *bytes = (const unsigned char *)&peer->address;
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < peer->len; i++)
        hash = (hash ^ bytes[i]) * 1099511628211u;
    return hash;
}

static bool leads_to(const struct peer *peer, const char *address)
{
    char host[NI_MAXHOST];
    if (peer->address.ss_family == AF_UNIX) return true;
    return getnameinfo((const struct sockaddr *)&peer->address, peer->len, host, sizeof(host), NULL, 0,
                       NI_NUMERICHOST) == 0 &&
           strcmp(host, address) == 0;
}

struct net_line net_line_of(int fd, const char *address)
{
    struct peer peer;
    if (!peer_of(fd, &peer) || (address && !leads_to(&peer, address))) return (struct net_line){.fd = -1};
    return (struct net_line){.fd = fd, .peer = hash_of(&peer)};
}

static bool is_same(const struct net_line *line, struct peer *out)
{
    return peer_of(line->fd, out) && hash_of(out) == line->peer;
}

/* Behind an abstract name: what its relay has brought in. */
static bool relay_received(const struct peer *peer, uint64_t *out)
{
    const struct sockaddr_un *address = (const struct sockaddr_un *)(const void *)&peer->address;
    const size_t begin = offsetof(struct sockaddr_un, sun_path) + 1;
    const size_t len = peer->len > begin ? peer->len - begin : 0;
    char name[sizeof(address->sun_path)];
    if (address->sun_path[0] != '\0' || len == 0 || len >= sizeof(name)) return false;
    memcpy(name, address->sun_path + 1, len);
    name[len] = '\0';
    return net_tally_read(name, out);
}

bool net_line_received(const struct net_line *line, uint64_t *out)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof(info);
    struct peer peer;
    if (!is_same(line, &peer)) return false;
    if (peer.address.ss_family == AF_UNIX) return relay_received(&peer, out);
    if (getsockopt(line->fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return false;
    if (size < offsetof(struct tcp_info, tcpi_bytes_received) + sizeof(info.tcpi_bytes_received))
        return false;
    *out = info.tcpi_bytes_received;
    return true;
}

bool net_line_unread(const struct net_line *line)
{
    int unread = 0;
    struct peer peer;
    return is_same(line, &peer) && ioctl(line->fd, SIOCINQ, &unread) == 0 && unread > 0;
}

/* Whether it is TCP, and its kernel tells as much of it as is used here. */
static bool info_of(const struct net_line *line, struct tcp_info *out)
{
    socklen_t size = sizeof(*out);
    struct peer peer;
    *out = (struct tcp_info){0};
    return is_same(line, &peer) && peer.address.ss_family != AF_UNIX &&
           getsockopt(line->fd, IPPROTO_TCP, TCP_INFO, out, &size) == 0 &&
           size >= offsetof(struct tcp_info, tcpi_bytes_acked) + sizeof(out->tcpi_bytes_acked);
}

uint64_t net_line_trip_us(const struct net_line *line)
{
    struct peer peer;
    return is_same(line, &peer) ? tcp_trip_us(line->fd) : 0;
}

uint64_t net_line_acked(const struct net_line *line)
{
    struct tcp_info info;
    return info_of(line, &info) ? info.tcpi_bytes_acked : 0;
}

void net_line_keep_short(const struct net_line *line)
{
    struct peer peer;
    if (is_same(line, &peer)) tcp_keep_short(line->fd);
}

void net_line_address(const struct net_line *line, char *out, size_t size)
{
    struct peer peer;
    char host[NI_MAXHOST];
    static const char mapped[] = "::ffff:";
    out[0] = '\0';
    if (!peer_of(line->fd, &peer) || peer.address.ss_family == AF_UNIX ||
        getnameinfo((const struct sockaddr *)&peer.address, peer.len, host, sizeof(host), NULL, 0,
                    NI_NUMERICHOST) != 0)
        return;
    const bool is_mapped = strncmp(host, mapped, strlen(mapped)) == 0 && strchr(host, '.');
    (void)snprintf(out, size, "%s", is_mapped ? host + strlen(mapped) : host);
}

void net_line_cut(struct net_line *line)
{
    struct peer peer;
    if (is_same(line, &peer)) (void)shutdown(line->fd, SHUT_RDWR);
    line->fd = -1;
}
