#include "transporter/session/dialler_links.h"

#include "common/base/backoff.h"
#include "common/wire/lent.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    IDLE_MS = 1000,
    GUARD_MS = 1000,
    RECEIVE_AT_ONCE = 256, /* who floods us does not keep us from ending */
    REASON_MS = 2000,      /* to find out why nobody answers */
    ASK_WHY_MS = 1000,     /* of nobody, until that is asked for the first time */
    ASK_AGAIN_MS = 15000,
    LAST_CHANCE_MS = 1000, /* to say good-bye */
};

/* --- sending, under the lock --- */

/* The first message of a connection. */
static void send_first(struct link *link, Sealift__Head *head, struct span payload)
{
    AUTO(net_message) struct net_message message = {0};
    data_message_make(head, payload, &message);
    if (net_socket_send(link->socket, NULL, &message, 0) != NET_OK) link->lost = true;
}

static void send_open(struct dialler *dialler, struct link *link)
{
    struct dialler_options *options = &dialler->options;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Open open = SEALIFT__OPEN__INIT;
    open.run = lent_bytes(options->run.bytes, ID_LEN);
    open.seal = lent_bytes(options->seal.bytes, ID_LEN);
    open.ticket = lent_bytes(options->ticket, DIALLER_TICKET_LEN);
    open.attempt = options->attempt;
    open.asks_job = options->question == JOB_HAS_POINTS;
    head.kind_case = SEALIFT__HEAD__KIND_OPEN;
    head.open = &open;
    dialler->opening_ms = clock_steady_ms();
    dialler->open_sent_us = clock_steady_us();
    send_first(link, &head, buf_span(&dialler->point_file));
}

static void send_stripe(struct dialler *dialler, struct link *link, unsigned index)
{
    link->joined = true;
    struct dialler_options *options = &dialler->options;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Stripe stripe = SEALIFT__STRIPE__INIT;
    stripe.run = lent_bytes(options->run.bytes, ID_LEN);
    stripe.ticket = lent_bytes(options->ticket, DIALLER_TICKET_LEN);
    stripe.attempt = options->attempt;
    stripe.epoch = dialler->epoch;
    stripe.index = index;
    head.kind_case = SEALIFT__HEAD__KIND_STRIPE;
    head.stripe = &stripe;
    send_first(link, &head, span_of(NULL, 0));
}

/* By the first connection, and no more than one that was not answered. */
static void send_stripes(struct dialler *dialler, struct links *links)
{
    struct link *first = &links->at[0];
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Stripes stripes = SEALIFT__STRIPES__INIT;
    stripes.count = links->count;
    head.kind_case = SEALIFT__HEAD__KIND_STRIPES;
    head.stripes = &stripes;
    AUTO(net_message) struct net_message message = {0};
    data_message_make(&head, span_of(NULL, 0), &message);
    first->crowded = net_socket_send(first->socket, NULL, &message, 0) != NET_OK;
    if (first->crowded) return;
    dialler->asked_echo_ms = clock_steady_ms();
    links->told = links->count;
}

static void send_parcels(struct dialler *dialler, struct links *links)
{
    while (*dialler->unsent) {
        struct parcel *parcel = *dialler->unsent;
        bool numbered = dialler->epoch != 0 && !dialler_is_question(parcel);
        if (!parcel->answered && !links_send(links, &parcel->message, numbered ? NUMBERED : NOT_NUMBERED))
            return;
        if (parcel->kind == PARCEL_ANSWER)
            dialler_drop_parcel(dialler, dialler->unsent);
        else
            dialler->unsent = &parcel->next;
    }
}

/* More connections where the way is long and they are what holds the session up. */
static void look_at_growth(struct dialler *dialler, struct links *links)
{
    struct stripe_growth *growth = &dialler->growth;
    uint64_t now_ms = clock_steady_ms();
    stripe_growth_sent(growth, links->moved_messages, links->moved);
    stripe_growth_room(growth, *dialler->unsent ? STRIPE_NO_ROOM : STRIPE_ROOM, now_ms);
    if (growth->count == 1 && stripe_growth_is_long(growth))
        stripe_growth_acked(growth, net_monitor_acked(links->at[0].monitor), now_ms);
    unsigned count = stripe_growth_look(growth, now_ms);
    if (count < dialler->options.stripes) count = dialler->options.stripes;
    if (count > links->count) count = links_grow(links, dialler, count);
    stripe_growth_grown(growth, count);
    links->in_use = count;
}

