/* What happens to a socket's connections, reduced to what a loop acts on.
 *
 * On a client's socket the events are those of its one server, and the caller backs off by them:
 * libzmq dials on at reconnect_ms for as long as TCP connects, however often the handshake fails,
 * so after some NET_FAILED in a row the socket is to be closed and made again later. On a server's
 * socket events do not name the peer; they are for counting.
 *
 * A client that listens may be called by anybody. NET_UP is only ever of its server, which may call a second
 * time before the end of its last connection shows: then the socket is to be made anew, for it would send by
 * turns to both. NET_DOWN is of the connection through which the server spoke last; one on which it has not
 * spoken yet ends without an event. NET_FAILED is of strangers. */
#ifndef SEALIFT_NET_MONITOR_H
#define SEALIFT_NET_MONITOR_H

#include "common/net/net_socket.h"

enum net_monitor_kind {
    NET_UP,      /* the handshake is done; before that a connection counts for nothing */
    NET_DOWN,    /* a connection ended, by either side, also before its handshake was done */
    NET_FAILED,  /* the handshake failed */
    NET_RETRIED, /* a connect failed, or waits for its next try */
};

enum net_monitor_cause {
    NET_CAUSE_NONE,
    NET_CAUSE_AUTH,     /* the server's ZAP refused us (client), or ours refused a peer (server) */
    NET_CAUSE_PROTOCOL, /* not ZMTP, not CURVE, or a wrong server key */
    NET_CAUSE_UNKNOWN,  /* closed or timed out on the way: also a client's wrong server key, or ZAP 300 */
};

struct net_monitor_event {
    enum net_monitor_kind kind;
    enum net_monitor_cause cause; /* of NET_FAILED */
    uint32_t detail;   /* libzmq's number: the ZAP status, ZMQ_PROTOCOL_ERROR_*, errno; ms for NET_RETRIED */
    char address[128]; /* the endpoint: as dialled, or as bound */
};

struct net_monitor;

/* On the socket's thread, before it is attached. Free it before the socket, on the same thread. */
bool net_monitor_new(struct net_socket *socket, struct net_monitor **out, struct err *err) MUST_CHECK;
/* NULL is allowed. */
void net_monitor_free(struct net_monitor *monitor);
DEFINE_AUTO(net_monitor, struct net_monitor *, net_monitor_free)

/* Never waits: false when there is none to take. */
bool net_monitor_take(struct net_monitor *monitor, struct net_monitor_event *out);

/* Client that dials: the round trip of its server as TCP measured it when it last connected, in microseconds,
 * which is known before the handshake is done; 0: it has not, or something else than TCP stands between. Once
 * net_monitor_take has returned false. */
uint64_t net_monitor_trip_us(const struct net_monitor *monitor);

/* Of that connection, how many bytes have arrived at the server's host, by TCP's word; 0: as above. */
uint64_t net_monitor_acked(const struct net_monitor *monitor);

/* Server: a connection that ended before a message had come on it, and that ZAP has not refused: somebody who
 * speaks another protocol, has another server's key or is silent. Each address once as long as it is among
 * the last 64, at most eight in a second; "" where libzmq had closed the connection before it could be asked
 * for its address. false when there is none to take. */
bool net_monitor_take_denial(struct net_monitor *monitor, struct net_denial *out);
/* Whether such connections are worth a word. They are not while somebody was asked to try whether the port
 * can be reached; that is forgotten, and not told later. */
enum net_silence { NET_SILENCE_TOLD, NET_SILENCE_EXPECTED };
void net_monitor_silence(struct net_monitor *monitor, enum net_silence silence);

/* Once a second or so, after net_monitor_take has returned false. Cuts each connection that has sent
 * more than its recv_queue can hold (a client's: 64 MiB at most) since a message of it was last received, and
 * returns how many: libzmq buffers the frames of an unfinished message without any limit. */
size_t net_monitor_guard(struct net_monitor *monitor);
/* Client that dials, as net_monitor_guard: cuts its connection when nothing has come over it for so long,
 * although all that came was read; true if it did. A server sends heartbeats, but libzmq's timer for those
 * that stay away is off from each message to the next heartbeat: a server that hangs in between is waited for
 * without end. */
bool net_monitor_cut_silent(struct net_monitor *monitor, uint64_t silence_ms);
/* Server, or client that listens: how many connections without a message were cut since this was last asked,
 * the oldest first, so that there is room for others: there may be as many as a quarter of the descriptors
 * that the process can have. */
size_t net_monitor_shed(struct net_monitor *monitor);

#endif
