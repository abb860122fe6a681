#include "common/net/net_relay.h"

#include "common/base/alloc.h"
#include "common/base/backoff.h"
#include "common/base/local_peer.h"
#include "common/base/tcp.h"
#include "common/base/text.h"
#include "common/net/net_dial.h"
#include "common/net/net_pump.h"
#include "common/net/net_tally.h"
#include "common/net/net_wake.h"
#include "common/net/net_zmq.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

struct net_relay {
    struct net_context *context;
    struct net_dial_proxy proxies[NET_DIAL_PROXIES_MAX]; /* in the order of the way */
    size_t proxy_count;
    struct host_port target;
    int connect_ms, answer_ms, handshake_ms, silence_ms;
    int listener;
    char address[64];
    struct net_tally tally; /* by the name behind "ipc://@" */
    struct net_wake finish;
    struct backoff backoff; /* from the beginning of one try to the next */
    int64_t next_try;       /* net_deadlines */
    int64_t connected;

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

static int64_t finish_by(void *owner)
{
    struct net_relay *relay = owner;
    (void)pthread_mutex_lock(&relay->lock);
    int64_t deadline = relay->finish_by;
    (void)pthread_mutex_unlock(&relay->lock);
    return deadline;
}

static int take(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}

static void begin_try(struct net_relay *relay)
{
    relay->next_try = net_deadline((int)backoff_pause(&relay->backoff));
}

/* A connection that stood for less than the pause before it is one more that failed: somebody cuts each. */
static void end_try(struct net_relay *relay)
{
    if (net_deadline(0) - relay->connected < (int64_t)relay->backoff.last_ms) return;
    backoff_reset(&relay->backoff);
    relay->next_try = 0;
}

/* Whom a failure is about; `proxy`: which of them, where there are any. */
static void put_whom(const struct net_relay *relay, size_t proxy, struct err *err)
{
    const bool proxied = relay->proxy_count > 0;
    const struct host_port *at = proxied ? &relay->proxies[proxy].at : &relay->target;
    (void)err_wrap(err, "%s'%s:%u'", proxied ? "proxy " : "", at->host, at->port);
}

/* What ends a wait on behalf of `inner`: that it is closed, or that the relay is given up. */
static void endings(const struct net_relay *relay, int inner, struct pollfd out[static NET_DIAL_ENDINGS])
{
    out[0] = (struct pollfd){.fd = inner, .events = POLLRDHUP};
    out[1] = (struct pollfd){.fd = relay->finish.fd, .events = POLLIN};
}

/* false: nobody waits for the try any more */
static bool await_turn(const struct net_relay *relay, int inner)
{
    struct pollfd fds[NET_DIAL_ENDINGS];
    endings(relay, inner, fds);
    for (;;) {
        int ready = poll(fds, NET_DIAL_ENDINGS, net_deadline_left(relay->next_try));
        if (ready < 0 && errno == EINTR) continue;
        return ready == 0;
    }
}

static void note_unreached(struct net_relay *relay, struct net_reach_result result)
{
    struct err err;
    char text[NET_REACH_TEXT_MAX];
    if (result.reason == NET_REACH_GIVEN_UP) return;
    if (result.end == NET_REACH_PROXY) result.end = NET_REACH_TARGET; /* the proxy is named before it */
    net_reach_text(&result, text);
    (void)err_set(&err, net_reach_code(result.reason), "%s", text);
    put_whom(relay, result.proxy, &err);
    note_failure(relay, &err);
}

/* The proxies of one try, with who logs in there now. */
struct hops {
    struct net_dial_proxy proxies[NET_DIAL_PROXIES_MAX];
    size_t count;
};

static void hops_deinit(struct hops *hops)
{
    for (size_t i = 0; i < hops->count; i++)
        net_dial_proxy_deinit(&hops->proxies[i]);
}
DEFINE_AUTO_IN_PLACE(hops, struct hops, hops_deinit)

static void log_in(const struct net_relay *relay, struct hops *out)
{
    for (size_t i = 0; i < relay->proxy_count; i++) {
        struct net_dial_proxy *proxy = &out->proxies[out->count++];
        proxy->at = relay->proxies[i].at;
        net_logins_find(net_context_logins(relay->context), proxy);
    }
}

/* Returns the connection to the target, or -1. */
static int reach_target(struct net_relay *relay, int inner)
{
    AUTO(hops) struct hops hops = {.count = 0};
    struct net_dial dial = {.target = &relay->target,
                            .proxies = hops.proxies,
                            .connect_ms = relay->connect_ms,
                            .answer_ms = relay->answer_ms,
                            .silence_ms = relay->silence_ms};
    struct net_reach_result result;
    endings(relay, inner, dial.endings);
    if (!await_turn(relay, inner)) return -1;
    begin_try(relay);
    log_in(relay, &hops);
    dial.proxy_count = hops.count;
    int outer = net_dial(&dial, &result);
    if (outer < 0)
        note_unreached(relay, result);
    else
        note_failure(relay, &(struct err){.code = ERR_NONE});
    return outer;
}

static void note_unshaken(struct net_relay *relay, const struct net_pump_result *result)
{
    struct err err;
    if (result->end == NET_PUMP_SYSTEM)
        (void)err_sys(&err, result->number, "cannot make a pipe");
    else if (result->end == NET_PUMP_LATE)
        (void)err_set(&err, ERR_UNREACHABLE, "connected, but the other end does not shake hands within %d ms",
                      relay->handshake_ms);
    else if (result->end == NET_PUMP_OUTER)
        (void)err_set(&err, ERR_UNREACHABLE, "connected, but the connection ended before hands were shaken");
    else
        return;
    put_whom(relay, relay->proxy_count - 1, &err);
    note_failure(relay, &err);
}

static void carry(struct net_relay *relay, int inner, int outer)
{
    const struct net_pump pump = {.inner = inner,
                                  .outer = outer,
                                  .handshake_ms = relay->handshake_ms,
                                  .finish = relay->finish.fd,
                                  .finish_by = finish_by,
                                  .owner = relay,
                                  .received = &relay->tally.bytes};
    relay->connected = net_deadline(0);
    tcp_keep_short(outer); /* the way behind a proxy may be long, and how long is not known here */
    const struct net_pump_result result = net_pump_run(&pump);
    if (result.shook_hands)
        end_try(relay);
    else
        note_unshaken(relay, &result);
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
        AUTO(fd) int fd = accept4(relay->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) { /* out of descriptors, perhaps: not again at once */
            (void)poll(&fds[1], 1, 100);
            continue;
        }
        if (local_peer_is_self(fd)) return take(&fd);
    }
}

