#include "common/net/net_relay.h"

#include "common/base/alloc.h"
#include "common/base/secret.h"
#include "common/base/text.h"
#include "common/net/net_socks.h"
#include "common/net/net_wake.h"
#include "common/net/net_zmq.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define BUFFER_SIZE (128 << 10)

struct net_relay {
    struct net_context *context;
    struct net_host_port proxy;
    struct net_host_port target;
    int dial_timeout_ms;
    int listener;
    char address[64];
    struct net_wake finish;

    pthread_mutex_t lock; /* of what follows */
    int64_t finish_by;    /* a net_deadline, once `finish` is signalled */
    struct err failure;
};

static bool is_finishing(const struct net_relay *relay)
{
    struct pollfd finish = {.fd = relay->finish.fd, .events = POLLIN};
    return poll(&finish, 1, 0) > 0;
}

static void note_failure(struct net_relay *relay, const struct err *failure)
{
    (void)pthread_mutex_lock(&relay->lock);
    relay->failure = *failure;
    (void)pthread_mutex_unlock(&relay->lock);
}

static int take(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}

/* One try to reach the target, on behalf of the connection `inner`. */
struct dial {
    struct net_relay *relay;
    int inner;
    int outer;
    int64_t deadline;
};

/* Waits for `events` on the outer connection, unless the inner one ends or the relay is given up. */
static bool await(const struct dial *dial, short events, struct err *err)
{
    for (;;) {
        struct pollfd fds[] = {{.fd = dial->outer, .events = events},
                               {.fd = dial->inner, .events = POLLRDHUP},
                               {.fd = dial->relay->finish.fd, .events = POLLIN}};
        int ready = poll(fds, 3, net_deadline_left(dial->deadline));
        if (ready < 0 && errno == EINTR) continue;
        if (ready < 0) return err_sys(err, errno, "cannot wait for the proxy");
        if (ready == 0) return err_set(err, ERR_UNREACHABLE, "the proxy does not answer in time");
        if (fds[1].revents || fds[2].revents) return err_set(err, ERR_CANCELLED, "given up");
        return true;
    }
}

static bool connect_to(struct dial *dial, const struct addrinfo *info, struct err *err)
{
    AUTO(fd) int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return err_sys(err, errno, "cannot make a socket");
    const int one = 1;
    int failed = 0;
    socklen_t size = sizeof(failed);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
    if (connect(fd, info->ai_addr, info->ai_addrlen) != 0) {
        if (errno != EINPROGRESS) return err_sys(err, errno, "cannot connect");
        dial->outer = fd;
        if (!await(dial, POLLOUT, err)) return false;
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &size) != 0) failed = errno;
        if (failed) return err_sys(err, failed, "cannot connect");
    }
    dial->outer = take(&fd);
    return true;
}

static bool reach_proxy(struct dial *dial, struct err *err)
{
    const struct net_host_port *proxy = &dial->relay->proxy;
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    char port[8];
    (void)snprintf(port, sizeof(port), "%u", proxy->port);
    int failed = getaddrinfo(proxy->host, port, &hints, &found);
    if (failed)
        return err_set(err, ERR_UNREACHABLE, "cannot find '%s': %s", proxy->host, gai_strerror(failed));
    bool connected = false;
    for (const struct addrinfo *info = found; info && !connected; info = info->ai_next)
        connected = connect_to(dial, info, err);
    freeaddrinfo(found);
    return connected;
}

static bool send_all(const struct dial *dial, const uint8_t *bytes, size_t len, struct err *err)
{
    for (size_t done = 0; done < len;) {
        if (!await(dial, POLLOUT, err)) return false;
        ssize_t sent = send(dial->outer, bytes + done, len - done, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR && errno != EAGAIN)
            return err_sys(err, errno, "cannot send to the proxy");
        if (sent > 0) done += (size_t)sent;
    }
    return true;
}

static bool receive_all(const struct dial *dial, uint8_t *out, size_t len, struct err *err)
{
    for (size_t done = 0; done < len;) {
        if (!await(dial, POLLIN, err)) return false;
        ssize_t got = recv(dial->outer, out + done, len - done, 0);
        if (got == 0) return err_set(err, ERR_UNREACHABLE, "the proxy closed the connection");
        if (got < 0 && errno != EINTR && errno != EAGAIN) return err_sys(err, errno, "cannot hear the proxy");
        if (got > 0) done += (size_t)got;
    }
    return true;
}

