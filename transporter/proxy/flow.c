#include "transporter/proxy/flow.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

enum { ROUNDS = 16 };

void flow_pipes_deinit(struct flow_pipes *pipes)
{
    for (size_t i = 0; i < pipes->count; i++) {
        (void)close(pipes->fds[i][0]);
        (void)close(pipes->fds[i][1]);
    }
    pipes->count = 0;
}

static bool take_pipe(struct flow *flow, struct flow_pipes *pipes)
{
    if (flow->pipe[0] >= 0) return true;
    if (pipes->count > 0) {
        pipes->count--;
        flow->pipe[0] = pipes->fds[pipes->count][0];
        flow->pipe[1] = pipes->fds[pipes->count][1];
        return true;
    }
    int fds[2];
    if (pipe2(fds, O_NONBLOCK | O_CLOEXEC) != 0) return false;
    flow->pipe[0] = fds[0];
    flow->pipe[1] = fds[1];
    (void)fcntl(fds[0], F_SETPIPE_SZ,
                FLOW_PIPE_BYTES); /* a user's share may be used up: then it is smaller */
    return true;
}

/* An empty one goes back. */
static void give_pipe_back(struct flow *flow, struct flow_pipes *pipes)
{
    if (flow->pipe[0] < 0 || flow->held > 0) return;
    if (pipes->count == FLOW_PIPES_KEPT) {
        flow_deinit(flow);
        return;
    }
    pipes->fds[pipes->count][0] = flow->pipe[0];
    pipes->fds[pipes->count][1] = flow->pipe[1];
    pipes->count++;
    flow->pipe[0] = flow->pipe[1] = -1;
}

void flow_deinit(struct flow *flow)
{
    auto_close_fd(flow->pipe[0]);
    auto_close_fd(flow->pipe[1]);
    flow->pipe[0] = flow->pipe[1] = -1;
}

bool flow_init(struct flow *flow, struct flow_pipes *pipes, struct span early)
{
    *flow = (struct flow){.pipe = {-1, -1}};
    if (early.len == 0) return true;
    if (!take_pipe(flow, pipes)) return false;
    ssize_t put = write(flow->pipe[1], early.data, early.len);
    if (put != (ssize_t)early.len) {
        flow_deinit(flow);
        return false;
    }
    flow->held = early.len;
    return true;
}

static ssize_t move(int from, int to, size_t len)
{
    ssize_t moved;
    do {
        moved = splice(from, NULL, to, NULL, len, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    } while (moved < 0 && errno == EINTR);
    return moved;
}

static bool nothing_now(ssize_t moved)
{
    return moved < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

/* Until the pipe is empty. */
static enum flow_state drain(struct flow *flow, int to)
{
    while (flow->held > 0) {
        ssize_t moved = move(flow->pipe[0], to, flow->held);
        if (nothing_now(moved)) return FLOW_WANTS_OUTPUT;
        if (moved <= 0) {
            flow_deinit(flow);
            flow->held = 0;
            flow->deaf = true;
            return FLOW_WANTS_INPUT;
        }
        flow->held -= (size_t)moved;
        flow->moved += (uint64_t)moved;
    }
    if (!flow->ended) return FLOW_WANTS_INPUT;
    (void)shutdown(to, SHUT_WR); /* it may be gone already */
    return FLOW_OVER;
}

/* Nobody takes it any more; but a socket that is closed with bytes unread loses what it still had to send. */
static enum flow_state discard(struct flow *flow, int from)
{
    uint8_t bytes[16384];
    for (int i = 0; i < ROUNDS; i++) {
        ssize_t got = recv(from, bytes, sizeof(bytes), MSG_DONTWAIT);
        if (nothing_now(got) || (got < 0 && errno == EINTR)) break;
        if (got > 0) continue;
        flow->ended = true;
        return FLOW_OVER;
    }
    return FLOW_WANTS_INPUT;
}

static enum flow_state move_all(struct flow *flow, struct flow_pipes *pipes, int from, int to)
{
    enum flow_state state = drain(flow, to);
    for (int i = 0; i < ROUNDS && state == FLOW_WANTS_INPUT && !flow->deaf; i++) {
        if (!take_pipe(flow, pipes)) return FLOW_BROKEN;
        ssize_t moved = move(from, flow->pipe[1], FLOW_PIPE_BYTES);
        if (nothing_now(moved)) break;
        flow->ended = moved <= 0; /* a reset ends a direction, and not what the other one still carries */
        flow->held = moved > 0 ? (size_t)moved : 0;
        state = drain(flow, to);
    }
    return state == FLOW_WANTS_INPUT && flow->deaf ? discard(flow, from) : state;
}

enum flow_state flow_move(struct flow *flow, struct flow_pipes *pipes, int from, int to)
{
    enum flow_state state = move_all(flow, pipes, from, to);
    give_pipe_back(flow, pipes);
    return state;
}
