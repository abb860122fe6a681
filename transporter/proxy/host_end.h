/* Private to transporter/proxy: the port of a program that is itself one end of each rendezvous. Others come
 * over the network, and only under names that the program expects; its own end comes to an abstract socket
 * that is there while the other waits, so that it needs no SOCKS5, no TCP and no login. */
#ifndef SEALIFT_PROXY_HOST_END_H
#define SEALIFT_PROXY_HOST_END_H

#include "transporter/proxy/inside.h"

/* Whether a caller that asks for this name may wait here. If not it is refused, or held: the target of a run
 * may hear of it a moment before this host does. */
bool host_end_admits(struct proxy *proxy, struct end *caller);
/* The program expects other names than before: some of those that are held may be among them. */
void host_end_look(struct proxy *proxy);
/* It was held for long enough. */
void host_end_refuse(struct proxy *proxy, struct end *caller);
/* The caller waits: from now on the program's own end may come. */
void host_end_await(struct proxy *proxy, struct end *caller);
/* It does. */
void host_end_ready(struct proxy *proxy, struct end *caller);
/* Nobody is waited for any more. */
void host_end_forget(struct proxy *proxy, struct end *caller);

#endif
