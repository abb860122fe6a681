#include "director/loop/inside.h"

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/host_port.h"
#include "common/base/log.h"
#include "common/net/net_poll.h"

#include <stdlib.h>
#include <string.h>

enum { IDLE_MS = 1000, BUSY_MS = 250, EAGER_MS = 10 };

/* ---- time */

static void look_at_the_clock(struct director *director)
{
    director->now.mono_ms = clock_steady_ms();
    director->now.wall_ns = clock_real_ns();
}

void director_fail(struct director *director, const struct err *err)
{
    if (director->failed) return;
    director->failed = true;
    director->failure = *err;
}

/* ---- ports */

static struct net_options port_options(const struct director *director, const struct net_key *key,
                                       const char *domain, uint32_t max_payload)
{
    struct net_options options = net_options_in(director->net, NET_SERVER);
    options.key = key;
    options.zap = director->zap;
    options.domain = domain;
    options.max_payload = max_payload;
    options.recv_queue = 16; /* of peers that may be strangers */
    return options;
}

static bool listen_at(struct net_socket *socket, const char *domain, const char *bind, uint16_t port,
                      struct err *err)
{
    char host[HOST_PORT_TEXT_MAX];
    host_port_host_text(bind, host);
    AUTO(free) char *address = xasprintf("tcp://%s:%u", host, port);
    struct net_endpoint endpoint = {.side = NET_BIND, .address = address};
    return net_socket_attach(socket, &endpoint, err) || err_wrap(err, "the %s port", domain);
}

static uint16_t port_of(const char *address)
{
    const char *colon = strrchr(address, ':');
    return colon ? (uint16_t)strtoul(colon + 1, NULL, 10) : 0;
}

static bool open_ports(struct director *director, const struct net_key *key, struct err *err)
{
    const struct director_settings *settings = &director->settings;
    struct net_options operators = port_options(director, key, OPERATOR_DOMAIN, 8u * 1024 * 1024);
    struct net_options control = port_options(director, key, CONTROL_DOMAIN, 1024 * 1024 + 128);
    if (!net_socket_new(director->net, &operators, &director->operators, err) ||
        !net_socket_new(director->net, &control, &director->control, err) ||
        !net_monitor_new(director->operators, &director->operator_monitor, err) ||
        !net_monitor_new(director->control, &director->control_monitor, err) ||
        !listen_at(director->operators, OPERATOR_DOMAIN, settings->bind, settings->operator_port, err) ||
        !listen_at(director->control, CONTROL_DOMAIN, settings->bind, settings->control_port, err))
        return false;
    director->control_port = port_of(net_socket_bound(director->control));
    return dials_open(director, err);
}

/* ---- life */

static bool open_state(struct director *director, const struct net_key *key, struct err *err)
{
    struct run_settings settings = {.lease_ms = director->settings.lease_ms, .links = &director->pairs};
    random_bytes(settings.seed, sizeof(settings.seed));
    director->registry = registry_new(net_key_public(key));
    director->runs = run_table_new(&settings);
    director->agenda = agenda_new();
    return catalog_open(director->settings.state_dir, &director->catalog, err) &&
           startup_load(director, err) && bundles_open(director, err) && reconcile_open(director, err);
}

static void set_pace(struct director *director)
{
    struct net_pace pace = NET_PACE_DEFAULT;
    if (director->settings.heartbeat_ms) pace.heartbeat_ms = director->settings.heartbeat_ms;
    net_context_set_pace(director->net, &pace);
}

bool director_open(const struct director_settings *settings, const struct net_key *key, struct director **out,
                   struct err *err)
{
    AUTO(director) struct director *director = xcalloc(1, sizeof(*director));
    director->settings = *settings;
    look_at_the_clock(director);
    if (!open_state(director, key, err) || !net_context_new(1, &director->net, err)) return false;
    set_pace(director);
    if (settings->logins) net_logins_swap(director_logins(director), settings->logins);
    if (!net_zap_start(director->net, &director->zap, err)) return false;
    startup_admit(director);
    if (!open_ports(director, key, err)) return false;
    *out = director;
    director = NULL;
    return true;
}