static bool ask_proxy(const struct dial *dial, struct err *err)
{
    uint8_t choice[NET_SOCKS_CHOICE_LEN];
    uint8_t request[NET_SOCKS_REQUEST_MAX];
    uint8_t head[NET_SOCKS_REPLY_HEAD_LEN];
    uint8_t tail[NET_SOCKS_REPLY_TAIL_MAX];
    size_t tail_len;
    size_t request_len = net_socks_request(&dial->relay->target, request);
    return send_all(dial, net_socks_greeting, sizeof(net_socks_greeting), err) &&
           receive_all(dial, choice, sizeof(choice), err) && net_socks_check_choice(choice, err) &&
           send_all(dial, request, request_len, err) && receive_all(dial, head, sizeof(head), err) &&
           net_socks_check_reply(head, &tail_len, err) && receive_all(dial, tail, tail_len, err);
}

/* Returns the connection to the target, or -1. */
static int reach_target(struct net_relay *relay, int inner)
{
    struct err err = {.code = ERR_NONE};
    struct dial dial = {
        .relay = relay, .inner = inner, .outer = -1, .deadline = net_deadline(relay->dial_timeout_ms)};
    if (reach_proxy(&dial, &err)) {
        AUTO(fd) int outer = dial.outer;
        if (ask_proxy(&dial, &err)) {
            note_failure(relay, &(struct err){.code = ERR_NONE});
            return take(&outer);
        }
    }
    err_wrap(&err, "proxy '%s:%u'", relay->proxy.host, relay->proxy.port);
    if (err.code != ERR_CANCELLED) note_failure(relay, &err);
    return -1;
}

/* Bytes on their way from one connection to the other. */
struct lane {
    int from;
    int to;
    bool ended; /* `from` has no more, and all of it is passed on */
    bool dead;  /* `to` takes no more */
    size_t start;
    size_t len;
    uint8_t bytes[BUFFER_SIZE];
};

static bool failed_for_good(ssize_t moved)
{
    return moved < 0 && errno != EAGAIN && errno != EINTR;
}

static void lane_move(struct lane *lane)
{
    if (lane->len == 0 && !lane->dead) {
        ssize_t got = recv(lane->from, lane->bytes, BUFFER_SIZE, MSG_DONTWAIT);
        lane->ended = got == 0 || failed_for_good(got);
        lane->start = 0;
        lane->len = got > 0 ? (size_t)got : 0;
    }
    if (lane->len == 0) return;
    ssize_t sent = send(lane->to, lane->bytes + lane->start, lane->len, MSG_DONTWAIT | MSG_NOSIGNAL);
    lane->dead = failed_for_good(sent);
    if (sent > 0) {
        lane->start += (size_t)sent;
        lane->len -= (size_t)sent;
    }
    if (lane->dead) lane->len = 0;
}

/* What to wait for on the connection from which `reads` takes and to which `writes` gives. */
static struct pollfd end_of(const struct lane *reads, const struct lane *writes)
{
    const bool wants_in = reads->len == 0 && !reads->dead;
    const bool wants_out = writes->len > 0;
    return (struct pollfd){.fd = wants_in || wants_out ? reads->from : -1,
                           .events = (short)((wants_in ? POLLIN : 0) | (wants_out ? POLLOUT : 0))};
}

static int64_t finish_by(struct net_relay *relay)
{
    (void)pthread_mutex_lock(&relay->lock);
    int64_t deadline = relay->finish_by;
    (void)pthread_mutex_unlock(&relay->lock);
    return deadline;
}

/* Until one side has ended and what it had said is passed on, or the relay's time is over. */
static void shuttle(struct net_relay *relay, struct lane *out, struct lane *in)
{
    bool finishing = false;
    while (!out->ended && !in->ended && !(out->dead && in->dead)) {
        struct pollfd fds[] = {
            end_of(out, in), end_of(in, out), {.fd = finishing ? -1 : relay->finish.fd, .events = POLLIN}};
        int left = finishing ? net_deadline_left(finish_by(relay)) : -1;
        if ((poll(fds, 3, left) < 0 && errno != EINTR) || left == 0) return;
        if (fds[2].revents) finishing = true;
        lane_move(out);
        lane_move(in);
    }
}

