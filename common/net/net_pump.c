#include "common/net/net_pump.h"

#include "common/base/auto.h"
#include "common/net/net_handshake.h"
#include "common/net/net_zmq.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#define PIPE_BYTES (1 << 20) /* asked for: more than the system grants is no error */
#define LOOK_BYTES 4096      /* less than any pipe holds */
#define ROUNDS 8             /* before the other direction has its turn */
#define LAST_WORDS_MS 250

/* Bytes on their way from one connection to the other. */
struct lane {
    int from;
    int to;
    int pipe[2];
    size_t held;             /* in the pipe */
    bool ended;              /* `from` has no more, and all of it is passed on */
    bool dead;               /* `to` takes no more */
    bool quiet;              /* `from` has no more for now */
    _Atomic uint64_t *count; /* of the bytes that `from` gave; NULL: of no interest */
};

static void lane_deinit(struct lane *lane)
{
    auto_close_fd(lane->pipe[0]);
    auto_close_fd(lane->pipe[1]);
}
DEFINE_AUTO_IN_PLACE(lane, struct lane, lane_deinit)

static bool lane_init(struct lane *lane, int from, int to, _Atomic uint64_t *count)
{
    *lane = (struct lane){.from = from, .to = to, .pipe = {-1, -1}, .count = count};
    if (pipe2(lane->pipe, O_NONBLOCK | O_CLOEXEC) != 0) return false;
    for (int size = PIPE_BYTES; size > 65536 && fcntl(lane->pipe[0], F_SETPIPE_SZ, size) < 0;)
        size /= 2;
    return true;
}

static bool failed_for_good(ssize_t moved)
{
    return moved < 0 && errno != EAGAIN && errno != EINTR;
}

static void took(struct lane *lane, ssize_t got)
{
    lane->ended = got == 0 || failed_for_good(got);
    lane->quiet = got <= 0;
    if (got > 0) lane->held = (size_t)got;
    if (got > 0 && lane->count) atomic_fetch_add(lane->count, (uint64_t)got);
}

static void lane_give(struct lane *lane)
{
    if (lane->held == 0) return;
    ssize_t given =
        splice(lane->pipe[0], NULL, lane->to, NULL, lane->held, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    lane->dead = given == 0 || failed_for_good(given);
    if (given > 0) lane->held -= (size_t)given;
    if (lane->dead) lane->held = 0;
}

static void lane_move(struct lane *lane)
{
    lane->quiet = false;
    for (int i = 0; i < ROUNDS && !lane->ended && !lane->quiet; i++) {
        if (lane->held == 0 && !lane->dead)
            took(lane, splice(lane->from, NULL, lane->pipe[1], NULL, PIPE_BYTES,
                              SPLICE_F_MOVE | SPLICE_F_NONBLOCK));
        lane_give(lane);
        if (lane->held > 0 || lane->dead) return;
    }
}

/* As lane_move, and looks at the bytes on their way. */
static bool lane_move_and_look(struct lane *lane, struct net_handshake *handshake)
{
    bool done = false;
    if (lane->held == 0 && !lane->dead) {
        uint8_t bytes[LOOK_BYTES];
        ssize_t got = recv(lane->from, bytes, sizeof(bytes), MSG_DONTWAIT);
        if (got > 0) {
            done = net_handshake_read(handshake, span_of(bytes, (size_t)got));
            if (write(lane->pipe[1], bytes, (size_t)got) != got) got = -1; /* cannot be: the pipe is empty */
        }
        took(lane, got);
    }
    lane_give(lane);
    return done;
}

/* What to wait for on the connection from which `reads` takes and to which `writes` gives. */
static struct pollfd end_of(const struct lane *reads, const struct lane *writes)
{
    const bool wants_in = reads->held == 0 && !reads->dead;
    const bool wants_out = writes->held > 0;
    return (struct pollfd){.fd = wants_in || wants_out ? reads->from : -1,
                           .events = (short)((wants_in ? POLLIN : 0) | (wants_out ? POLLOUT : 0))};
}

/* A pump at work. */
struct work {
    const struct net_pump *pump;
    struct lane *out, *in;
    struct net_handshake handshake;
    bool shook_hands, finishing;
    int64_t handshake_by;
};

static int64_t nearer(int64_t one, int64_t other)
{
    return one < other ? one : other; /* what never comes is the highest number */
}

/* false: the time is over */
static bool wait_for_bytes(struct work *work)
{
    const int64_t by = nearer(work->finishing ? work->pump->finish_by(work->pump->owner) : net_deadline(-1),
                              work->shook_hands ? net_deadline(-1) : work->handshake_by);
    const int left = net_deadline_left(by);
    struct pollfd fds[] = {end_of(work->out, work->in),
                           end_of(work->in, work->out),
                           {.fd = work->finishing ? -1 : work->pump->finish, .events = POLLIN}};
    if (left == 0) return false;
    if (poll(fds, 3, left) < 0 && errno != EINTR) return false;
    if (fds[2].revents) work->finishing = true;
    return true;
}

static bool is_over(const struct work *work)
{
    return work->out->ended || work->in->ended || (work->out->dead && work->in->dead);
}

static enum net_pump_end shuttle(struct work *work)
{
    while (!is_over(work)) {
        if (!wait_for_bytes(work)) return work->finishing ? NET_PUMP_FINISHED : NET_PUMP_LATE;
        lane_move(work->out);
        if (work->shook_hands)
            lane_move(work->in);
        else
            work->shook_hands = lane_move_and_look(work->in, &work->handshake);
    }
    return work->in->ended ? NET_PUMP_OUTER : NET_PUMP_INNER;
}

/* When a connection ends that libzmq has made, it drops what nobody has taken from it yet (ZMQ_IMMEDIATE):
 * the last words from outside get their time before it hears of the end. */
static void let_last_words_in(const struct work *work)
{
    struct pollfd fds[] = {{.fd = work->pump->inner, .events = POLLRDHUP},
                           {.fd = work->finishing ? -1 : work->pump->finish, .events = POLLIN}};
    const int64_t by = work->finishing ? work->pump->finish_by(work->pump->owner) : net_deadline(-1);
    (void)poll(fds, 2, net_deadline_left(nearer(by, net_deadline(LAST_WORDS_MS))));
}

struct net_pump_result net_pump_run(const struct net_pump *pump)
{
    AUTO(lane) struct lane out = {.pipe = {-1, -1}};
    AUTO(lane) struct lane in = {.pipe = {-1, -1}};
    if (!lane_init(&out, pump->inner, pump->outer, NULL) ||
        !lane_init(&in, pump->outer, pump->inner, pump->received))
        return (struct net_pump_result){.end = NET_PUMP_SYSTEM, .number = errno};
    struct work work = {
        .pump = pump, .out = &out, .in = &in, .handshake_by = net_deadline(pump->handshake_ms)};
    net_handshake_init(&work.handshake);
    const enum net_pump_end end = shuttle(&work);
    if (end == NET_PUMP_OUTER && work.shook_hands) let_last_words_in(&work);
    return (struct net_pump_result){.end = end, .shook_hands = work.shook_hands};
}
