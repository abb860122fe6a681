/* Waiting for sockets, monitors and descriptors (net_wake, signalfd, timerfd, …) at once. */
#ifndef SEALIFT_NET_POLL_H
#define SEALIFT_NET_POLL_H

#include "common/net/net_monitor.h"
#include "common/net/net_socket.h"

enum net_events { NET_READABLE = 1, NET_WRITABLE = 2 };

/* Made by the functions below; `ready` is for reading, the rest is private. */
struct net_poll_item {
    unsigned ready;  /* net_events, set by net_poll_wait */
    unsigned wanted; /* net_events */
    void *handle;
    int fd;
};

/* `wanted` is one net_events or both. For a server NET_WRITABLE means that some peer has room. */
struct net_poll_item net_poll_socket(struct net_socket *socket, unsigned wanted);
struct net_poll_item net_poll_monitor(struct net_monitor *monitor);
struct net_poll_item net_poll_fd(int fd, unsigned wanted);

/* Waits until an item is ready, `timeout_ms` have passed (-1: for ever) or a signal was handled;
 * true in each case. At most NET_POLL_MAX items. ERR_CANCELLED when the context shuts down. On the
 * thread that owns the sockets. A descriptor in error or hung up is ready for what was wanted. */
#define NET_POLL_MAX 64
bool net_poll_wait(struct net_poll_item *items, size_t count, int timeout_ms, struct err *err) MUST_CHECK;

#endif
