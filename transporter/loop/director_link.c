#include "transporter/loop/director_link.h"

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/log.h"

enum { BURST = 64, FAILURES_UNTIL_PAUSE = 5, CUTS_UNTIL_PAUSE = 3, PAUSE_MS = 10000 };

struct director_link {
    struct director_link_options options;
    struct net_key *key;
    struct net_socket *socket; /* NULL during a pause */
    struct net_monitor *monitor;
    uint64_t paused_until_ms;
    unsigned failures;
    unsigned cuts; /* connections, one after the other, that ended before the director had said a word */
    bool up, heard;
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
    link->up = false;
}

void director_link_free(struct director_link *link)
{
    if (!link) return;
    hang_up(link);
    net_key_free(link->key);
    free(link);
}

static bool dial(struct director_link *link, struct err *err)
{
    struct net_options options = net_options_in(link->options.net, NET_CLIENT);
    options.key = link->key;
    options.server_key = link->options.server_key;
    options.max_payload = PAYLOAD_MAX;
    struct net_endpoint endpoint = {.side = NET_CONNECT, .address = link->options.address};
    if (!net_socket_new(link->options.net, &options, &link->socket, err)) return false;
    return net_monitor_new(link->socket, &link->monitor, err) &&
           net_socket_attach(link->socket, &endpoint, err);
}

void director_link_keep(struct director_link *link, uint64_t now_ms)
{
    struct err err = {0};
    if (link->socket || now_ms < link->paused_until_ms || dial(link, &err)) return;
    log_event(LOG_ERROR, "director_not_dialled", "reason", err.text, NULL);
    hang_up(link);
    link->paused_until_ms = now_ms + PAUSE_MS;
}

size_t director_link_wait_for(struct director_link *link, struct net_poll_item items[DIRECTOR_LINK_ITEMS])
{
    size_t count = 0;
    if (link->socket) items[count++] = net_poll_socket(link->socket, NET_READABLE);
    if (link->monitor) items[count++] = net_poll_monitor(link->monitor);
    return count;
}

/* --- events --- */

/* Once it is told that the director cuts each connection, the single ones are no news. */
static enum log_level level_of_change(const struct director_link *link, enum log_level level)
{
    return link->cuts < CUTS_UNTIL_PAUSE ? level : LOG_DEBUG;
}

static void on_up(struct director_link *link)
{
    log_event(level_of_change(link, LOG_INFO), "director_connected", "address", link->options.address, NULL);
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
        log_event(level_of_change(link, LOG_WARN), "director_lost", "next", "runs go on; dialling again",
                  NULL);
    if (link->up && !link->heard) note_cut(link);
    link->up = false;
    link->options.lost(link->options.arg);
}

static void on_failed(struct director_link *link, const struct net_monitor_event *event)
{
    const char *reason = event->cause == NET_CAUSE_AUTH
                             ? "the director refused our key: is it revoked?"
                             : "is it the director of the site line, and does it know us?";
    if (++link->failures == 1) log_event(LOG_WARN, "director_handshake_failed", "reason", reason, NULL);
    if (link->failures % FAILURES_UNTIL_PAUSE == 0) link->paused_until_ms = clock_steady_ms() + PAUSE_MS;
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
    if (link->socket && link->paused_until_ms > clock_steady_ms()) hang_up(link);
}

/* --- messages --- */

static void on_broken(struct director_link *link, const char *reason)
{
    log_event(LOG_WARN, "director_broke_protocol", "reason", reason, "next", "pause, then dial again", NULL);
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
        on_broken(link, net_fault_text(fault));
        return false;
    }
    struct span payload = net_message_payload(&message);
    if (!head_decode(CHANNEL_DIRECTOR_TO_TRANSPORTER, net_message_header(&message), payload.len, &head,
                     &err)) {
        on_broken(link, err.text);
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
    for (struct outbox_item *item; link->up && (item = outbox_take(outbox));) {
        if (!send_one(link, item)) {
            outbox_return(outbox, item);
            return;
        }
        outbox_item_free(item);
    }
}

bool director_link_is_up(const struct director_link *link)
{
    return link->up;
}
