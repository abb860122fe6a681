/* Private to common/net: the client's half of SOCKS5 (RFC 1928) without authentication, as bytes. */
#ifndef SEALIFT_NET_SOCKS_H
#define SEALIFT_NET_SOCKS_H

#include "common/base/bytes.h"
#include "common/base/err.h"

#define NET_HOST_MAX 255

/* HOST:PORT, taken apart; brackets around an IPv6 address are gone. */
struct net_host_port {
    char host[NET_HOST_MAX + 1];
    uint16_t port;
};
/* ERR_CONFIG unless it is a host of 1 to NET_HOST_MAX characters and a port of 1 to 65535. */
bool net_host_port_parse(const char *text, struct net_host_port *out, struct err *err) MUST_CHECK;

/* What is sent: the greeting, then the request to connect. Names go to the proxy unresolved. */
#define NET_SOCKS_REQUEST_MAX (4 + 1 + NET_HOST_MAX + 2)
extern const uint8_t net_socks_greeting[3];
size_t net_socks_request(const struct net_host_port *target, uint8_t out[static NET_SOCKS_REQUEST_MAX]);

/* What comes back is read in parts, for behind it the other end's bytes begin: NET_SOCKS_CHOICE_LEN
 * bytes after the greeting; after the request NET_SOCKS_REPLY_HEAD_LEN and then as many as those say. */
#define NET_SOCKS_CHOICE_LEN 2
#define NET_SOCKS_REPLY_HEAD_LEN 5
#define NET_SOCKS_REPLY_TAIL_MAX 257
bool net_socks_check_choice(const uint8_t choice[static NET_SOCKS_CHOICE_LEN], struct err *err) MUST_CHECK;
bool net_socks_check_reply(const uint8_t head[static NET_SOCKS_REPLY_HEAD_LEN], size_t *tail_len,
                           struct err *err) MUST_CHECK;

#endif
