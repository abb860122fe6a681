#include "transporter/session/dialler_inside.h"

#include "common/net/net_poll.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    LINGER_MS = 1000,
    IDLE_MS = 1000,
    REASON_MS = 2000,      /* to find out why nobody answers */
    LAST_CHANCE_MS = 1000, /* to say good-bye */
};

/* One socket, used for one connection only: what was meant for a lost connection can never reach the
 * next one before its Open. */
struct link {
    struct net_socket *socket;
    struct net_monitor *monitor;
    struct data_endpoint endpoint;
    bool up, lost;
    bool crowded; /* libzmq took no more */
    uint64_t made_ms;
};

static void link_deinit(struct link *link)
{
    net_monitor_free(link->monitor);
    net_socket_free(link->socket);
}
DEFINE_AUTO_IN_PLACE(link, struct link, link_deinit)

static bool link_init(struct link *link, const struct dialler *dialler, struct err *err)
{
    struct net_options options = net_options_in(dialler->options.net, NET_CLIENT);
    options.key = dialler->key;
    options.server_key = dialler->options.peer_key;
    options.max_payload = PAYLOAD_MAX;
    options.send_queue = DIALLER_QUEUE;
    options.recv_queue = DIALLER_QUEUE;
    options.linger_ms = LINGER_MS;
    data_path_endpoint(dialler->options.path, 0, &link->endpoint);
    if (link->endpoint.inside) options.reconnect_max_ms = options.reconnect_ms;
    link->made_ms = clock_steady_ms();
    return net_socket_new(dialler->options.net, &options, &link->socket, err) &&
           net_monitor_new(link->socket, &link->monitor, err) &&
           net_socket_attach(link->socket, &link->endpoint.net, err);
}

/* --- sending, under the lock --- */

static void send_open(struct dialler *dialler, struct link *link)
{
    const struct dialler_options *options = &dialler->options;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Open open = SEALIFT__OPEN__INIT;
    uint8_t run[ID_LEN], seal[ID_LEN], ticket[DIALLER_TICKET_LEN];
    memcpy(run, options->run.bytes, ID_LEN);
    memcpy(seal, options->seal.bytes, ID_LEN);
    memcpy(ticket, options->ticket, DIALLER_TICKET_LEN);
    open.run = (ProtobufCBinaryData){.data = run, .len = ID_LEN};
    open.seal = (ProtobufCBinaryData){.data = seal, .len = ID_LEN};
    open.ticket = (ProtobufCBinaryData){.data = ticket, .len = DIALLER_TICKET_LEN};
    open.attempt = options->attempt;
    open.asks_job = options->question == JOB_HAS_POINTS;
    head.kind_case = SEALIFT__HEAD__KIND_OPEN;
    head.open = &open;
    AUTO(net_message) struct net_message message = {0};
    data_message_make(&head, buf_span(&dialler->point_file), &message);
    if (net_socket_send(link->socket, NULL, &message, 0) != NET_OK) link->lost = true;
}

static bool send_shared(struct link *link, const struct net_message *message)
{
    AUTO(net_message) struct net_message copy = {0};
    net_message_share(message, &copy);
    link->crowded = net_socket_send(link->socket, NULL, &copy, 0) != NET_OK;
    return !link->crowded;
}

static void send_parcels(struct dialler *dialler, struct link *link)
{
    while (*dialler->unsent) {
        struct parcel *parcel = *dialler->unsent;
        if (!parcel->answered && !send_shared(link, &parcel->message)) return;
        if (parcel->kind == PARCEL_ANSWER)
            dialler_drop_parcel(dialler, dialler->unsent);
        else
            dialler->unsent = &parcel->next;
    }
}

/* --- events --- */

/* A proxy tells more than libzmq. */
static void note_trouble(struct dialler *dialler, const struct link *link, const char *text)
{
    struct err err;
    bool told = net_socket_proxy_failure(link->socket, link->endpoint.address, &err);
    data_path_trouble(dialler->options.path, told ? err.text : text, dialler->trouble);
}

