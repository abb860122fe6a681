/* Private to common/net: the way to one address through a SOCKS5 proxy, for a socket to dial.
 *
 * libzmq 4.3.4 has a SOCKS client of its own, but a process in which a socket is closed while that
 * waits for its next try aborts (its connecter forgets that it gave its descriptor back). So the
 * socket dials a local name instead, and a thread passes the bytes on: accept, dial the proxy,
 * shuttle, again. What it passes on is CURVE's ciphertext. */
#ifndef SEALIFT_NET_RELAY_H
#define SEALIFT_NET_RELAY_H

#include "common/net/net_context.h"

struct net_relay;

/* `proxy` and `target` are HOST:PORT; the proxy resolves the target. `dial_timeout_ms` is for the
 * proxy to be reached and to say that it connected. */
bool net_relay_start(struct net_context *context, const char *proxy, const char *target, int dial_timeout_ms,
                     struct net_relay **out, struct err *err) MUST_CHECK;
/* "ipc://@…": for this process only. Borrowed. */
const char *net_relay_address(const struct net_relay *relay);
/* Why the last try failed; false if it did not. */
bool net_relay_failure(struct net_relay *relay, struct err *out);
/* Gives the relay up. A connection that stands may go on for `linger_ms`; net_context_free waits
 * for it. NULL is allowed. */
void net_relay_finish(struct net_relay *relay, int linger_ms);

#endif