/* On a long way further connections are dialled as soon as that is known, with direct ones while the first
 * still shakes hands: that takes six round trips. Nothing goes over them before it is worth it. */
static void tend_stripes(struct dialler *dialler, struct links *links, bool open)
{
    struct stripe_growth *growth = &dialler->growth;
    uint64_t trip_us = net_monitor_trip_us(links->at[0].monitor);
    if (dialler->options.conversation == CONVERSATION_PROBE) return;
    if (trip_us > 0 && growth->echoes == 0) stripe_growth_measured(growth, trip_us / 1000);
    if (open && dialler->epoch == 0) {
        links_drop_stripes(links);
        return;
    }
    unsigned count = open || trip_us > 0 ? stripe_growth_opens(growth) : 1;
    if (count > links->count && links_grow(links, dialler, count) < count)
        stripe_growth_lost(growth, 2 * links->count); /* no more can be made here */
    if (!links_prune(links, data_path_patience_ms(dialler->options.path)))
        stripe_growth_lost(growth, links->count);
    for (unsigned i = 1; open && i < links->count; i++) {
        struct link *link = &links->at[i];
        if (link->up && !link->lost && !link->joined) send_stripe(dialler, link, i);
    }
}

static void send_all(struct dialler *dialler, struct links *links)
{
    bool striped = dialler->epoch != 0;
    if (striped && dialler->asked_echo_ms == 0 &&
        (stripe_growth_wants_echo(&dialler->growth) || links->told < links->count))
        send_stripes(dialler, links);
    send_parcels(dialler, links);
    if (striped) look_at_growth(dialler, links);
}

/* --- events --- */

/* A proxy tells more than libzmq. */
static void note_trouble(struct dialler *dialler, const struct link *link, const char *text)
{
    struct err err;
    bool told = net_socket_proxy_failure(link->socket, link->endpoint.address, &err);
    data_path_trouble(dialler->options.path, told ? err.text : text, dialler->trouble);
    dialler->trouble_asked = false;
}

/* A try that came to nothing says less than the address did when it was asked. */
static void note_retried(struct dialler *dialler, const struct link *link)
{
    if (dialler->trouble_asked) return;
    note_trouble(dialler, link, link->endpoint.inside ? "it did not come" : "no connection came up");
}

static void begin_link(struct dialler *dialler, struct links *links, struct link *link)
{
    link->up = true;
    if (link != links->at) return; /* it joins when there is something to join */
    (void)pthread_mutex_lock(&dialler->lock);
    dialler->state = CONVERSATION_NEW;
    send_open(dialler, link);
    (void)pthread_mutex_unlock(&dialler->lock);
}

static void take_event(struct dialler *dialler, struct links *links, struct link *link,
                       const struct net_monitor_event *event)
{
    switch (event->kind) {
    case NET_UP:
        begin_link(dialler, links, link);
        return;
    case NET_DOWN: /* before the handshake it is of bytes that are no ZMTP: libzmq does not dial again then */
        note_trouble(dialler, link,
                     link->up ? "the connection was lost" : "what answers speaks another protocol");
        link->lost = true;
        return;
    case NET_FAILED:
        note_trouble(dialler, link,
                     event->cause == NET_CAUSE_AUTH
                         ? "the other side does not admit this transporter now"
                         : "the handshake failed: another key is there, or another protocol, or it hangs");
        link->lost = true;
        return;
    case NET_RETRIED:
        note_retried(dialler, link);
        return;
    }
}

static void take_events(struct dialler *dialler, struct links *links, struct link *link)
{
    struct net_monitor_event event;
    while (!link->lost && net_monitor_take(link->monitor, &event))
        take_event(dialler, links, link, &event);
}

static void take_received(struct dialler *dialler, enum net_status status, enum net_fault fault,
                          struct net_message *net)
{
    AUTO(data_message) struct data_message message = {0};
    struct err err = {0};
    if (status == NET_REFUSED) {
        (void)err_set(&err, ERR_PROTOCOL, "%s", net_fault_text(fault));
        dialler_fail(dialler, &err);
    } else if (data_message_decode(CHANNEL_LISTENER_TO_DIALLER, net, &message, &err)) {
        dialler_take_message(dialler, &message);
    } else {
        dialler_fail(dialler, &err);
    }
}

