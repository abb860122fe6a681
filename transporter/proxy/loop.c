/* The proxy's loop: events, deadlines, reload and drain. */
#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "transporter/proxy/host_end.h"
#include "transporter/proxy/listen.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

enum {
    EVENTS = 256,
    LOOK_MS = 200,         /* how often deadlines are looked at */
    LINES_PER_SECOND = 10, /* about callers that are refused */
    FDS_EACH = 6,          /* a caller, its endpoint, a pipe each way */
    FDS_BESIDE = 64 + 2 * FLOW_PIPES_KEPT,
};

bool watch_set(struct proxy *proxy, struct watch *watch, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};
    if (events == watch->events) return true;
    int what = events == 0 ? EPOLL_CTL_DEL : watch->events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    if (epoll_ctl(proxy->epoll, what, watch->fd, &event) != 0) return false;
    watch->events = events;
    return true;
}

const char *said(const struct proxy *proxy, enum said what)
{
    static const char *const names[][2] = {
        [SAID_REFUSED] = {"refused", "reverse_refused"},
        [SAID_REFUSED_MORE] = {"refused_more", "reverse_refused_more"},
        [SAID_JOINED] = {"joined", "reverse_joined"},
        [SAID_ENDED] = {"ended", "reverse_ended"},
        [SAID_FEWER] = {"fewer_connections", "reverse_fewer_connections"},
        [SAID_NO_DESCRIPTORS] = {"no_descriptors", "reverse_no_descriptors"},
    };
    return names[what][proxy->options.expects ? 1 : 0];
}

bool may_log(struct proxy *proxy)
{
    uint64_t second = proxy->now_ms / 1000;
    char count[24];
    if (second != proxy->log_second) {
        (void)snprintf(count, sizeof(count), "%zu", proxy->unlogged);
        if (proxy->unlogged > 0)
            log_event(LOG_WARN, said(proxy, SAID_REFUSED_MORE), "lines_left_out", count, NULL);
        proxy->log_second = second;
        proxy->logged = 0;
        proxy->unlogged = 0;
    }
    if (proxy->logged++ < LINES_PER_SECOND) return true;
    proxy->unlogged++;
    return false;
}

/* As many descriptors as the limits need, or as many connections as there are descriptors for. */
static void bound_callers(struct proxy *proxy)
{
    size_t callers = proxy->settings.connections;
    rlim_t need = FDS_BESIDE + FDS_EACH * (rlim_t)callers;
    struct rlimit limit = {.rlim_cur = 1024, .rlim_max = 1024};
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < need) {
        limit.rlim_cur = limit.rlim_max < need ? limit.rlim_max : need;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    if (limit.rlim_cur < need) {
        char most[24];
        callers = limit.rlim_cur > FDS_BESIDE + 2 * FDS_EACH ? (limit.rlim_cur - FDS_BESIDE) / FDS_EACH : 2;
        (void)snprintf(most, sizeof(most), "%zu", callers);
        log_event(LOG_WARN, said(proxy, SAID_FEWER), "most", most, "reason", "RLIMIT_NOFILE", "next",
                  "raise the hard limit (LimitNOFILE=), or lower limits.connections", NULL);
    }
    proxy->callers_most = callers;
}

static bool open_all(struct proxy *proxy, struct err *err)
{
    proxy->epoll = epoll_create1(EPOLL_CLOEXEC);
    proxy->reload_watch.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (proxy->epoll < 0 || proxy->reload_watch.fd < 0) return err_sys(err, errno, "cannot make an epoll");
    proxy->wake.fd = proxy->options.wake_fd;
    if (!watch_set(proxy, &proxy->wake, EPOLLIN) || !watch_set(proxy, &proxy->reload_watch, EPOLLIN))
        return err_sys(err, errno, "cannot wait for signals");
    return listen_as(proxy, &proxy->settings, err);
}

bool proxy_new(const struct proxy_options *options, struct proxy_settings *settings, struct proxy **out,
               struct err *err)
{
    uint8_t key[SIPHASH_KEY_LEN];
    AUTO(proxy) struct proxy *proxy = xcalloc(1, sizeof(*proxy));
    random_bytes(key, sizeof(key));
    proxy->options = *options;
    proxy->settings = *settings;
    *settings = (struct proxy_settings){0};
    proxy->wake = (struct watch){.kind = WATCH_WAKE, .fd = -1};
    proxy->reload_watch = (struct watch){.kind = WATCH_RELOAD, .fd = -1};
    proxy->epoll = -1;
    proxy->clients = address_count_new(key);
    proxy->meetings = rendezvous_new(key);
    bound_callers(proxy);
    reload_resolve(&proxy->settings);
    if (!open_all(proxy, err)) return false;
    *out = proxy;
    proxy = NULL;
    return true;
}

