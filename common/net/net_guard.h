/* Private to common/net: cuts connections that send without ever finishing a message. libzmq keeps
 * the frames of an unfinished message, whatever their number: neither the queue limit nor
 * MAXMSGSIZE counts them (measured: 400 MiB from one peer that sent one-byte frames). */
#ifndef SEALIFT_NET_GUARD_H
#define SEALIFT_NET_GUARD_H

#include "common/base/auto.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct net_guard;

/* `limit`: bytes that a connection may send from one pass over it to the next in which a message of
 * it has been received */
struct net_guard *net_guard_new(uint64_t limit);
/* NULL is allowed. */
void net_guard_free(struct net_guard *guard);
DEFINE_AUTO(net_guard, struct net_guard *, net_guard_free)

void net_guard_opened(struct net_guard *guard, int fd);
void net_guard_closed(struct net_guard *guard, int fd);
/* a whole message came through this descriptor */
void net_guard_progress(struct net_guard *guard, int fd);
/* One pass; returns how many it cut. */
size_t net_guard_pass(struct net_guard *guard);

#endif