static void release(struct net_relay *relay)
{
    if (!relay) return;
    if (relay->tally.name[0]) net_tally_close(&relay->tally);
    auto_close_fd(relay->listener);
    net_wake_deinit(&relay->finish);
    (void)pthread_mutex_destroy(&relay->lock);
    for (size_t i = 0; i < relay->proxy_count; i++)
        net_dial_proxy_deinit(&relay->proxies[i]);
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
        listen(relay->listener, 4) == 0) {
        net_tally_open(&relay->tally, address.sun_path + 1);
        return true;
    }
    return err_sys(err, errno, "cannot listen at '%s'", relay->address);
}

static bool add_proxy(struct net_relay *relay, const char *at, struct err *err)
{
    if (!net_dial_proxy_init(&relay->proxies[relay->proxy_count], at, NULL, NULL, err)) return false;
    relay->proxy_count++;
    return true;
}

bool net_relay_start(struct net_context *context, const struct net_relay_options *options,
                     struct net_relay **out, struct err *err)
{
    AUTO(relay_parts) struct net_relay *relay = xcalloc(1, sizeof(*relay));
    relay->context = context;
    relay->connect_ms = options->connect_ms;
    relay->answer_ms = options->answer_ms;
    relay->handshake_ms = options->handshake_ms;
    relay->silence_ms = options->silence_ms;
    relay->backoff = (struct backoff){.first_ms = (uint64_t)options->reconnect_ms,
                                      .most_ms = (uint64_t)options->reconnect_max_ms};
    relay->listener = relay->finish.fd = -1;
    (void)pthread_mutex_init(&relay->lock, NULL);
    assert(options->proxy || !options->way_out);
    if ((options->way_out && !add_proxy(relay, options->way_out, err)) ||
        (options->proxy && !add_proxy(relay, options->proxy, err)))
        return false;
    if (!host_port_parse(options->target, HOST_PORT_DIALLED, &relay->target, err))
        return err_wrap(err, "address");
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
