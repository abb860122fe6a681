/* Connections that the data port makes itself, for sessions whose peer does not come to it (docs/protocol.md,
 * reverse and rendezvous): dialled, dialled again with ever longer pauses when they are lost or do not come
 * up, and left when the session is over. What comes by them is the port's as anything else: a connection
 * counts by its Open. Private to listener*.c. All under the listener's lock. */
#ifndef SEALIFT_SESSION_LISTENER_OUTBOUND_H
#define SEALIFT_SESSION_LISTENER_OUTBOUND_H

#include "common/base/backoff.h"
#include "common/net/net_monitor.h"
#include "transporter/session/data_path.h"

struct listener;
struct listener_session;

struct outbound {
    struct outbound *next;
    struct listener_session *session; /* NULL: it is over */
    struct data_endpoint endpoint;
    bool attached, up;
    bool gone; /* it ended; what came by it may still wait in libzmq, and would be dropped by hanging up */
    uint64_t since_ms; /* attached, or over */
    uint64_t dial_at_ms;
    struct backoff backoff;
};

/* By any thread: the port dials for connection `stripe` of the session from now on. */
void outbound_add(struct listener_session *session, unsigned stripe);
/* By any thread: all of a session that ends. They are left once what was said last had its time. */
void outbound_leave(const struct listener_session *session);

/* The port's thread. Does what is due; returns how long until there is something to do. */
uint64_t outbound_serve(struct listener *listener, uint64_t now_ms);
/* What happened to one of the port's connections, whichever side made it. */
void outbound_event(struct listener *listener, const struct net_monitor_event *event);
/* All that had come before the last look at events was received. */
void outbound_received(struct listener *listener);
/* Forgets all of them. The socket is gone. */
void outbound_free_all(struct listener *listener);

#endif