static void free_dead(struct proxy *proxy)
{
    while (proxy->dead) {
        struct end *end = proxy->dead;
        proxy->dead = end->behind;
        free(end);
    }
}

static void drop_list(struct proxy *proxy, struct end_list *list)
{
    while (list->first)
        end_drop(proxy, list->first);
}

void proxy_free(struct proxy *proxy)
{
    if (!proxy) return;
    AUTO(proxy_settings) struct proxy_settings unused = {0};
    struct err err;
    drop_list(proxy, &proxy->asking);
    drop_list(proxy, &proxy->held);
    drop_list(proxy, &proxy->refused);
    drop_list(proxy, &proxy->settled);
    free_dead(proxy);
    listen_no_more(proxy);
    if (proxy->reload) (void)!reload_finish(proxy->reload, &unused, &err);
    flow_pipes_deinit(&proxy->pipes);
    address_count_free(proxy->clients);
    rendezvous_free(proxy->meetings);
    proxy_settings_deinit(&proxy->settings);
    auto_close_fd(proxy->reload_watch.fd);
    auto_close_fd(proxy->epoll);
    free(proxy);
}

void proxy_addresses(const struct proxy *proxy, struct buf *out)
{
    char text[ADDRESS_TEXT_LEN];
    for (size_t i = 0; i < proxy->listener_count; i++) {
        address_print(&proxy->listeners[i]->bound, text);
        buf_printf(out, "%s%s", i ? " " : "", text);
    }
}

/* --- deadlines */

static void look_at_settled(struct proxy *proxy, struct end *end)
{
    bool idle = end->phase == PHASE_JOINED && proxy->now_ms - end->moved_ms >= proxy->settings.idle_ms;
    if (end->phase == PHASE_DIALLING && end->role == ROLE_CALLER && end->deadline_ms <= proxy->now_ms)
        dial_late(proxy, end);
    else if (idle)
        end_drop(proxy, end);
}

/* The next in the list that closing this one, and its partner with it, does not take away. */
static struct end *behind(const struct end *end)
{
    return end->behind && end->behind == end->partner ? end->behind->behind : end->behind;
}

static void look_at_deadlines(struct proxy *proxy)
{
    if (proxy->now_ms - proxy->last_look_ms < LOOK_MS) return;
    proxy->last_look_ms = proxy->now_ms;
    while (proxy->asking.first && proxy->asking.first->deadline_ms <= proxy->now_ms) {
        char client[ADDRESS_TEXT_LEN];
        address_print(&proxy->asking.first->address, client);
        if (may_log(proxy))
            log_event(LOG_WARN, said(proxy, SAID_REFUSED), "client", client, "reason",
                      "did not ask in time (limits.handshake)", NULL);
        end_drop(proxy, proxy->asking.first);
    }
    while (proxy->held.first && proxy->held.first->deadline_ms <= proxy->now_ms)
        host_end_refuse(proxy, proxy->held.first);
    while (proxy->refused.first && proxy->refused.first->deadline_ms <= proxy->now_ms)
        end_drop(proxy, proxy->refused.first);
    for (uint64_t late; (late = rendezvous_expire(proxy->meetings, proxy->now_ms)) != RENDEZVOUS_NOBODY;)
        caller_alone(proxy, end_of_number(late));
    for (struct end *end = proxy->settled.first, *next; end; end = next) {
        next = behind(end);
        look_at_settled(proxy, end);
    }
    if (proxy->state == PAUSED && proxy->resume_ms <= proxy->now_ms) listen_resume(proxy);
}

/* --- reload and drain */

static void begin_reload(struct proxy *proxy)
{
    struct err err;
    if (proxy->state == DRAINING) return;
    proxy->reload_again = proxy->reload != NULL;
    if (proxy->reload) return;
    if (!reload_start(proxy->options.config, proxy->reload_watch.fd, &proxy->reload, &err))
        log_event(LOG_WARN, "reload_failed", "reason", err.text, "next", "the old settings stay", NULL);
}

static void use_settings(struct proxy *proxy, struct proxy_settings *settings, struct err *err)
{
    if (!listen_as(proxy, settings, err)) {
        log_event(LOG_WARN, "reload_failed", "reason", err->text, "next", "the old settings stay", NULL);
        return;
    }
    struct proxy_settings old = proxy->settings;
    proxy->settings = *settings;
    *settings = old;
    bound_callers(proxy);
    log_init("sealift-proxy", proxy->settings.log_level);
    log_event(LOG_INFO, "reloaded", "next", "new callers get the new settings", NULL);
}

