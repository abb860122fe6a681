/* Sockets: encrypted, authenticated connections that carry net_messages.
 *
 * The role says who is the CURVE server: the end whose key the other must know beforehand, and
 * where ZAP decides. The side says who dials. They are independent: a server may be the one that
 * dials out. A client (ZeroMQ's DEALER) talks to one server; a server (ROUTER) talks to many
 * peers, and names the peer in each call. A server hears of a peer by the peer's first message:
 * the client speaks first.
 *
 * Peers are known by their authenticated key and by the route of their connection, a number that
 * libzmq gives out. A peer that chooses its own routing id is refused, and so is a route that
 * turns up under another key. One key may have several connections. After a disconnect its
 * queues are gone and its route is dead; a reconnected peer has a new one.
 *
 * Whatever is malformed is dropped here: the receiver sees NET_REFUSED once, the connection is cut,
 * and nothing that it still had queued is handed up. A message far above the limit (more than 64
 * bytes) is cut off inside libzmq, which tells the monitor only (NET_DOWN).
 *
 * A socket belongs to one thread: made, used and freed there. */
#ifndef SEALIFT_NET_SOCKET_H
#define SEALIFT_NET_SOCKET_H

#include "common/net/net_context.h"
#include "common/net/net_key.h"
#include "common/net/net_message.h"
#include "common/net/net_zap.h"

enum net_role { NET_CLIENT, NET_SERVER };
enum net_side { NET_BIND, NET_CONNECT };

/* Start from net_options_of(role). Pointers are borrowed until net_socket_new returns; `zap` for
 * the socket's life. */
struct net_options {
    enum net_role role;
    const struct net_key *key;
    const uint8_t *server_key; /* client: NET_KEY_LEN bytes */
    struct net_zap *zap;       /* server */
    const char *domain;        /* server: a domain that was declared to `zap` */

    uint32_t max_payload; /* bytes, in both directions */
    /* Messages waiting, per connection. What flow control lets in flight must fit: a client's full recv_queue
     * stops its answers to heartbeats, and a server's is only what net_monitor_guard allows, as the server
     * always reads on. */
    int send_queue, recv_queue;
    int linger_ms;            /* how long a freed socket goes on sending */
    int connect_timeout_ms;   /* for TCP to connect */
    int handshake_timeout_ms; /* from then until CURVE is done */
    int heartbeat_ms;         /* server; 0: none. A client only answers */
    int heartbeat_timeout_ms; /* server: silence after a heartbeat that ends a connection, here and there */
    int reconnect_ms;         /* the first pause; it doubles ... */
    int reconnect_max_ms;     /* ... up to this, but only while TCP itself cannot connect */
};

/* Each option but key, server_key, zap and domain has a sound value. */
struct net_options net_options_of(enum net_role role);
/* The same, at the pace of this context. */
struct net_options net_options_in(const struct net_context *context, enum net_role role);

/* Whether net_socket_proxy_failure can tell why a connection does not come up: it costs a thread beside
 * libzmq, as a proxy does. */
enum net_reasons { NET_REASONS_NONE, NET_REASONS_KEPT };

struct net_endpoint {
    enum net_side side;
    const char *address; /* tcp://HOST:PORT (0: any port) or ipc://PATH. inproc has no CURVE: refused */
    const char *socks5;  /* HOST:PORT of a proxy for a NET_CONNECT, which resolves HOST; or NULL */
    /* Of a second proxy, through which that of `socks5` is dialled: this host's way out of its network; or
     * NULL. It resolves the name of the other one. Who logs in at either the context's logins say. */
    const char *way_out;
    /* How long the proxy may take to say that it has connected; 0: connect_timeout_ms. At a rendezvous that
     * is until the other end comes. */
    int socks5_patience_ms;
    enum net_reasons reasons; /* of a NET_CONNECT without a proxy */
};
#define NET_PATIENCE_FOR_EVER (-1)

