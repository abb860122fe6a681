/* Private to common/net: a bounded list of denials in which equal ones become one. */
#ifndef SEALIFT_NET_DENIALS_H
#define SEALIFT_NET_DENIALS_H

#include "common/net/net_zap.h"

#define NET_DENIALS_MAX 64

/* {0} is an empty list. */
struct net_denials {
    struct net_denial_slot {
        struct net_denial denial;
        bool used;
        bool taken;
    } slots[NET_DENIALS_MAX];
    size_t next; /* the slot that the next new denial takes over */
};

/* True if it is a new one, to be taken. `denial->count` is ignored. */
bool net_denials_add(struct net_denials *denials, const struct net_denial *denial);
bool net_denials_has(const struct net_denials *denials, const char *domain, const char *address);
/* The oldest that was not taken yet; false when there is none. */
bool net_denials_take(struct net_denials *denials, struct net_denial *out);

#endif
