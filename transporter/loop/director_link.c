#include "transporter/loop/director_link.h"

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/log.h"

#include <stdio.h>
#include <string.h>

enum { BURST = 64, FAILURES_UNTIL_PAUSE = 5, CUTS_UNTIL_PAUSE = 3, PAUSE_MS = 10000, GUARD_MS = 1000 };

struct director_link {
    struct director_link_options options;
    struct net_key *key;
    struct net_socket *socket; /* NULL during a pause */
    struct net_monitor *monitor;
    uint64_t paused_until_ms;
    uint64_t guarded_ms;
    unsigned failures;
    unsigned cuts; /* connections, one after the other, that ended before the director had said a word */
    bool up, heard;
    bool crowded;      /* what is to be sent waits for room */
    bool called_twice; /* while it was up: what is sent would go to both connections by turns */
    char trouble[sizeof(((struct err *)NULL)->text)]; /* with the dial, that was logged last; "": none */
};

bool director_link_new(const struct director_link_options *options, struct director_link **out,
                       struct err *err)
{
    AUTO(director_link) struct director_link *link = xcalloc(1, sizeof(*link));
    link->options = *options;
    if (!net_key_from_secret(options->secret_key, &link->key, err)) return false;
    *out = link;
    link = NULL;
    return true;
}

static void hang_up(struct director_link *link)
{
    net_monitor_free(link->monitor);
    net_socket_free(link->socket);
    link->monitor = NULL;
    link->socket = NULL;
    link->up = link->crowded = false;
}

void director_link_free(struct director_link *link)
{
    if (!link) return;
    hang_up(link);
    net_key_free(link->key);
    free(link);
}

static struct net_endpoint endpoint_of(const struct director_way *way)
{
    if (way->listen) return (struct net_endpoint){.side = NET_BIND, .address = way->listen};
    return (struct net_endpoint){
        .side = NET_CONNECT, .address = way->address, .socks5 = way->proxy, .reasons = NET_REASONS_KEPT};
}

static bool dial(struct director_link *link, struct err *err)
{
    struct net_options options = net_options_in(link->options.net, NET_CLIENT);
    options.key = link->key;
    options.server_key = link->options.server_key;
    options.max_payload = PAYLOAD_MAX;
    const struct net_endpoint endpoint = endpoint_of(&link->options.way);
    if (!net_socket_new(link->options.net, &options, &link->socket, err)) return false;
    return net_monitor_new(link->socket, &link->monitor, err) &&
           net_socket_attach(link->socket, &endpoint, err);
}

void director_link_keep(struct director_link *link, uint64_t now_ms)
{
    struct err err = {0};
    if (link->socket || now_ms < link->paused_until_ms || dial(link, &err)) return;
    const bool listens = link->options.way.listen != NULL;
    log_event(LOG_ERROR, listens ? "not_listening_for_director" : "director_not_dialled", "reason", err.text,
              NULL);
    hang_up(link);
    link->paused_until_ms = now_ms + PAUSE_MS;
}

size_t director_link_wait_for(struct director_link *link, struct net_poll_item items[DIRECTOR_LINK_ITEMS])
{
    size_t count = 0;
    if (link->socket)
        items[count++] =
            net_poll_socket(link->socket, link->crowded ? NET_READABLE | NET_WRITABLE : NET_READABLE);
    if (link->monitor) items[count++] = net_poll_monitor(link->monitor);
    return count;
}

/* --- events --- */

/* Once it is told that the director cuts each connection, the single ones are no news. */
static enum log_level level_of_change(const struct director_link *link, enum log_level level)
{
    return link->cuts < CUTS_UNTIL_PAUSE ? level : LOG_DEBUG;
}

static const char *address_of(const struct director_link *link)
{
    return link->options.way.listen ? link->options.way.listen : link->options.way.address;
}

static void on_up(struct director_link *link)
{
    link->called_twice = link->up && link->options.way.listen;
    log_event(level_of_change(link, LOG_INFO), "director_connected", "address", address_of(link), "proxy",
              link->options.way.proxy ? link->options.way.proxy : "none", NULL);
    link->trouble[0] = '\0';
    link->up = true;
    link->heard = false;
    link->failures = 0;
    link->options.up(link->options.arg);
}

/* A director cuts who may do no more than join, and speaks as if it were a member. */
static void note_cut(struct director_link *link)
{
    if (++link->cuts < CUTS_UNTIL_PAUSE) return;
    link->paused_until_ms = clock_steady_ms() + PAUSE_MS;
    if (link->cuts > CUTS_UNTIL_PAUSE) return;
    log_event(LOG_WARN, "not_admitted", "reason",
              "the director cuts each connection without a word: it does not admit this transporter", "next",
              "dialling every 10 s; is it approved, or revoked? 'sealift transporter list' tells", NULL);
}

static void on_lost(struct director_link *link)
{
    if (link->up)
        log_event(level_of_change(link, LOG_WARN), "director_lost", "next",
                  link->options.way.listen ? "runs go on; waiting for its call"
                                           : "runs go on; dialling again",
                  NULL);
    if (link->up && !link->heard) note_cut(link);
    link->up = false;
    link->options.lost(link->options.arg);
}

