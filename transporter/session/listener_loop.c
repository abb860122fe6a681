#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/net/net_poll.h"
#include "transporter/session/listener_inside.h"

#include <inttypes.h>
#include <string.h>

enum {
    PROBE_LEAST_MS = 20,
    RETRY_MS = 20, /* when a peer has no room */
    IDLE_MS = 1000,
    GUARD_MS = 1000,
    RECEIVE_AT_ONCE = 64,
};

/* --- sessions, under the lock --- */

static void session_unbind(struct listener_session *session)
{
    if (!session->bound) return;
    session->bound = false;
    session->gone_since_ms = clock_steady_ms();
    listener_box_clear(&session->out);
    listener_drop_stripes(session);
    (void)pthread_cond_broadcast(&session->arrived);
}

static bool is_leaving(const struct listener *listener, const struct net_peer *peer)
{
    for (const struct leaving *leaving = listener->leaving; leaving; leaving = leaving->next)
        if (leaving->peer.route == peer->route && memcmp(leaving->peer.key, peer->key, NET_KEY_LEN) == 0)
            return true;
    return false;
}

static void log_refusal(struct listener *listener, const struct net_peer *peer, const char *why)
{
    char key[2 * NET_KEY_LEN + 1];
    if (!log_gate_pass(&listener->strangers, "data_peer_refused", clock_steady_ms())) return;
    hex_encode(peer->key, NET_KEY_LEN, key);
    log_event(LOG_WARN, "data_peer_refused", "address", peer->address, "key", key, "why", why, "next",
              "the connection is cut", NULL);
}

static void refuse(struct listener *listener, const struct net_peer *peer, const struct err *why)
{
    struct net_message fail = {0};
    struct listener_box last_words;
    listener_box_init(&last_words);
    data_message_make_fail(why, &fail);
    listener_box_push(&last_words, &fail);
    log_refusal(listener, peer, why->text);
    listener_leave(listener, peer, &last_words);
}

/* --- arrivals, under the lock --- */

static bool may_open(struct listener *listener, const struct net_peer *peer, const Sealift__Open *open,
                     struct listener_session **out, struct err *err)
{
    if (!listener_ticket_fits(listener, peer, &open->run, &open->ticket, open->attempt, out, err))
        return false;
    return open->seal.len == ID_LEN || err_set(err, ERR_PROTOCOL, "an open message without a seal id");
}

static void bind_session(struct listener_session *session, const struct net_peer *peer,
                         struct data_message *open)
{
    struct listener_box none;
    listener_box_init(&none);
    if (session->bound) listener_leave(session->listener, &session->peer, &none);
    listener_queue_clear(&session->opens);
    listener_queue_clear(&session->asks);
    listener_queue_clear(&session->rest);
    listener_box_clear(&session->out);
    listener_drop_stripes(session);
    session->bound = true;
    if (session->options.absence) absence_end(session->options.absence);
    session->peer = *peer;
    open->connection = ++session->connection;
    listener_queue_push(&session->opens, open);
    (void)pthread_cond_broadcast(&session->arrived);
}

static void take_first(struct listener *listener, const struct net_peer *peer, struct net_message *net)
{
    AUTO(data_message) struct data_message message = {0};
    struct listener_session *session = NULL;
    struct err err = {0};
    bool ok = data_message_decode(CHANNEL_DIALLER_TO_LISTENER, net, &message, &err);
    if (ok && message.head->kind_case == SEALIFT__HEAD__KIND_STRIPE) {
        if (!listener_join_stripe(listener, peer, message.head->stripe, &err)) refuse(listener, peer, &err);
        return;
    }
    if (ok && message.head->kind_case != SEALIFT__HEAD__KIND_OPEN)
        ok = err_set(&err, ERR_PROTOCOL, "a '%s' message before the connection was opened",
                     head_name(message.head->kind_case));
    ok = ok && may_open(listener, peer, message.head->open, &session, &err);
    if (ok)
        bind_session(session, peer, &message);
    else
        refuse(listener, peer, &err);
}

/* Questions come before all else, and outside the credit: they have a limit of their own. A numbered one
 * waits as bulk does, and counts so. */
static bool question_has_room(const struct listener_session *session, const struct data_message *message,
                              struct err *err)
{
    if (session->asks.bytes + data_message_payload(message).len <= LISTENER_QUESTION_BYTES) return true;
    return err_set(err, ERR_PROTOCOL, "the peer has questions of more than %d bytes under way",
                   LISTENER_QUESTION_BYTES);
}

static bool has_room(const struct listener_session *session, const struct data_message *message,
                     struct err *err)
{
    size_t waiting = session->rest.count + session->order.count;
    uint64_t bytes = session->rest.bytes + session->order.bytes + data_message_payload(message).len;
    if (session->asks.count + waiting >= LISTENER_QUEUE_MESSAGES)
        return err_set(err, ERR_PROTOCOL, "the peer has more than %d messages under way",
                       LISTENER_QUEUE_MESSAGES);
    if (message->head->kind_case == SEALIFT__HEAD__KIND_ASK && message->head->sequence == 0)
        return question_has_room(session, message, err);
    if (waiting == 0 ||
        bytes <= session->options.credit_bytes + head_payload_limit(SEALIFT__HEAD__KIND_COMMIT))
        return true;
    return err_set(err, ERR_PROTOCOL, "the peer sent more than its credit of %" PRIu64 " bytes",
                   session->options.credit_bytes);
}

