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
/* the same, which is called: `address` is where */
void raw_init_listening(struct raw *raw, const struct loopback *loop, const struct net_key *key,
                        char address[static 128]);
/* a ROUTER with the server's key, which lets everybody in; it can only be called */
void raw_init_server(struct raw *raw, const struct loopback *loop, char address[static 128]);
void raw_deinit(struct raw *raw);
DEFINE_AUTO_IN_PLACE(raw, struct raw, raw_deinit)

/* one message of `count` times the frame */
void raw_send(struct raw *raw, const char *frame, int count);
/* the same to whoever has spoken first */
void raw_answer(struct raw *raw, const char *frame, int count);

#endif