void director_close(struct director *director)
{
    if (!director) return;
    answers_free(director);
    operator_free(director);
    free(director->followers);
    hosts_free(director);
    net_monitor_free(director->control_monitor);
    net_monitor_free(director->operator_monitor);
    net_socket_free(director->control);
    net_socket_free(director->operators);
    net_zap_stop(director->zap);
    net_context_free(director->net);
    agenda_free(director->agenda);
    run_table_free(director->runs);
    link_table_deinit(&director->pairs);
    bundles_free(director);
    probes_free(director);
    reconcile_free(director);
    dials_free(director);
    registry_free(director->registry);
    catalog_close(director->catalog);
    free(director);
}

const char *director_operator_address(const struct director *director)
{
    return net_socket_bound(director->operators);
}

const char *director_control_address(const struct director *director)
{
    return net_socket_bound(director->control);
}

bool director_unclaimed(const struct director *director)
{
    return registry_roster(director->registry) == NULL;
}

struct net_logins *director_logins(const struct director *director)
{
    return net_context_logins(director->net);
}

/* ---- sending what waits */

static bool read_roster(void *arg, struct span bytes, struct err *err)
{
    struct buf *out = arg;
    if (out->len == 0) buf_put_span(out, bytes);
    return true;
}

static bool fetch_bytes(struct director *director, const struct line_item *item, struct buf *out)
{
    struct err err;
    switch (item->kind) {
    case LINE_ROSTER:
        return catalog_rosters(director->catalog, item->version, read_roster, out, &err) && out->len > 0;
    case LINE_STATEMENT:
        return catalog_statement_get(director->catalog, item->type, &item->id, out, &err);
    case LINE_UNLOCK:
        return catalog_unlock_get(director->catalog, &item->hash, out, &err);
    case LINE_MESSAGE:
        break;
    }
    return false;
}

static bool fetch(void *arg, const struct line_item *item, struct net_message *out)
{
    struct director *director = arg;
    Sealift__Deliver deliver = SEALIFT__DELIVER__INIT;
    Sealift__DeliverUnlock unlock = SEALIFT__DELIVER_UNLOCK__INIT;
    AUTO(buf) struct buf bytes = {0};
    if (!fetch_bytes(director, item, &bytes)) return false;
    Sealift__Head head = head_of(SEALIFT__HEAD__KIND_DELIVER, 0);
    head.deliver = &deliver;
    if (item->kind == LINE_UNLOCK) {
        head.kind_case = SEALIFT__HEAD__KIND_DELIVER_UNLOCK;
        head.deliver_unlock = &unlock;
    }
    line_message(&head, buf_span(&bytes), out);
    return true;
}

static bool pump(struct director *director)
{
    bool waits = false;
    for (size_t i = 0; i < director->host_count; i++)
        if (director->hosts[i]->stage != HOST_AWAY)
            waits = line_pump(&director->hosts[i]->line, fetch, director) || waits;
    for (size_t i = 0; i < director->link_count; i++)
        waits = line_pump(&director->links[i]->line, fetch, director) || waits;
    return waits;
}

/* ---- the loop */

static void take_events(struct director *director)
{
    enum { LOOKS = 4, GUARD_MS = 1000 };
    struct net_monitor_event event;
    while (net_monitor_take(director->control_monitor, &event)) {
        if (event.kind == NET_DOWN) director->probes = LOOKS;
        dials_event(director, &event);
    }
    while (net_monitor_take(director->operator_monitor, &event)) {
    } /* for the guard only */
    if (director->now.mono_ms - director->last_guard_ms < GUARD_MS) return;
    director->last_guard_ms = director->now.mono_ms;
    size_t cut = net_monitor_guard(director->control_monitor) + net_monitor_guard(director->operator_monitor);
    if (cut > 0) log_event(LOG_WARN, "cut", "reason", "a peer sends a message without end", NULL);
    const size_t shed =
        net_monitor_shed(director->control_monitor) + net_monitor_shed(director->operator_monitor);
    if (shed > 0)
        log_event(LOG_WARN, "shed", "reason", "too many connections that say nothing: the oldest were cut",
                  NULL);
}