static void carry(struct net_relay *relay, int inner, int outer)
{
    AUTO(free) struct lane *out = xmalloc(sizeof(*out));
    AUTO(free) struct lane *in = xmalloc(sizeof(*in));
    out->ended = in->ended = out->dead = in->dead = false;
    out->len = in->len = 0;
    out->from = in->to = inner;
    out->to = in->from = outer;
    shuttle(relay, out, in);
}

/* The name is visible on the whole machine. */
static bool is_ours(int fd)
{
    struct ucred who;
    socklen_t size = sizeof(who);
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0 && who.pid == getpid();
}

/* -1 when the relay is given up */
static int accept_inner(struct net_relay *relay)
{
    for (;;) {
        struct pollfd fds[] = {{.fd = relay->listener, .events = POLLIN},
                               {.fd = relay->finish.fd, .events = POLLIN}};
        if (poll(fds, 2, -1) < 0 && errno != EINTR) return -1;
        if (fds[1].revents) return -1;
        if (!fds[0].revents) continue;
        AUTO(fd) int fd = accept4(relay->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) { /* out of descriptors, perhaps: not again at once */
            (void)poll(&fds[1], 1, 100);
            continue;
        }
        if (is_ours(fd)) return take(&fd);
    }
}

static void release(struct net_relay *relay)
{
    if (!relay) return;
    auto_close_fd(relay->listener);
    net_wake_deinit(&relay->finish);
    (void)pthread_mutex_destroy(&relay->lock);
    free(relay);
}
DEFINE_AUTO(relay_parts, struct net_relay *, release)

static void *run(void *argument)
{
    struct net_relay *relay = argument;
    struct net_context *context = relay->context;
    while (!is_finishing(relay)) {
        AUTO(fd) int inner = accept_inner(relay);
        AUTO(fd) int outer = inner < 0 ? -1 : reach_target(relay, inner);
        if (outer >= 0) carry(relay, inner, outer);
    }
    (void)finish_by(relay); /* net_relay_finish has let go of the lock */
    release(relay);
    net_context_leave(context);
    return NULL;
}

/* An abstract name, which needs no directory and leaves nothing behind. */
static bool listen_locally(struct net_relay *relay, struct err *err)
{
    uint8_t noise[16];
    char name[2 * sizeof(noise) + 1];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    random_bytes(noise, sizeof(noise));
    hex_encode(noise, sizeof(noise), name);
    int len = snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "sealift-%s", name);
    (void)snprintf(relay->address, sizeof(relay->address), "ipc://@sealift-%s", name);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len);
    relay->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (relay->listener >= 0 && bind(relay->listener, (const struct sockaddr *)&address, size) == 0 &&
        listen(relay->listener, 4) == 0)
        return true;
    return err_sys(err, errno, "cannot listen at '%s'", relay->address);
}

bool net_relay_start(struct net_context *context, const char *proxy, const char *target, int dial_timeout_ms,
                     struct net_relay **out, struct err *err)
{
    AUTO(relay_parts) struct net_relay *relay = xcalloc(1, sizeof(*relay));
    relay->context = context;
    relay->dial_timeout_ms = dial_timeout_ms;
    relay->listener = relay->finish.fd = -1;
    (void)pthread_mutex_init(&relay->lock, NULL);
    if (!net_host_port_parse(proxy, &relay->proxy, err)) return err_wrap(err, "proxy");
    if (!net_host_port_parse(target, &relay->target, err)) return err_wrap(err, "address");
    if (!net_wake_init(&relay->finish, err) || !listen_locally(relay, err)) return false;
    net_context_enter(context);
    if (!net_thread_start(run, relay, NULL, err)) {
        net_context_leave(context);
        return false;
    }
    *out = relay;
    relay = NULL;
    return true;
}

const char *net_relay_address(const struct net_relay *relay)
{
    return relay->address;
}

bool net_relay_failure(struct net_relay *relay, struct err *out)
{
    (void)pthread_mutex_lock(&relay->lock);
    bool failed = relay->failure.code != ERR_NONE;
    if (failed) *out = relay->failure;
    (void)pthread_mutex_unlock(&relay->lock);
    return failed;
}

void net_relay_finish(struct net_relay *relay, int linger_ms)
{
    if (!relay) return;
    (void)pthread_mutex_lock(&relay->lock);
    relay->finish_by = net_deadline(linger_ms);
    net_wake_signal(&relay->finish);
    (void)pthread_mutex_unlock(&relay->lock);
}
