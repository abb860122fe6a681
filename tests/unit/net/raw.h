/* A peer that speaks CURVE correctly and otherwise does as it likes: a bare libzmq socket. */
#ifndef SEALIFT_TEST_NET_RAW_H
#define SEALIFT_TEST_NET_RAW_H

#include "loopback.h"

struct raw {
    void *handle;
};

/* a DEALER that dials the server; `routing_id` may be empty */
void raw_init(struct raw *raw, const struct loopback *loop, const struct net_key *key,
              struct span routing_id);
void raw_deinit(struct raw *raw);
DEFINE_AUTO_IN_PLACE(raw, struct raw, raw_deinit)

/* one message of `count` times the frame */
void raw_send(struct raw *raw, const char *frame, int count);

#endif