static void finish_reload(struct proxy *proxy)
{
    AUTO(proxy_settings) struct proxy_settings settings = {0};
    struct err err;
    eventfd_t count;
    (void)eventfd_read(proxy->reload_watch.fd, &count);
    if (!proxy->reload) return;
    bool ok = reload_finish(proxy->reload, &settings, &err);
    proxy->reload = NULL;
    if (proxy->state == DRAINING) return;
    if (proxy->state == PAUSED) listen_resume(proxy);
    if (ok)
        use_settings(proxy, &settings, &err);
    else
        log_event(LOG_WARN, "reload_failed", "reason", err.text, "next", "the old settings stay", NULL);
    if (proxy->reload_again) begin_reload(proxy); /* the file may have changed since it was read */
}

/* Who has not been joined is let go; the others have the drain time. */
static void begin_drain(struct proxy *proxy)
{
    if (proxy->state == DRAINING) return;
    proxy->state = DRAINING;
    proxy->resume_ms = proxy->now_ms + proxy->settings.drain_ms;
    listen_no_more(proxy);
    drop_list(proxy, &proxy->asking);
    drop_list(proxy, &proxy->held);
    drop_list(proxy, &proxy->refused);
    for (struct end *end = proxy->settled.first, *next; end; end = next) {
        next = behind(end);
        if (end->phase != PHASE_JOINED) end_drop(proxy, end);
    }
}

static void wake(struct proxy *proxy)
{
    enum proxy_wish wish = proxy->options.woken(proxy->options.arg);
    if (wish == PROXY_RELOAD) begin_reload(proxy);
    if (wish == PROXY_LOOK) host_end_look(proxy);
    if (wish == PROXY_STOP) begin_drain(proxy);
}

/* --- events */

static void end_ready(struct proxy *proxy, struct end *end)
{
    char dust[4096];
    switch (end->phase) {
    case PHASE_GREETING:
    case PHASE_LOGIN:
    case PHASE_REQUEST:
        caller_ready(proxy, end);
        return;
    case PHASE_DIALLING:
        if (end->role == ROLE_ENDPOINT)
            dial_ready(proxy, end);
        else
            end_drop(proxy, end); /* hung up meanwhile */
        return;
    case PHASE_HELD:
    case PHASE_WAITING:
        end_drop(proxy, end);
        return;
    case PHASE_JOINED:
        end_pass(proxy, end);
        return;
    case PHASE_REFUSED:
        if (recv(end->watch.fd, dust, sizeof(dust), MSG_DONTWAIT) <= 0) end_drop(proxy, end);
        return;
    }
}

static void take_event(struct proxy *proxy, struct watch *watch)
{
    if (watch->fd < 0) return; /* closed by an event before this one */
    switch (watch->kind) {
    case WATCH_WAKE:
        wake(proxy);
        return;
    case WATCH_RELOAD:
        finish_reload(proxy);
        return;
    case WATCH_LISTENER:
        listen_accept(proxy, (struct listener *)(void *)watch);
        return;
    case WATCH_END:
        end_ready(proxy, (struct end *)(void *)watch);
        return;
    case WATCH_INSIDE:
        host_end_ready(proxy, end_of_inside(watch));
        return;
    }
}

/* Listeners are freed at once, unlike ends: what changes them is taken when nothing else is at hand. */
static void take_events(struct proxy *proxy, const struct epoll_event *events, int count)
{
    struct watch *last[2];
    size_t last_count = 0;
    for (int i = 0; i < count; i++) {
        struct watch *watch = events[i].data.ptr;
        if (watch->kind == WATCH_WAKE || watch->kind == WATCH_RELOAD)
            last[last_count++] = watch;
        else
            take_event(proxy, watch);
    }
    for (size_t i = 0; i < last_count; i++)
        take_event(proxy, last[i]);
    free_dead(proxy);
}

static int sleep_ms(const struct proxy *proxy)
{
    bool watched = proxy->asking.first || proxy->held.first || proxy->refused.first || proxy->settled.first ||
                   proxy->state != LISTENING;
    return watched ? LOOK_MS : -1;
}

static bool is_over(const struct proxy *proxy)
{
    return proxy->state == DRAINING && (proxy->joined == 0 || proxy->resume_ms <= proxy->now_ms);
}

bool proxy_run(struct proxy *proxy, struct err *err)
{
    struct epoll_event events[EVENTS];
    proxy->now_ms = clock_steady_ms();
    while (!is_over(proxy)) {
        int count = epoll_wait(proxy->epoll, events, EVENTS, sleep_ms(proxy));
        if (count < 0 && errno != EINTR) return err_sys(err, errno, "cannot wait for events");
        proxy->now_ms = clock_steady_ms();
        take_events(proxy, events, count < 0 ? 0 : count);
        look_at_deadlines(proxy);
        free_dead(proxy);
    }
    return true;
}
