/* Who logs in at which SOCKS5 proxy (RFC 1929). Each dial asks anew: what is changed here holds for the next
 * one, also of sockets that have dialled before. Any thread. */
#ifndef SEALIFT_NET_LOGINS_H
#define SEALIFT_NET_LOGINS_H

#include "common/base/auto.h"
#include "common/base/err.h"
#include "common/base/secret.h"

struct net_logins;
struct net_dial_proxy; /* net_dial.h */

struct net_logins *net_logins_new(void);
void net_logins_free(struct net_logins *logins);
DEFINE_AUTO(net_logins, struct net_logins *, net_logins_free)

/* Copies; the password crosses the network as it is: SOCKS5 has no encryption. `proxy` is HOST:PORT; of two
 * for one proxy the first counts. ERR_USAGE, ERR_CONFIG: as net_dial_proxy_init. */
bool net_logins_add(struct net_logins *logins, const char *proxy, const char *user,
                    const struct secret *password, struct err *err) MUST_CHECK;
/* `logins` is what `from` was, and the other way round. `from` is the caller's alone. */
void net_logins_swap(struct net_logins *logins, struct net_logins *from);
/* Gives the proxy copies of its login, unless it has one of its own or there is none. */
void net_logins_find(struct net_logins *logins, struct net_dial_proxy *proxy);

#endif