static void take_event(struct dialler *dialler, struct link *link, const struct net_monitor_event *event)
{
    switch (event->kind) {
    case NET_UP:
        link->up = true;
        (void)pthread_mutex_lock(&dialler->lock);
        dialler->state = CONVERSATION_NEW;
        send_open(dialler, link);
        (void)pthread_mutex_unlock(&dialler->lock);
        return;
    case NET_DOWN:
        if (link->up) note_trouble(dialler, link, "the connection was lost");
        link->lost = link->lost || link->up;
        return;
    case NET_FAILED:
        note_trouble(dialler, link,
                     event->cause == NET_CAUSE_AUTH ? "the other side does not admit this transporter now"
                                                    : "the handshake failed");
        link->lost = true;
        return;
    case NET_RETRIED:
        note_trouble(dialler, link, link->endpoint.inside ? "it did not come" : "no connection came up");
        return;
    }
}

static void take_events(struct dialler *dialler, struct link *link)
{
    struct net_monitor_event event;
    while (!link->lost && net_monitor_take(link->monitor, &event))
        take_event(dialler, link, &event);
}

/* A message counts only if the connection that it came by has not ended before. */
static bool receive_one(struct dialler *dialler, struct link *link)
{
    AUTO(net_message) struct net_message net = {0};
    AUTO(data_message) struct data_message message = {0};
    struct net_peer from;
    enum net_fault fault = NET_FAULT_FRAMES;
    struct err err = {0};
    enum net_status status = net_socket_recv(link->socket, &from, &net, &fault, 0);
    if (status != NET_OK && status != NET_REFUSED) return false;
    take_events(dialler, link);
    if (link->lost || !link->up) return false;
    (void)pthread_mutex_lock(&dialler->lock);
    if (status == NET_REFUSED) {
        (void)err_set(&err, ERR_PROTOCOL, "%s", net_fault_text(fault));
        dialler_fail(dialler, &err);
    } else if (data_message_decode(CHANNEL_LISTENER_TO_DIALLER, &net, &message, &err)) {
        dialler_take_message(dialler, &message);
    } else {
        dialler_fail(dialler, &err);
    }
    bool ended = dialler->failed;
    (void)pthread_mutex_unlock(&dialler->lock);
    return !ended;
}

static bool is_open(const struct dialler *dialler)
{
    return dialler->state == CONVERSATION_STREAM || dialler->state == CONVERSATION_ENDED;
}

/* Whether this link is worth going on with; sends what there is to send. */
static bool go_on(struct dialler *dialler, struct link *link)
{
    (void)pthread_mutex_lock(&dialler->lock);
    bool open = link->up && is_open(dialler);
    link->crowded = false;
    if (open && !dialler->failed) send_parcels(dialler, link);
    bool on = !link->lost && !dialler->stop && (open || !dialler->failed);
    (void)pthread_mutex_unlock(&dialler->lock);
    return on &&
           (link->up || clock_steady_ms() < link->made_ms + data_path_patience_ms(dialler->options.path));
}

static bool is_stopped(struct dialler *dialler)
{
    (void)pthread_mutex_lock(&dialler->lock);
    bool stop = dialler->stop;
    (void)pthread_mutex_unlock(&dialler->lock);
    return stop;
}

/* How long to wait at most until it is looked at again; 0: the other side has been away for too long. */
static uint64_t lease_left(const struct dialler *dialler, bool open)
{
    uint64_t until_ms = dialler->down_since_ms + dialler->options.lease_ms, now_ms = clock_steady_ms();
    if (open || dialler->failed || dialler->stop) return IDLE_MS;
    if (now_ms >= until_ms) return 0;
    return until_ms - now_ms < IDLE_MS ? until_ms - now_ms : IDLE_MS;
}

/* Why nobody answers is asked only now, not under the lock, and no longer than the dialler is needed. */
static void give_up(struct dialler *dialler)
{
    struct err err = {0};
    uint64_t most_ms = dialler->options.lease_ms / 4;
    const char *trouble = dialler->trouble[0] ? dialler->trouble : "no connection came up";
    net_wake_clear(&dialler->wake);
    if (is_stopped(dialler)) return;
    data_path_why_not(dialler->options.path, most_ms < REASON_MS ? (int)most_ms : REASON_MS, &dialler->wake,
                      trouble, dialler->trouble);
    data_path_gone(dialler->options.path, dialler->options.lease_ms, dialler->trouble, &err);
    (void)pthread_mutex_lock(&dialler->lock);
    dialler_fail(dialler, &err);
    (void)pthread_mutex_unlock(&dialler->lock);
}

