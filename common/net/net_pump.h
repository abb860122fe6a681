/* Private to common/net: passes bytes between a socket of libzmq's and the network, both ways, by splice(2):
 * they do not come into this process's memory (but for those of the handshake, which is watched).
 *
 * The handshake has its time from the moment on when the connection stands: libzmq's own timer would run from
 * when its local connection was there, which may be long before. */
#ifndef SEALIFT_NET_PUMP_H
#define SEALIFT_NET_PUMP_H

#include "common/base/err.h"

#include <stdatomic.h>
#include <stdint.h>

enum net_pump_end {
    NET_PUMP_INNER,    /* libzmq closed its end */
    NET_PUMP_OUTER,    /* the network's end was closed, or failed */
    NET_PUMP_LATE,     /* the handshake was not done in time */
    NET_PUMP_FINISHED, /* it had to end */
    NET_PUMP_SYSTEM,   /* no descriptors for it: errno */
};

struct net_pump_result {
    enum net_pump_end end;
    bool shook_hands; /* the network's end has said its part of the handshake */
    int number;       /* of NET_PUMP_SYSTEM */
};

struct net_pump {
    int inner, outer; /* both non-blocking; borrowed */
    int handshake_ms;
    int finish;                        /* readable once it is to end ... */
    int64_t (*finish_by)(void *owner); /* ... at this net_deadline; asked then */
    void *owner;
    _Atomic uint64_t *received; /* what comes from the network is added to it */
};

/* Until one end has closed and what it had said is passed on, or the time is over. */
struct net_pump_result net_pump_run(const struct net_pump *pump);

#endif