/* A message counts only if the connection that it came by has not ended before. All come by the first one: by
 * a stripe only a refusal, after which the session goes on with fewer. */
static bool receive_one(struct dialler *dialler, struct links *links, struct link *link)
{
    AUTO(net_message) struct net_message net = {0};
    struct net_peer from;
    enum net_fault fault = NET_FAULT_FRAMES;
    enum net_status status = net_socket_recv(link->socket, &from, &net, &fault, 0);
    if (status != NET_OK && status != NET_REFUSED) return false;
    take_events(dialler, links, link);
    if (link->lost || !link->up) return false;
    if (link != links->at) {
        note_trouble(dialler, link, "the other side refused a further connection");
        link->lost = true;
        return false;
    }
    (void)pthread_mutex_lock(&dialler->lock);
    take_received(dialler, status, fault, &net);
    bool ended = dialler->failed;
    (void)pthread_mutex_unlock(&dialler->lock);
    return !ended;
}

static void receive_all(struct dialler *dialler, struct links *links)
{
    for (unsigned i = 0; i < links->count; i++) {
        struct link *link = &links->at[i];
        if (!link->socket) continue;
        take_events(dialler, links, link);
        for (int j = 0; j < RECEIVE_AT_ONCE && !link->lost && receive_one(dialler, links, link); j++)
            continue;
    }
}

static bool is_open(const struct dialler *dialler)
{
    return dialler->state == CONVERSATION_STREAM || dialler->state == CONVERSATION_ENDED;
}

