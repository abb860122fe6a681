/* Private to common/net: how many bytes each relay has brought in from outside, found by the name of its
 * local socket: behind that, libzmq's own connection has no counters that could be asked. Any thread. */
#ifndef SEALIFT_NET_TALLY_H
#define SEALIFT_NET_TALLY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define NET_TALLY_NAME_MAX 63

struct net_tally {
    struct net_tally *next;
    char name[NET_TALLY_NAME_MAX + 1];
    _Atomic uint64_t bytes; /* of all its connections: never less than before */
};

/* Can be found until it is closed. The name of at most NET_TALLY_NAME_MAX characters is no other one's. */
void net_tally_open(struct net_tally *tally, const char *name);
void net_tally_close(struct net_tally *tally);
/* false: there is none */
bool net_tally_read(const char *name, uint64_t *out);

#endif