/* Who has a new key for each connection is new each time. */
static void log_denial(struct director *director, const struct net_denial *denial)
{
    struct net_denial_who who;
    if (!log_gate_pass(&director->strangers, "denied", director->now.mono_ms)) return;
    net_denial_who(denial, &who);
    log_event(LOG_WARN, "denied", "port", denial->domain, "address", who.address, "peer", who.key, "reason",
              net_denial_text(denial->reason), NULL);
}

static void take_denials(struct director *director)
{
    struct net_denial denial;
    while (net_zap_take_denial(director->zap, &denial) ||
           net_monitor_take_denial(director->control_monitor, &denial) ||
           net_monitor_take_denial(director->operator_monitor, &denial))
        log_denial(director, &denial);
}

/* Once an hour. */
static void sweep(struct director *director)
{
    enum { PAUSE_MS = 3600000, RUNS_KEPT = 10000 };
    struct err err;
    if (director->now.mono_ms - director->last_sweep_ms < PAUSE_MS) return;
    director->last_sweep_ms = director->now.mono_ms;
    if (!catalog_runs_forget(director->catalog, RUNS_KEPT, &err)) director_fail(director, &err);
}

static void tick(struct director *director)
{
    AUTO(effects) struct effects effects = {0};
    run_table_tick(director->runs, &director->now, &effects);
    (void)apply(director, &effects);
    reconcile_tick(director);
    schedules_tick(director);
    bundles_tick(director);
    probes_tick(director);
    follow_tick(director);
    sweep(director);
    bool late = director->now.mono_ms - director->last_probe_ms >= PROBE_PAUSE_MS;
    if (director->probes > 0 || late) {
        director->last_probe_ms = director->now.mono_ms;
        if (director->probes > 0) director->probes--;
        hosts_probe(director);
    }
}

static int patience(const struct director *director, bool waits)
{
    if (bundles_busy(director)) return 0;
    if (waits) return EAGER_MS;
    bool busy = run_table_count(director->runs) > 0 || director->probing_count > 0 || director->probes > 0;
    return busy ? BUSY_MS : IDLE_MS;
}

static bool turn(struct director *director, int fd, bool waits, bool *woken, struct err *err)
{
    struct net_poll_item items[] = {
        net_poll_socket(director->operators, NET_READABLE),
        net_poll_socket(director->control, NET_READABLE),
        net_poll_monitor(director->control_monitor),
        net_poll_monitor(director->operator_monitor),
        net_poll_fd(net_zap_fd(director->zap), NET_READABLE),
        net_poll_fd(fd, NET_READABLE),
    };
    if (!net_poll_wait(items, sizeof(items) / sizeof(items[0]), patience(director, waits), err)) return false;
    look_at_the_clock(director);
    *woken = items[5].ready != 0;
    take_events(director);
    take_denials(director);
    operator_receive(director);
    control_receive(director);
    tick(director);
    hosts_reap(director);
    operator_reap(director);
    return true;
}

/* Also what a message in flight may have moved: lines first, then answers, which need empty lines. */
static bool send_all(struct director *director)
{
    bool waits = pump(director);
    return answers_pump(director) || waits;
}

/* What could not be kept: the operator who asked for it hears why, before the director ends. */
static void send_refusals(struct director *director)
{
    for (size_t i = 0; i < director->link_count; i++)
        (void)line_pump(&director->links[i]->line, fetch, director);
}

static void say_goodbye(struct director *director)
{
    for (size_t i = 0; i < director->host_count; i++)
        if (director->hosts[i]->stage == HOST_CONNECTED) hosts_remember(director, director->hosts[i]);
    (void)pump(director);
}

bool director_run(struct director *director, int fd, enum daemon_wish (*woken)(void *arg), void *arg,
                  struct err *err)
{
    bool waits = false, readable = false;
    for (;;) {
        if (!turn(director, fd, waits, &readable, err)) return false;
        if (director->failed) {
            send_refusals(director);
            *err = director->failure;
            return false;
        }
        waits = send_all(director);
        if (readable && woken(arg) == DAEMON_STOP) break;
    }
    say_goodbye(director);
    if (!director->failed) return true;
    *err = director->failure;
    return false;
}