/* The other end of one connection. */
struct net_peer {
    uint8_t key[NET_KEY_LEN];
    enum net_standing standing;        /* client: always allowed */
    uint32_t route;                    /* client: 0 */
    char address[NET_ADDRESS_MAX + 1]; /* for logs */
};

enum net_status {
    NET_OK,
    NET_AGAIN,       /* nothing to receive, no room to send, or (client) no connection: in good time */
    NET_REFUSED,     /* receive: a message was dropped, and its peer with it */
    NET_UNREACHABLE, /* send, server: this connection is gone for good */
    NET_TERMINATED,  /* the context is shutting down */
};

/* Why a message was refused. */
enum net_fault {
    NET_FAULT_FRAMES,  /* not header and payload */
    NET_FAULT_HEADER,  /* longer than NET_HEADER_MAX */
    NET_FAULT_PAYLOAD, /* longer than max_payload */
    NET_FAULT_ROUTE,   /* a routing id of the peer's own choice, or one that is another key's */
    NET_FAULT_KEY,     /* the key is no longer allowed */
};
/* "the header is longer than 4096 bytes" */
const char *net_fault_text(enum net_fault fault);

struct net_socket;

/* Not yet bound or connected. */
bool net_socket_new(struct net_context *context, const struct net_options *options, struct net_socket **out,
                    struct err *err) MUST_CHECK;
/* NULL is allowed. */
void net_socket_free(struct net_socket *socket);
DEFINE_AUTO(net_socket, struct net_socket *, net_socket_free)

/* Binds, or starts to connect (which goes on for ever, in the background). A socket may have
 * several endpoints, of both sides; a client has one. A server may attach and detach outbound endpoints
 * beside its bound one as often as it likes. Through a proxy each is a thread until it is detached. */
bool net_socket_attach(struct net_socket *socket, const struct net_endpoint *endpoint,
                       struct err *err) MUST_CHECK;
/* Stops dialling an address that was attached, and ends its connection: soon, and only while the
 * socket is polled or received from. What is sent until then may be lost. */
bool net_socket_detach(struct net_socket *socket, const char *address, struct err *err) MUST_CHECK;
/* Why the last try to reach this address through its proxy failed ("proxy 'p:1080': the proxy cannot connect:
 * connection refused"), in the words of net_reach_text; false if it did not. Also when the proxy connected,
 * but the other end did not shake hands. The monitor tells that a try failed, not why. Between tries are
 * pauses from reconnect_ms to reconnect_max_ms, with jitter. */
bool net_socket_proxy_failure(struct net_socket *socket, const char *address, struct err *out);
/* Where the last NET_BIND really listens ("tcp://127.0.0.1:40117"); "" before. */
const char *net_socket_bound(const struct net_socket *socket);

/* Both wait up to `timeout_ms`: 0 is not at all, -1 for ever. */

/* On NET_OK the message is libzmq's, and empty here; otherwise it is untouched. `to` comes from a
 * received message; NULL for a client. A payload above max_payload is the caller's mistake.
 * NET_OK does not mean delivered: what is in flight at a disconnect is lost without a word. A
 * disconnect shows here (NET_UNREACHABLE) once all that the peer had sent has been received. */
enum net_status net_socket_send(struct net_socket *socket, const struct net_peer *to,
                                struct net_message *message, int timeout_ms) MUST_CHECK;

/* NET_OK: `from` and `message` (which must be empty) are set. NET_REFUSED: `from` and `fault` are;
 * `from->key` is zeros if the peer could not even be named. A client to which that happened sends
 * and receives no more, and is to be freed. */
enum net_status net_socket_recv(struct net_socket *socket, struct net_peer *from, struct net_message *message,
                                enum net_fault *fault, int timeout_ms) MUST_CHECK;

/* Server: cuts this connection, as for a malformed message: for a peer that broke the rules of the
 * layer above. A libzmq peer dials again; whether it gets in is up to ZAP. */
void net_socket_drop(struct net_socket *socket, const struct net_peer *peer);

#endif
