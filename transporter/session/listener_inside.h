/* The data port from the inside. Private to listener*.c.
 *
 * listener.c makes and ends the port and its sessions, and is what the threads of runs call; listener_loop.c
 * is the port's own thread: it binds connections to sessions, passes messages, and lets connections go. */
#ifndef SEALIFT_SESSION_LISTENER_INSIDE_H
#define SEALIFT_SESSION_LISTENER_INSIDE_H

#include "common/net/net_monitor.h"
#include "common/net/net_wake.h"
#include "common/net/net_zap.h"
#include "transporter/session/listener.h"
#include "transporter/session/listener_outbound.h"
#include "transporter/session/listener_queue.h"

#include <pthread.h>

#define LISTENER_DOMAIN "data"

enum {
    LISTENER_QUEUE_MESSAGES = 1024, /* that may wait for a run, and of a run for its peer */
    LISTENER_LAST_WORDS_MS = 1000,  /* from Fail to the cut */
};

struct listener_session {
    struct listener_session *next;
    struct listener *listener;
    struct listener_session_options options;
    enum conversation_state state; /* receiving thread */

    /* under the listener's lock */
    bool bound;
    struct net_peer peer;
    uint64_t connection;    /* counted from 1 */
    uint64_t opened;        /* the last one whose Open was answered */
    uint64_t gone_since_ms; /* while not bound */
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
    struct net_wake wake;
    char endpoint[256];
    pthread_t thread;
    bool running;

    pthread_mutex_t lock;
    struct listener_session *sessions;
    struct leaving *leaving;
    size_t leaving_count;
    struct outbound *outbounds;
    struct net_pace pace; /* of dialling again */
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

/* The thread of the port: from then on the socket is its own. */
void *listener_main(void *arg); /* a struct listener */

#endif
