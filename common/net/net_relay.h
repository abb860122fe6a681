/* Private to common/net: the way to one address through SOCKS5 proxies, or straight, for a socket to dial.
 *
 * libzmq 4.3.4 has a SOCKS client of its own, but a process in which a socket is closed while that
 * waits for its next try aborts (its connecter forgets that it gave its descriptor back). So the
 * socket dials a local name instead, and a thread passes the bytes on: accept, dial the proxy,
 * shuttle, again. What it passes on is CURVE's ciphertext.
 *
 * libzmq's handshake timer is to be off for this name: its connection is there at once, the proxy's answer
 * perhaps minutes later, and the relay minds the handshake itself from then on. Tries that fail are ended
 * towards libzmq, which dials again at once: the relay makes the pauses between them. */
#ifndef SEALIFT_NET_RELAY_H
#define SEALIFT_NET_RELAY_H

#include "common/net/net_context.h"

struct net_relay;

/* Borrowed until net_relay_start returns. */
struct net_relay_options {
    const char *proxy, *target; /* HOST:PORT; the proxy resolves the target; NULL: straight */
    const char *way_out;        /* HOST:PORT of another proxy, through which `proxy` is dialled; NULL: none */
    /* At each try the context's logins say who logs in at a proxy. */
    int connect_ms;   /* for each proxy to be reached and to take the login */
    int answer_ms;    /* for the last to say that it connected; -1: for ever */
    int handshake_ms; /* from then until the other end has said its part of CURVE's handshake */
    int silence_ms;   /* what the network does not acknowledge for so long is lost; 0: 20 s */
    int reconnect_ms, reconnect_max_ms; /* from one try to the next: doubles from the first to the second */
};

bool net_relay_start(struct net_context *context, const struct net_relay_options *options,
                     struct net_relay **out, struct err *err) MUST_CHECK;
/* "ipc://@…": for this process only. Borrowed. */
const char *net_relay_address(const struct net_relay *relay);
/* Why the last try failed, beginning with the proxy or the target; false if it did not. */
bool net_relay_failure(struct net_relay *relay, struct err *out);
/* Gives the relay up. A connection that stands may go on for `linger_ms`; net_context_free waits
 * for it. NULL is allowed. */
void net_relay_finish(struct net_relay *relay, int linger_ms);

#endif
