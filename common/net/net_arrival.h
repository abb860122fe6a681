/* Private to common/net: one message as it came off a socket, of whatever shape, before it is
 * judged. */
#ifndef SEALIFT_NET_ARRIVAL_H
#define SEALIFT_NET_ARRIVAL_H

#include "common/net/net_zmq.h"

struct net_arrival {
    zmq_msg_t route; /* a server's; empty for a client */
    zmq_msg_t header;
    zmq_msg_t payload;
    size_t frames; /* how many there were, the route not counted */
};

void net_arrival_init(struct net_arrival *arrival);
void net_arrival_deinit(struct net_arrival *arrival);
DEFINE_AUTO_IN_PLACE(net_arrival, struct net_arrival, net_arrival_deinit)

/* Takes one whole message off the socket; never waits. Returns 0 or libzmq's errno. */
int net_arrival_receive(struct net_arrival *arrival, void *handle, enum net_role role);

bool net_arrival_well_formed(const struct net_arrival *arrival, size_t max_payload, enum net_fault *fault);
/* The key that net_zap.c made the user id of this connection. */
bool net_arrival_key(struct net_arrival *arrival, uint8_t key[static NET_KEY_LEN]);
/* The sender's address as libzmq writes it, borrowed; "" if it has none. */
const char *net_arrival_address(struct net_arrival *arrival);
/* The descriptor it came through, which may be closed by now; -1 if unknown. */
int net_arrival_fd(struct net_arrival *arrival);

#endif
