/* The data port of a transporter (docs/protocol.md, "Data conversations"): one thread owns the socket and
 * passes messages between connections and the runs that are targets here. A key is admitted while it is
 * the peer of a live run; a connection counts once its Open names a run of that peer, with its attempt and
 * ticket, and then belongs to that run alone. Whatever else comes is answered with Fail, cut off, and
 * logged once.
 *
 * A session whose path leads out has its connections made by the port itself; what comes by them is judged
 * the same.
 *
 * A newer connection replaces an older one of the same run: what the older one had queued is dropped, the
 * peer sends it again. Memory is bounded by the credit and a number of messages for each run. */
#ifndef SEALIFT_SESSION_LISTENER_H
#define SEALIFT_SESSION_LISTENER_H

#include "common/crypto/hash.h"
#include "common/crypto/identity.h"
#include "common/net/net_context.h"
#include "transporter/session/absence.h"
#include "transporter/session/bandwidth.h"
#include "transporter/session/conversation.h"
#include "transporter/session/credit_pool.h"
#include "transporter/session/data_message.h"
#include "transporter/session/data_path.h"

#define LISTENER_TICKET_LEN 32

struct listener;

struct listener_options {
    struct net_context *net;     /* without a ZAP handler: the listener starts one */
    const struct identity *self; /* borrowed until listener_new returns */
    const char *bind;            /* tcp://HOST:PORT; port 0: any */
    const char *advertise;       /* what peers dial; NULL: where it is bound */
};
bool listener_new(const struct listener_options *options, struct listener **out, struct err *err) MUST_CHECK;
/* All sessions must be gone. */
void listener_free(struct listener *listener);
DEFINE_AUTO(listener, struct listener *, listener_free)
/* The advertised endpoint; borrowed. Any thread. */
const char *listener_endpoint(const struct listener *listener);

/* --- one run's side of it --- */

struct listener_session_options {
    struct id run;
    uint32_t attempt;
    uint8_t ticket[LISTENER_TICKET_LEN];
    uint8_t peer_key[32]; /* the peer's CURVE key, from the roster */
    enum conversation_kind conversation;
    uint64_t credit_bytes;       /* of batches or frames that may wait here at most */
    struct credit_pool *credits; /* that it is taken from; NULL: nobody else needs any. Must stay */
    uint64_t lease_ms;           /* how long the peer may be gone */
    /* what is received waits for it, unless *given_up; NULL: it does not */
    struct bandwidth_share *bandwidth;
    const _Atomic bool *given_up;
    /* if it dials, the port dials for the session; NULL: the peer comes. Must stay */
    const struct data_path *path;
    struct absence *absence; /* kept up to date; may be NULL */
};

struct listener_session;

/* From now on the peer may connect. ERR_BUSY: the run has a session. Any thread. */
bool listener_admit(struct listener *listener, const struct listener_session_options *options,
                    struct listener_session **out, struct err *err) MUST_CHECK;
/* The peer is let go: what was sent still goes out. NULL is allowed. */
void listener_session_free(struct listener_session *session);
DEFINE_AUTO(listener_session, struct listener_session *, listener_session_free)

/* How many bytes the peer may have under way, at most `most`: less where bandwidth or memory is short. Any
 * thread. */
uint64_t listener_session_window(struct listener_session *session, uint64_t most);
/* For Opened: how often this side's sockets send heartbeats. Any thread. */
uint32_t listener_session_heartbeat_ms(const struct listener_session *session);
/* The next message that the conversation allows; `out` must be empty. An Open stands at the beginning of
 * each connection; then questions come before what else waits. One thread. ERR_UNREACHABLE: the peer was
 * gone for longer than the lease; ERR_PROTOCOL: it broke the rules; or what listener_session_fail said. */
bool listener_session_receive(struct listener_session *session, struct data_message *out,
                              struct err *err) MUST_CHECK;
/* Makes receive fail, now and from now on; the first error stands. Any thread. */
void listener_session_fail(struct listener_session *session, const struct err *why);

/* The answer to the Open of that connection, before anything else is sent on it. Both calls take the
 * message. On a connection that is no longer the run's, or not yet answered, they drop it. Any thread. */
void listener_session_opened(struct listener_session *session, uint64_t connection,
                             struct net_message *message);
void listener_session_send(struct listener_session *session, uint64_t connection,
                           struct net_message *message);
/* on whichever connection there is */
void listener_session_tell(struct listener_session *session, struct net_message *message);

/* Fail, on whichever connection there is; also in the place of an answer to Open. */
void listener_session_refuse(struct listener_session *session, const struct err *why);

/* A commit was answered (receipt or Missing): what is legal now. Receiving thread. */
void listener_session_answered(struct listener_session *session);
/* From so long from now on receiving fails in any case: ERR_UNREACHABLE. Any thread. */
void listener_session_expire(struct listener_session *session, uint64_t after_ms);

#endif
