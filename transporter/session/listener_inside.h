/* The data port from the inside. Private to listener*.c.
 *
 * listener.c makes and ends the port and its sessions, and is what the threads of runs call; listener_loop.c
 * is the port's own thread: it binds connections to sessions, passes messages, and lets connections go. */
#ifndef SEALIFT_SESSION_LISTENER_INSIDE_H
#define SEALIFT_SESSION_LISTENER_INSIDE_H

#include "common/base/log_gate.h"
#include "common/net/net_monitor.h"
#include "common/net/net_wake.h"
#include "common/net/net_zap.h"
#include "transporter/session/listener.h"
#include "transporter/session/listener_outbound.h"
#include "transporter/session/listener_queue.h"
#include "transporter/session/stripe_growth.h"
#include "transporter/session/stripe_order.h"

#include <pthread.h>

#define LISTENER_DOMAIN "data"

enum {
    LISTENER_QUEUE_MESSAGES = 1024,     /* that may wait for a run, and of a run for its peer */
    LISTENER_QUESTION_BYTES = 16 << 20, /* of questions that wait: more than a hundred of the longest */
    LISTENER_LAST_WORDS_MS = 1000,      /* from Fail to the cut */
};

/* A further connection of a session. */
struct stripe {
    bool bound;
    struct net_peer peer;
};

struct listener_session {
    struct listener_session *next;
    struct listener *listener;
    struct listener_session_options options;
    enum conversation_state state; /* receiving thread */

    /* under the listener's lock */
    bool bound;
    struct net_peer peer;
    uint64_t connection;                /* counted from 1 */
    uint64_t opened;                    /* the last one whose Open was answered */
    struct stripe stripes[STRIPES_MAX]; /* [0] is not used: `peer` */
    struct stripe_order order;          /* of the numbered messages of this connection and its stripes */
    bool numbered;                      /* one has come */
    unsigned outbound;                  /* connections that the port dials for the session */
    uint64_t gone_since_ms;             /* while not bound */
    uint64_t lease_ms;
    uint64_t expires_ms; /* UINT64_MAX: never */
    uint64_t probe_at_ms;
    struct listener_queue opens, asks, rest;
    struct listener_box out;
    char trouble[DATA_PATH_TROUBLE_MAX]; /* why the last dial did not come up; of a path that leads out */
    bool failed;
    struct err failure;
    pthread_cond_t arrived;
};

/* A connection that gets its last words and is then cut. */
struct leaving {
    struct leaving *next;
    struct net_peer peer;
    struct listener_box out;
    uint64_t cut_at_ms;
};

struct listener {
    struct net_zap *zap;
    struct net_socket *socket; /* the thread's, once it runs; and the monitor */
    struct net_monitor *monitor;
    uint64_t guarded_ms;
    struct log_gate strangers; /* lines that anybody causes */
    struct net_wake wake;
    char endpoint[256];
    pthread_t thread;
    bool running;

    pthread_mutex_t lock;
    struct listener_session *sessions;
    struct leaving *leaving;
    size_t leaving_count;
    struct outbound *outbounds;
    struct net_pace pace; /* of heartbeats, and of dialling again; as at the start */
    bool stop;
};

/* All under the lock. */

/* NULL: none */
struct listener_session *listener_session_of(const struct listener *listener, const struct id *run);
/* The first error stands. */
void listener_fail(struct listener_session *session, const struct err *why);
/* The connection gets what is in the box, which is emptied, and is then cut. */
void listener_leave(struct listener *listener, const struct net_peer *peer, struct listener_box *last_words);
/* How often a connection is probed. */
uint64_t listener_probe_interval(const struct listener_session *session);

/* listener_stripes.c: NULL: no session has this connection; *index: which of its connections it is */
struct listener_session *listener_session_of_peer(const struct listener *listener,
                                                  const struct net_peer *peer, unsigned *index);
/* Whether this peer speaks for the run: its key, the ticket and the attempt; the session of it. */
bool listener_ticket_fits(struct listener *listener, const struct net_peer *peer,
                          const ProtobufCBinaryData *run, const ProtobufCBinaryData *ticket, uint32_t attempt,
                          struct listener_session **out, struct err *err) MUST_CHECK;
/* The first message of a connection: it is one more of the session that the peer opened. */
bool listener_join_stripe(struct listener *listener, const struct net_peer *peer,
                          const Sealift__Stripe *stripe, struct err *err) MUST_CHECK;
/* Lets go of all of them, and of what they brought and has no place yet. */
void listener_drop_stripes(struct listener_session *session);
/* The peer wants so many connections: where the port dials, it does. */
void listener_dial_stripes(struct listener_session *session, unsigned count);
/* A message of a bound connection goes to its queue, or waits until those before it have come. */
bool listener_take_in_order(struct listener_session *session, unsigned index, struct data_message *message,
                            struct err *err) MUST_CHECK;

/* The thread of the port: from then on the socket is its own. */
void *listener_main(void *arg); /* a struct listener */

#endif
