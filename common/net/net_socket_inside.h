/* A socket from the inside. Private to net_socket*.c: net_socket.c makes it, and lets it listen and dial;
 * net_socket_messages.c sends, receives, and judges what comes. */
#ifndef SEALIFT_NET_SOCKET_INSIDE_H
#define SEALIFT_NET_SOCKET_INSIDE_H

#include "common/net/net_socket.h"

struct net_guard;
struct net_relay;
struct net_routes;

/* What a message frame may grow by under CURVE (33 bytes today): MAXMSGSIZE counts it. */
#define CURVE_OVERHEAD 64

/* A NET_CONNECT through a relay. */
struct proxied {
    struct proxied *next;
    char *address;
    struct net_relay *relay;
};

struct net_socket {
    void *handle;
    struct net_context *context;
    enum net_role role;
    uint32_t max_payload;
    uint8_t server_key[NET_KEY_LEN]; /* client */
    bool server_at_fault;            /* client */
    int server_fd;                   /* client: through which the server spoke last; -1: not yet */
    struct net_zap *zap;             /* server */
    char domain[NET_DOMAIN_MAX + 1]; /* server */
    struct net_routes *routes;       /* server */
    struct net_guard *guard;         /* the monitor's, where there is one */
    char bound[128];
    struct proxied *proxied;
    int recv_queue;
    int linger_ms;
    int connect_timeout_ms;
    int handshake_timeout_ms;
    int heartbeat_timeout_ms;
    int reconnect_ms;
    int reconnect_max_ms;
};

#endif
