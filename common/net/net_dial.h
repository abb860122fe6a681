/* Private to common/net: one try to connect to an address by TCP, straight or through SOCKS5 proxies. */
#ifndef SEALIFT_NET_DIAL_H
#define SEALIFT_NET_DIAL_H

#include "common/base/secret.h"
#include "common/net/net_reach.h"
#include "common/net/net_socks.h"

#include <poll.h>

/* A proxy, and who logs in there. */
struct net_dial_proxy {
    struct host_port at;
    char *user; /* NULL: nobody */
    struct secret *password;
};
/* Copies; both may be NULL. ERR_USAGE: `at` is no HOST:PORT. ERR_CONFIG: a login that is not whole, or of
 * lengths that RFC 1929 cannot say. */
bool net_dial_proxy_init(struct net_dial_proxy *out, const char *at, const char *user,
                         const struct secret *password, struct err *err) MUST_CHECK;
void net_dial_proxy_deinit(struct net_dial_proxy *proxy);
DEFINE_AUTO_IN_PLACE(net_dial_proxy, struct net_dial_proxy, net_dial_proxy_deinit)

#define NET_DIAL_ENDINGS 2
#define NET_DIAL_PROXIES_MAX 2

struct net_dial {
    const struct host_port *target;
    const struct net_dial_proxy *proxies; /* each is asked for the one behind it, the last for the target */
    size_t proxy_count;                   /* 0: straight */
    int connect_ms; /* for TCP to connect, to all the addresses of a name together; with a proxy also for the
                       greeting and the login there; for one to say that it connected to the next */
    int answer_ms;  /* for the last proxy to say that it connected; -1: for ever. TCP's keepalive goes on */
    int silence_ms; /* TCP ends a connection whose other side acknowledges nothing for so long (to the second,
                       on one that is idle); 0: 20 s */
    struct pollfd endings[NET_DIAL_ENDINGS]; /* what ends the try when poll says so; fd -1: nothing */
};

/* The connection, non-blocking, and nothing of what the other end says read; or -1. */
int net_dial(const struct net_dial *dial, struct net_reach_result *result);

#endif