/* Whether these connections are worth going on with; sends what there is to send. */
static bool go_on(struct dialler *dialler, struct links *links)
{
    bool lost = links_lost(links), up = links_up(links);
    (void)pthread_mutex_lock(&dialler->lock);
    bool open = up && is_open(dialler);
    links_forget_crowds(links);
    if (!lost && !dialler->failed) tend_stripes(dialler, links, open);
    if (open && !lost && !dialler->failed) send_all(dialler, links);
    bool on = !lost && !dialler->stop && (open || !dialler->failed);
    (void)pthread_mutex_unlock(&dialler->lock);
    return on &&
           (up || clock_steady_ms() < links->at[0].made_ms + data_path_patience_ms(dialler->options.path));
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

/* Why nobody answers: not under the lock, and no longer than the dialler is needed. */
static void ask_why(struct dialler *dialler)
{
    uint64_t most_ms = dialler->options.lease_ms / 4;
    const char *trouble = dialler->trouble[0] ? dialler->trouble : "no connection came up";
    net_wake_clear(&dialler->wake);
    if (is_stopped(dialler)) return;
    dialler->asked_why_ms = clock_steady_ms();
    dialler->trouble_asked =
        data_path_why_not(dialler->options.path, most_ms < REASON_MS ? (int)most_ms : REASON_MS,
                          &dialler->wake, trouble, dialler->trouble);
}

static void give_up(struct dialler *dialler)
{
    struct err err = {0};
    ask_why(dialler);
    if (is_stopped(dialler)) return;
    data_path_gone(dialler->options.path, dialler->options.lease_ms, dialler->trouble, &err);
    (void)pthread_mutex_lock(&dialler->lock);
    dialler_fail(dialler, &err);
    (void)pthread_mutex_unlock(&dialler->lock);
}

static bool why_is_due(const struct dialler *dialler, uint64_t now_ms)
{
    if (dialler->stop || dialler->failed || dialler->answers) return false;
    if (now_ms < dialler->down_since_ms + ASK_WHY_MS) return false;
    return dialler->asked_why_ms == 0 || now_ms >= dialler->asked_why_ms + ASK_AGAIN_MS;
}

static uint64_t check_lease(struct dialler *dialler, const struct links *links)
{
    (void)pthread_mutex_lock(&dialler->lock);
    bool open = links && links_up(links) && !links_lost(links) && is_open(dialler);
    uint64_t left = lease_left(dialler, open);
    if (!open) dialler_not_reached(dialler);
    if (links) dialler->answers = net_monitor_trip_us(links->at[0].monitor) > 0;
    bool ask = !open && left > 0 && why_is_due(dialler, clock_steady_ms());
    dialler_presence(dialler, open ? PEER_THERE : PEER_ABSENT);
    (void)pthread_mutex_unlock(&dialler->lock);
    if (left == 0) give_up(dialler);
    if (ask) ask_why(dialler);
    return left;
}

/* Done in its place behind what was sent; Fail as soon as may be. */
static void say_goodbye(struct dialler *dialler, struct links *links)
{
    (void)pthread_mutex_lock(&dialler->lock);
    bool speak = dialler->has_goodbye && links_up(links) && !links_lost(links) && is_open(dialler);
    if (speak) {
        bool numbered = dialler->epoch != 0 && dialler->done_well;
        links_forget_crowds(links);
        send_parcels(dialler, links);
        links_forget_crowds(links);
        if (links_send_last(links, &dialler->goodbye, numbered ? NUMBERED : NOT_NUMBERED, LAST_CHANCE_MS))
            dialler->has_goodbye = false;
    }
    (void)pthread_mutex_unlock(&dialler->lock);
}

static uint64_t time_to_wait(struct dialler *dialler, const struct links *links)
{
    uint64_t left = check_lease(dialler, links), look = IDLE_MS;
    (void)pthread_mutex_lock(&dialler->lock);
    if (*dialler->unsent && is_open(dialler)) look = stripe_growth_left(&dialler->growth, clock_steady_ms());
    if (look == 0) look = IDLE_MS; /* the next room tells */
    (void)pthread_mutex_unlock(&dialler->lock);
    return look < left ? look : left;
}

/* Why to leave the other side on this connection; NULL: there is no reason. */
static const char *fault_of(const struct dialler *dialler, struct link *link)
{
    if (net_monitor_guard(link->monitor) > 0) return "the other side sends a message without end";
    if (!link->up || dialler->silence_ms == 0) return NULL;
    return net_monitor_cut_silent(link->monitor, dialler->silence_ms)
               ? "the other side hangs: nothing comes from it"
               : NULL;
}

/* An other side that is not to be borne is left, as any that is lost. */
static void guard(struct dialler *dialler, struct links *links)
{
    uint64_t now_ms = clock_steady_ms();
    if (now_ms - links->guarded_ms < GUARD_MS) return;
    links->guarded_ms = now_ms;
    for (unsigned i = 0; i < links->count; i++) {
        struct link *link = &links->at[i];
        const char *fault = link->monitor && !link->lost ? fault_of(dialler, link) : NULL;
        if (!fault) continue;
        note_trouble(dialler, link, fault);
        link->lost = true;
    }
}

/* Until a connection is lost or there is no more need for them. true: they carried a conversation. */
static bool use_links(struct dialler *dialler, struct links *links)
{
    struct err err;
    while (go_on(dialler, links)) {
        struct net_poll_item items[2 * STRIPES_MAX + 1];
        size_t count = links_poll(links, items);
        items[count] = net_poll_fd(dialler->wake.fd, NET_READABLE);
        if (!net_poll_wait(items, count + 1, (int)time_to_wait(dialler, links), &err)) break;
        if (items[count].ready) net_wake_clear(&dialler->wake);
        receive_all(dialler, links);
        guard(dialler, links);
    }
    say_goodbye(dialler, links);
    (void)pthread_mutex_lock(&dialler->lock);
    bool worked = links_up(links) && is_open(dialler);
    if (worked) dialler_down(dialler);
    if (worked && links_too_many(links, clock_steady_ms()))
        stripe_growth_lost(&dialler->growth, links->count);
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
    struct backoff backoff = {.first_ms = (uint64_t)pace.reconnect_ms,
                              .most_ms = (uint64_t)pace.reconnect_max_ms};
    while (!is_over(dialler)) {
        AUTO(links) struct links links = {0};
        struct err err = {0};
        if (!links_init(&links, dialler, &err)) {
            (void)pthread_mutex_lock(&dialler->lock);
            dialler_fail(dialler, &err);
            (void)pthread_mutex_unlock(&dialler->lock);
            break;
        }
        bool worked = use_links(dialler, &links);
        if (is_over(dialler)) break;
        if (worked) backoff_reset(&backoff);
        pause_for(dialler, backoff_pause(&backoff));
    }
    dialler_presence(dialler, PEER_THERE); /* nobody waits for it any more */
    return NULL;
}