/* Whoever calls where we listen for the director: nothing to act on. */
static void on_stranger(struct director_link *link)
{
    if (link->failures++ > 0) return;
    log_event(LOG_WARN, "call_refused", "address", link->options.way.listen, "reason",
              "a caller at the port for the director is not the director of the site line", "next",
              "listening on; further ones are not logged until the director is there", NULL);
}

static void say_trouble(struct director_link *link, const char *event, const char *reason)
{
    if (strcmp(link->trouble, reason) == 0) return;
    (void)snprintf(link->trouble, sizeof(link->trouble), "%s", reason);
    log_event(LOG_WARN, event, "address", address_of(link), "reason", reason, "next", "dialling again", NULL);
}

static void on_failed(struct director_link *link, const struct net_monitor_event *event)
{
    struct err err;
    if (link->options.way.listen) {
        on_stranger(link);
        return;
    }
    if (net_socket_proxy_failure(link->socket, link->options.way.address, &err)) {
        say_trouble(link, "director_not_reached", err.text); /* the pauses are made below */
        return;
    }
    say_trouble(link, "director_handshake_failed",
                event->cause == NET_CAUSE_AUTH ? "the director refused our key: is it revoked?"
                                               : "is it the director of the site line, and does it know us?");
    if (++link->failures % FAILURES_UNTIL_PAUSE == 0) link->paused_until_ms = clock_steady_ms() + PAUSE_MS;
}

/* The director calls again at once, and finds one socket without a past. */
static void leave(struct director_link *link)
{
    const bool was_up = link->up;
    hang_up(link);
    if (link->called_twice && was_up) link->options.lost(link->options.arg);
    link->called_twice = false;
}

/* A director that sends a message without end is cut off, and dialled again. */
static void guard(struct director_link *link, uint64_t now_ms)
{
    if (!link->monitor || now_ms - link->guarded_ms < GUARD_MS) return;
    link->guarded_ms = now_ms;
    if (net_monitor_guard(link->monitor) == 0) return;
    log_event(LOG_WARN, "director_cut", "address", address_of(link), "reason",
              "it sends a message without end", NULL);
}

static void take_events(struct director_link *link)
{
    struct net_monitor_event event;
    while (link->monitor && net_monitor_take(link->monitor, &event)) {
        if (event.kind == NET_UP)
            on_up(link);
        else if (event.kind == NET_DOWN)
            on_lost(link);
        else if (event.kind == NET_FAILED)
            on_failed(link, &event);
    }
    guard(link, clock_steady_ms());
    if (link->monitor && net_monitor_shed(link->monitor) > 0)
        log_event(LOG_WARN, "calls_shed", "address", address_of(link), "reason",
                  "too many connections that say nothing: the oldest were cut", NULL);
    if (link->socket && (link->called_twice || link->paused_until_ms > clock_steady_ms())) leave(link);
}

/* --- messages --- */

void director_link_give_up(struct director_link *link, const char *why)
{
    log_event(LOG_WARN, "director_broke_protocol", "reason", why, "next", "pause, then dial again", NULL);
    on_lost(link);
    link->paused_until_ms = clock_steady_ms() + PAUSE_MS;
    hang_up(link);
}

/* False when there is nothing more to take. */
static bool receive_one(struct director_link *link)
{
    AUTO(net_message) struct net_message message = {0};
    AUTO(head) Sealift__Head *head = NULL;
    struct net_peer from;
    enum net_fault fault;
    struct err err = {0};
    enum net_status status = net_socket_recv(link->socket, &from, &message, &fault, 0);
    if (status == NET_AGAIN || status == NET_TERMINATED) return false;
    if (status != NET_OK) {
        director_link_give_up(link, net_fault_text(fault));
        return false;
    }
    struct span payload = net_message_payload(&message);
    if (!head_decode(CHANNEL_DIRECTOR_TO_TRANSPORTER, net_message_header(&message), payload.len, &head,
                     &err)) {
        director_link_give_up(link, err.text);
        return false;
    }
    link->heard = true;
    link->cuts = 0;
    link->options.take(link->options.arg, head, payload);
    return true;
}

void director_link_receive(struct director_link *link)
{
    take_events(link);
    for (int i = 0; link->socket && i < BURST; i++)
        if (!receive_one(link)) return;
}

static bool send_one(struct director_link *link, struct outbox_item *item)
{
    AUTO(net_message) struct net_message message = {0};
    struct err err = {0};
    if (!net_message_make(&message, buf_span(&item->head), &err)) {
        log_event(LOG_ERROR, "message_not_made", "reason", err.text, NULL);
        return true;
    }
    if (item->payload.len) net_message_copy_payload(&message, buf_span(&item->payload));
    return net_socket_send(link->socket, NULL, &message, 0) == NET_OK;
}

void director_link_send(struct director_link *link, struct outbox *outbox)
{
    link->crowded = false;
    for (struct outbox_item *item; link->up && (item = outbox_take(outbox));) {
        if (!send_one(link, item)) {
            outbox_return(outbox, item);
            link->crowded = true;
            return;
        }
        outbox_item_free(item);
    }
}

bool director_link_is_up(const struct director_link *link)
{
    return link->up;
}
