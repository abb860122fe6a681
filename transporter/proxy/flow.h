/* One direction of a joined connection: bytes go from one socket to the other through a pipe in the kernel
 * (splice(2)), so they are never in this process's memory.
 *
 * Back-pressure: nothing is read while the pipe holds anything. A flow thus holds FLOW_PIPE_BYTES at most,
 * and a pipe (two descriptors) only while bytes wait in it. */
#ifndef SEALIFT_PROXY_FLOW_H
#define SEALIFT_PROXY_FLOW_H

#include "common/base/auto.h"
#include "common/base/bytes.h"

#define FLOW_PIPE_BYTES (256 << 10)

/* Empty pipes for flows to use. {0} is none. */
#define FLOW_PIPES_KEPT 64
struct flow_pipes {
    int fds[FLOW_PIPES_KEPT][2];
    size_t count;
};
void flow_pipes_deinit(struct flow_pipes *pipes);

struct flow {
    int pipe[2]; /* -1: none */
    size_t held; /* bytes in the pipe */
    bool ended;  /* no more will be read */
    bool deaf;   /* the other socket takes no more: what comes is read and dropped */
    uint64_t moved;
};

enum flow_state {
    FLOW_WANTS_INPUT,
    FLOW_WANTS_OUTPUT,
    FLOW_OVER,   /* the end was read, everything is written, and the other socket was told so */
    FLOW_BROKEN, /* there is no pipe */
};

/* `early`: what was read of the source already, at most 4 KiB. false, and errno, without a pipe. */
bool flow_init(struct flow *flow, struct flow_pipes *pipes, struct span early)
    __attribute__((warn_unused_result));
void flow_deinit(struct flow *flow);
/* Moves what can be moved at once, up to some megabytes. Both sockets are non-blocking. */
enum flow_state flow_move(struct flow *flow, struct flow_pipes *pipes, int from, int to);

#endif
