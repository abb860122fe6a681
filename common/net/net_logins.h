/* Who logs in at which SOCKS5 proxy (RFC 1929). Each dial asks anew: what is changed here holds for the next
 * one, also of sockets that have dialled before. Any thread. */
#ifndef SEALIFT_NET_LOGINS_H
#define SEALIFT_NET_LOGINS_H

#include "common/base/auto.h"
#include "common/base/err.h"
#include "common/base/login.h"

struct net_logins;
struct net_dial_proxy; /* net_dial.h */

struct net_logins *net_logins_new(void);
void net_logins_free(struct net_logins *logins);
DEFINE_AUTO(net_logins, struct net_logins *, net_logins_free)

/* Copies, each password into guarded memory; it crosses the network as it is: SOCKS5 has no encryption. Of
 * two for one proxy the first counts. ERR_USAGE, ERR_CONFIG: as net_dial_proxy_init. */
bool net_logins_of(const struct login *items, size_t count, struct net_logins **out,
                   struct err *err) MUST_CHECK;
/* `logins` is what `from` was, and the other way round. `from` is the caller's alone. */
void net_logins_swap(struct net_logins *logins, struct net_logins *from);
/* Gives a proxy without a login copies of its own, if there is one. `logins` may be NULL: there is none. */
void net_logins_find(struct net_logins *logins, struct net_dial_proxy *proxy);

#endif
