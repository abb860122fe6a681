/* The process's one libzmq context: its I/O threads and its limits. Every other part of common/net
 * lives inside one and is released before it. */
#ifndef SEALIFT_NET_CONTEXT_H
#define SEALIFT_NET_CONTEXT_H

#include "common/base/auto.h"
#include "common/base/err.h"
#include "common/net/net_logins.h"

#include <stdint.h>

/* How connections are kept. Of libzmq's own pauses the first ones are blurred by chance. */
struct net_pace {
    int heartbeat_ms;     /* servers ask so often whether a peer is there */
    int reconnect_ms;     /* the first pause before a peer is dialled again; it doubles ... */
    int reconnect_max_ms; /* ... up to this */
};
enum {
    NET_HEARTBEATS_LOST = 4,      /* so many heartbeats without a word end a connection, at either end */
    NET_HEARTBEAT_LEAST_MS = 100, /* what may be configured */
    NET_HEARTBEAT_MOST_MS = 60 * 1000,
};
#define NET_PACE_DEFAULT                                                                                     \
    ((struct net_pace){.heartbeat_ms = 5000, .reconnect_ms = 250, .reconnect_max_ms = 5000})

struct net_context;

/* Raises the soft limit of open descriptors as far as the hard one allows, to at most 65,536: at
 * libzmq's customary 1,024 a flood of silent connections would lock admitted peers out.
 * `io_threads` is 1 to 16; one thread moves about 1 GB/s of CURVE traffic. */
bool net_context_new(unsigned io_threads, struct net_context **out, struct err *err) MUST_CHECK;

/* For the sockets that are made from now on by net_options_in; NET_PACE_DEFAULT before. While there are
 * no other threads. */
void net_context_set_pace(struct net_context *context, const struct net_pace *pace);
struct net_pace net_context_pace(const struct net_context *context);

/* Who logs in at the proxies that sockets of this context dial through. Borrowed. */
struct net_logins *net_context_logins(const struct net_context *context);

/* From any thread: each call that waits or will wait on this context's sockets, but for those of
 * net_zap, comes back with NET_TERMINATED (or ERR_CANCELLED). */
void net_context_shutdown(struct net_context *context);

/* Waits until the sockets have sent what their linger time allows, and for relays that were given up. All
 * sockets must be freed before. NULL is allowed. */
void net_context_free(struct net_context *context);
DEFINE_AUTO(net_context, struct net_context *, net_context_free)

#endif