static uint64_t check_lease(struct dialler *dialler, const struct link *link)
{
    (void)pthread_mutex_lock(&dialler->lock);
    uint64_t left = lease_left(dialler, link && link->up && !link->lost && is_open(dialler));
    (void)pthread_mutex_unlock(&dialler->lock);
    if (left == 0) give_up(dialler);
    return left;
}

static void say_goodbye(struct dialler *dialler, struct link *link)
{
    (void)pthread_mutex_lock(&dialler->lock);
    bool speak = dialler->has_goodbye && link->up && !link->lost && is_open(dialler);
    if (speak) send_parcels(dialler, link);
    if (speak && net_socket_send(link->socket, NULL, &dialler->goodbye, LAST_CHANCE_MS) == NET_OK)
        dialler->has_goodbye = false;
    (void)pthread_mutex_unlock(&dialler->lock);
}

/* Until the connection is lost or there is no more need for it. true: it carried a conversation. */
static bool use_link(struct dialler *dialler, struct link *link)
{
    struct err err;
    while (go_on(dialler, link)) {
        struct net_poll_item items[] = {
            net_poll_socket(link->socket, NET_READABLE | (link->crowded ? NET_WRITABLE : 0u)),
            net_poll_monitor(link->monitor),
            net_poll_fd(dialler->wake.fd, NET_READABLE),
        };
        if (!net_poll_wait(items, 3, (int)check_lease(dialler, link), &err)) break;
        if (items[2].ready) net_wake_clear(&dialler->wake);
        take_events(dialler, link);
        while (!link->lost && receive_one(dialler, link))
            continue;
    }
    say_goodbye(dialler, link);
    (void)pthread_mutex_lock(&dialler->lock);
    bool worked = link->up && is_open(dialler);
    if (worked) dialler_down(dialler);
    dialler->state = CONVERSATION_NEW;
    (void)pthread_mutex_unlock(&dialler->lock);
    return worked;
}

static void pause_for(struct dialler *dialler, uint64_t pause_ms)
{
    struct err err;
    uint64_t until_ms = clock_steady_ms() + pause_ms;
    for (uint64_t now_ms = clock_steady_ms(); now_ms < until_ms && !is_stopped(dialler);
         now_ms = clock_steady_ms()) {
        uint64_t left = check_lease(dialler, NULL);
        if (left > until_ms - now_ms || left == 0) left = until_ms - now_ms;
        struct net_poll_item item = net_poll_fd(dialler->wake.fd, NET_READABLE);
        if (!net_poll_wait(&item, 1, (int)left, &err)) return;
        if (item.ready) net_wake_clear(&dialler->wake);
    }
}

static bool is_over(struct dialler *dialler)
{
    (void)pthread_mutex_lock(&dialler->lock);
    bool over = dialler->stop || dialler->failed;
    (void)pthread_mutex_unlock(&dialler->lock);
    return over;
}

void *dialler_main(void *arg)
{
    struct dialler *dialler = arg;
    const struct net_pace pace = net_context_pace(dialler->options.net);
    const uint64_t first_ms = (uint64_t)pace.reconnect_ms, most_ms = (uint64_t)pace.reconnect_max_ms;
    uint64_t pause_ms = first_ms;
    while (!is_over(dialler)) {
        AUTO(link) struct link link = {0};
        struct err err = {0};
        if (!link_init(&link, dialler, &err)) {
            (void)pthread_mutex_lock(&dialler->lock);
            dialler_fail(dialler, &err);
            (void)pthread_mutex_unlock(&dialler->lock);
            break;
        }
        bool worked = use_link(dialler, &link);
        if (is_over(dialler)) break;
        pause_ms = worked ? first_ms : 2 * pause_ms;
        if (pause_ms > most_ms) pause_ms = most_ms;
        pause_for(dialler, data_path_jitter(pause_ms));
    }
    return NULL;
}