/* Answered at once: it shows the peer how long the way is. */
static bool echo_stripes(struct listener_session *session, struct data_message *message, struct err *err)
{
    uint32_t count = message->head->stripes->count;
    if (count < 1 || count > STRIPES_MAX || message->head->sequence != 0 ||
        session->opened != session->connection || session->out.count >= LISTENER_QUEUE_MESSAGES)
        return err_set(err, ERR_PROTOCOL, "a 'stripes' message of %u that does not belong here", count);
    struct net_message answer = {0};
    data_message_make(message->head, span_of(NULL, 0), &answer);
    listener_box_push(&session->out, &answer);
    listener_dial_stripes(session, count);
    return true;
}

static void take_next(struct listener_session *session, unsigned index, struct net_message *net)
{
    AUTO(data_message) struct data_message message = {0};
    struct err err = {0};
    bool ok = data_message_decode(CHANNEL_DIALLER_TO_LISTENER, net, &message, &err) &&
              has_room(session, &message, &err);
    if (ok)
        ok = message.head->kind_case == SEALIFT__HEAD__KIND_STRIPES
                 ? echo_stripes(session, &message, &err)
                 : listener_take_in_order(session, index, &message, &err);
    if (!ok) listener_fail(session, &err);
}

static void take_refused(struct listener *listener, const struct net_peer *peer, enum net_fault fault)
{
    unsigned index;
    struct listener_session *session = listener_session_of_peer(listener, peer, &index);
    struct err err = {0};
    (void)err_set(&err, ERR_PROTOCOL, "%s", net_fault_text(fault));
    if (session) listener_fail(session, &err);
    if (!is_leaving(listener, peer)) log_refusal(listener, peer, err.text);
}

static bool receive_one(struct listener *listener)
{
    AUTO(net_message) struct net_message net = {0};
    struct net_peer peer;
    enum net_fault fault;
    enum net_status status = net_socket_recv(listener->socket, &peer, &net, &fault, 0);
    if (status != NET_OK && status != NET_REFUSED) return false;
    (void)pthread_mutex_lock(&listener->lock);
    unsigned index;
    struct listener_session *session = listener_session_of_peer(listener, &peer, &index);
    if (status == NET_REFUSED)
        take_refused(listener, &peer, fault);
    else if (session)
        take_next(session, index, &net);
    else if (!is_leaving(listener, &peer))
        take_first(listener, &peer, &net);
    (void)pthread_mutex_unlock(&listener->lock);
    return true;
}

/* --- departures, under the lock --- */

/* NET_OK: the box is empty. */
static enum net_status flush_box(struct listener *listener, const struct net_peer *peer,
                                 struct listener_box *box)
{
    while (box->first) {
        enum net_status status = net_socket_send(listener->socket, peer, &box->first->message, 0);
        if (status != NET_OK) return status;
        listener_box_drop_first(box);
    }
    return NET_OK;
}

static void make_probe(const struct listener_session *session, struct net_message *out)
{
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Ack ack = SEALIFT__ACK__INIT;
    Sealift__Credit credit = SEALIFT__CREDIT__INIT;
    if (session->options.conversation == CONVERSATION_RECOVERY) {
        head.kind_case = SEALIFT__HEAD__KIND_CREDIT;
        head.credit = &credit;
    } else {
        head.kind_case = SEALIFT__HEAD__KIND_ACK;
        head.ack = &ack;
    }
    data_message_make(&head, span_of(NULL, 0), out);
}

/* Only sending shows that a connection is gone. */
static void probe_session(struct listener_session *session, uint64_t now_ms)
{
    if (session->opened != session->connection || now_ms < session->probe_at_ms) return;
    session->probe_at_ms = now_ms + listener_probe_interval(session);
    if (session->out.first) return;
    struct net_message probe = {0};
    make_probe(session, &probe);
    listener_box_push(&session->out, &probe);
}

static void tell_absent(const struct listener_session *session, uint64_t now_ms)
{
    char text[DATA_PATH_ABSENT_MAX];
    if (!session->options.absence) return;
    data_path_absent(session->options.path, session->trouble, text);
    absence_say(session->options.absence, text, now_ms);
}

/* How long until something is to be done. */
static uint64_t serve_session(struct listener *listener, struct listener_session *session, uint64_t now_ms)
{
    if (!session->bound) tell_absent(session, now_ms);
    if (!session->bound) return IDLE_MS;
    probe_session(session, now_ms);
    enum net_status status = flush_box(listener, &session->peer, &session->out);
    if (status == NET_UNREACHABLE) session_unbind(session);
    if (status == NET_AGAIN) return RETRY_MS;
    return session->probe_at_ms > now_ms ? session->probe_at_ms - now_ms : PROBE_LEAST_MS;
}

