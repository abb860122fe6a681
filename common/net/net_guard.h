/* Private to common/net: watches over a server's connections by their descriptors.
 *
 * It cuts those that send without ever finishing a message. libzmq keeps
 * the frames of an unfinished message, whatever their number: neither the queue limit nor
 * MAXMSGSIZE counts them (measured: 400 MiB from one peer that sent one-byte frames).
 *
 * And it keeps room for peers when strangers flood the port: of the connections on which no message has come
 * yet, the oldest are cut above a number. libzmq ends each after its handshake's time, but has no limit, and
 * out of descriptors it accepts nobody and spins. */
#ifndef SEALIFT_NET_GUARD_H
#define SEALIFT_NET_GUARD_H

#include "common/base/auto.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct net_guard;

#define NET_GUARD_ADDRESS_MAX 45 /* without a port */

/* `limit`: bytes that a connection may send from one pass over it to the next in which a message of
 * it has been received; `most_silent`: connections on which none has come yet */
struct net_guard *net_guard_new(uint64_t limit, size_t most_silent);
/* NULL is allowed. */
void net_guard_free(struct net_guard *guard);
DEFINE_AUTO(net_guard, struct net_guard *, net_guard_free)

void net_guard_opened(struct net_guard *guard, int fd);
/* Whether no message had come on it; then `address` is whose it was, "" if that could not be told any more.
 */
bool net_guard_closed(struct net_guard *guard, int fd, char address[static NET_GUARD_ADDRESS_MAX + 1]);
/* a whole message came through this descriptor */
void net_guard_progress(struct net_guard *guard, int fd);
/* One pass; returns how many it cut because of what they sent. */
size_t net_guard_pass(struct net_guard *guard);
/* How many were cut for silence since this was last asked. */
size_t net_guard_shed(struct net_guard *guard);

#endif
