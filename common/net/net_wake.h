/* Wakes a loop that polls, from other threads: an eventfd. */
#ifndef SEALIFT_NET_WAKE_H
#define SEALIFT_NET_WAKE_H

#include "common/base/auto.h"
#include "common/base/err.h"

struct net_wake {
    int fd; /* readable from a signal on until it is cleared */
};

bool net_wake_init(struct net_wake *out, struct err *err) MUST_CHECK;
void net_wake_deinit(struct net_wake *wake);
DEFINE_AUTO_IN_PLACE(net_wake, struct net_wake, net_wake_deinit)

/* Any thread, and signal handlers. Never blocks; signals before a clear are one. */
void net_wake_signal(const struct net_wake *wake);
/* By the loop, before it looks at what it was woken for. */
void net_wake_clear(const struct net_wake *wake);

#endif