static void let_go(struct listener *listener, struct leaving **at)
{
    struct leaving *leaving = *at;
    *at = leaving->next;
    listener->leaving_count--;
    listener_box_clear(&leaving->out);
    free(leaving);
}

static uint64_t serve_leaving(struct listener *listener, uint64_t now_ms)
{
    uint64_t wait = IDLE_MS;
    for (struct leaving **at = &listener->leaving; *at;) {
        struct leaving *leaving = *at;
        enum net_status status = flush_box(listener, &leaving->peer, &leaving->out);
        const bool is_there = status == NET_AGAIN || status == NET_OK;
        if (is_there && now_ms < leaving->cut_at_ms) {
            uint64_t left = status == NET_AGAIN ? RETRY_MS : leaving->cut_at_ms - now_ms;
            if (left < wait) wait = left;
            at = &leaving->next;
            continue;
        }
        if (is_there) net_socket_drop(listener->socket, &leaving->peer);
        let_go(listener, at);
    }
    return wait;
}

static int serve_all(struct listener *listener)
{
    uint64_t now_ms = clock_steady_ms();
    (void)pthread_mutex_lock(&listener->lock);
    uint64_t wait = serve_leaving(listener, now_ms), outbound_wait = outbound_serve(listener, now_ms);
    if (outbound_wait < wait) wait = outbound_wait;
    for (struct listener_session *session = listener->sessions; session; session = session->next) {
        uint64_t left = serve_session(listener, session, now_ms);
        if (left < wait) wait = left;
    }
    if (listener->stop) wait = 0;
    (void)pthread_mutex_unlock(&listener->lock);
    return (int)wait;
}

/* Who has a new key for each connection is new each time. */
static void log_denial(struct listener *listener, const struct net_denial *denial)
{
    struct net_denial_who who;
    if (!log_gate_pass(&listener->strangers, "data_peer_denied", clock_steady_ms())) return;
    net_denial_who(denial, &who);
    log_event(LOG_WARN, "data_peer_denied", "address", who.address, "key", who.key, "reason",
              net_denial_text(denial->reason), "next", "it is not admitted", NULL);
}

static void log_denials(struct listener *listener)
{
    struct net_denial denial;
    while (net_zap_take_denial(listener->zap, &denial) || net_monitor_take_denial(listener->monitor, &denial))
        log_denial(listener, &denial);
}

static bool is_stopped(struct listener *listener)
{
    (void)pthread_mutex_lock(&listener->lock);
    bool stop = listener->stop;
    (void)pthread_mutex_unlock(&listener->lock);
    return stop;
}

/* Before the source of a probe talks, it looks whether anybody listens here at all. */
static enum net_silence expected_silence(const struct listener *listener)
{
    for (const struct listener_session *session = listener->sessions; session; session = session->next) {
        const struct listener_session_options *options = &session->options;
        bool comes_here = !options->path || !data_path_dials(options->path);
        if (options->conversation == CONVERSATION_PROBE && comes_here) return NET_SILENCE_EXPECTED;
    }
    return NET_SILENCE_TOLD;
}

/* Of connections that others made, events say nothing that sending does not. */
static void guard(struct listener *listener)
{
    struct net_monitor_event event;
    (void)pthread_mutex_lock(&listener->lock);
    net_monitor_silence(listener->monitor, expected_silence(listener));
    while (net_monitor_take(listener->monitor, &event))
        outbound_event(listener, &event);
    (void)pthread_mutex_unlock(&listener->lock);
    uint64_t now_ms = clock_steady_ms();
    if (now_ms - listener->guarded_ms < GUARD_MS) return;
    listener->guarded_ms = now_ms;
    if (net_monitor_guard(listener->monitor) > 0)
        log_event(LOG_WARN, "data_peer_cut", "reason", "a peer sends a message without end", NULL);
    if (net_monitor_shed(listener->monitor) > 0)
        log_event(LOG_WARN, "data_peers_shed", "reason",
                  "too many connections that say nothing: the oldest were cut", NULL);
}

static void receive_all(struct listener *listener)
{
    for (int i = 0; i < RECEIVE_AT_ONCE; i++) {
        if (receive_one(listener)) continue;
        (void)pthread_mutex_lock(&listener->lock);
        outbound_received(listener);
        (void)pthread_mutex_unlock(&listener->lock);
        return;
    }
}

void *listener_main(void *arg)
{
    struct listener *listener = arg;
    struct err err;
    while (!is_stopped(listener)) {
        struct net_poll_item items[] = {
            net_poll_socket(listener->socket, NET_READABLE),
            net_poll_fd(listener->wake.fd, NET_READABLE),
            net_poll_fd(net_zap_fd(listener->zap), NET_READABLE),
            net_poll_monitor(listener->monitor),
        };
        if (!net_poll_wait(items, 4, serve_all(listener), &err)) break;
        if (items[1].ready) net_wake_clear(&listener->wake);
        receive_all(listener);
        guard(listener);
        log_denials(listener);
    }
    net_monitor_free(listener->monitor);
    net_socket_free(listener->socket);
    listener->monitor = NULL;
    listener->socket = NULL;
    return NULL;
}
