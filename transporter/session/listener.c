#include "transporter/session/listener.h"

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/net/net_poll.h"
#include "common/net/net_wake.h"
#include "common/net/net_zap.h"
#include "transporter/session/moment.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DATA_DOMAIN "data"

enum {
    QUEUE_MESSAGES = 1024,  /* that may wait for a run, and of a run for its peer */
    RECV_QUEUE = 1024,      /* in libzmq: all that a peer may have under way */
    HEARTBEAT_MS = 5000,
    HEARTBEAT_TIMEOUT_MS = 20000,
    PROBE_MS = 5000,        /* between questions whether a connection stands */
    PROBE_LEAST_MS = 20,
    RETRY_MS = 20,          /* when a peer has no room */
    IDLE_MS = 1000,
    LAST_WORDS_MS = 1000,   /* from Fail to the cut */
    LEAVING_MOST = 64,
    RECEIVE_AT_ONCE = 64,
};

struct queued {
    struct queued *next;
    struct data_message message;
};

/* first in, first out */
struct queue {
    struct queued *first, **end;
    size_t count;
    uint64_t bytes; /* of payloads */
};

/* Messages on their way out to one connection. */
struct outgoing {
    struct outgoing *next;
    struct net_message message;
};

struct outbox {
    struct outgoing *first, **end;
    size_t count;
};

struct listener_session {
    struct listener_session *next;
    struct listener *listener;
    struct listener_session_options options;
    enum conversation_state state; /* receiving thread */

    /* under the listener's lock */
    bool bound;
    struct net_peer peer;
    uint64_t connection;    /* counted from 1 */
    uint64_t opened;        /* the last one whose Open was answered */
    uint64_t gone_since_ms; /* while not bound */
    uint64_t lease_ms;
    uint64_t expires_ms; /* UINT64_MAX: never */
    uint64_t probe_at_ms;
    struct queue opens, asks, rest;
    struct outbox out;
    bool failed;
    struct err failure;
    pthread_cond_t arrived;
};

/* A connection that gets its last words and is then cut. */
struct leaving {
    struct leaving *next;
    struct net_peer peer;
    struct outbox out;
    uint64_t cut_at_ms;
};

struct listener {
    struct net_zap *zap;
    struct net_socket *socket; /* the thread's, once it runs */
    struct net_wake wake;
    char endpoint[256];
    pthread_t thread;
    bool running;

    pthread_mutex_t lock;
    struct listener_session *sessions;
    struct leaving *leaving;
    size_t leaving_count;
    bool stop;
};

/* --- queues --- */

static void queue_init(struct queue *queue)
{
    *queue = (struct queue){.end = &queue->first};
}

static void queue_push(struct queue *queue, struct data_message *message)
{
    struct queued *item = xcalloc(1, sizeof(*item));
    queue->bytes += data_message_payload(message).len;
    data_message_move(message, &item->message);
    *queue->end = item;
    queue->end = &item->next;
    queue->count++;
}

static bool queue_pop(struct queue *queue, struct data_message *out)
{
    struct queued *item = queue->first;
    if (!item) return false;
    queue->first = item->next;
    if (!queue->first) queue->end = &queue->first;
    queue->count--;
    queue->bytes -= data_message_payload(&item->message).len;
    data_message_move(&item->message, out);
    free(item);
    return true;
}

static void queue_clear(struct queue *queue)
{
    struct data_message message = {0};
    while (queue_pop(queue, &message))
        data_message_deinit(&message);
}

static void outbox_init(struct outbox *box)
{
    *box = (struct outbox){.end = &box->first};
}

static void outbox_push(struct outbox *box, struct net_message *message)
{
    struct outgoing *item = xcalloc(1, sizeof(*item));
    net_message_move(message, &item->message);
    *box->end = item;
    box->end = &item->next;
    box->count++;
}

static void outbox_drop_first(struct outbox *box)
{
    struct outgoing *item = box->first;
    box->first = item->next;
    if (!box->first) box->end = &box->first;
    box->count--;
    net_message_deinit(&item->message);
    free(item);
}

static void outbox_clear(struct outbox *box)
{
    while (box->first)
        outbox_drop_first(box);
}

static void outbox_move(struct outbox *from, struct outbox *to)
{
    outbox_init(to);
    if (!from->first) return;
    *to = *from; /* `end` points into the last item */
    outbox_init(from);
}

/* --- sessions, under the lock --- */

static void session_fail(struct listener_session *session, const struct err *why)
{
    if (session->failed) return;
    session->failed = true;
    session->failure = *why;
    (void)pthread_cond_broadcast(&session->arrived);
}

static void session_unbind(struct listener_session *session)
{
    if (!session->bound) return;
    session->bound = false;
    session->gone_since_ms = moment_ms();
    outbox_clear(&session->out);
    (void)pthread_cond_broadcast(&session->arrived);
}

static struct listener_session *session_of_peer(const struct listener *listener, const struct net_peer *peer)
{
    struct listener_session *session = listener->sessions;
    while (session && !(session->bound && session->peer.route == peer->route &&
                        memcmp(session->peer.key, peer->key, NET_KEY_LEN) == 0))
        session = session->next;
    return session;
}

static struct listener_session *session_of_run(const struct listener *listener, const struct id *run)
{
    struct listener_session *session = listener->sessions;
    while (session && !id_eq(&session->options.run, run))
        session = session->next;
    return session;
}

/* Takes what is in the box. */
static void leave(struct listener *listener, const struct net_peer *peer, struct outbox *last_words)
{
    struct leaving *leaving = xcalloc(1, sizeof(*leaving));
    leaving->peer = *peer;
    outbox_move(last_words, &leaving->out);
    bool crowded = listener->leaving_count >= LEAVING_MOST;
    leaving->cut_at_ms = moment_ms() + (crowded ? 0 : LAST_WORDS_MS);
    leaving->next = listener->leaving;
    listener->leaving = leaving;
    listener->leaving_count++;
}

static bool is_leaving(const struct listener *listener, const struct net_peer *peer)
{
    for (const struct leaving *leaving = listener->leaving; leaving; leaving = leaving->next)
        if (leaving->peer.route == peer->route && memcmp(leaving->peer.key, peer->key, NET_KEY_LEN) == 0)
            return true;
    return false;
}

static void log_refusal(const struct net_peer *peer, const char *why)
{
    char key[2 * NET_KEY_LEN + 1];
    hex_encode(peer->key, NET_KEY_LEN, key);
    log_event(LOG_WARN, "data_peer_refused", "address", peer->address, "key", key, "why", why, "next",
              "the connection is cut", NULL);
}

static void refuse(struct listener *listener, const struct net_peer *peer, const struct err *why)
{
    struct net_message fail = {0};
    struct outbox last_words;
    outbox_init(&last_words);
    data_message_make_fail(why, &fail);
    outbox_push(&last_words, &fail);
    log_refusal(peer, why->text);
    leave(listener, peer, &last_words);
}

/* --- arrivals, under the lock --- */

/* Their hashes are compared: how long that takes says nothing about the ticket. */
static bool is_ticket(const struct listener_session *session, const ProtobufCBinaryData *ticket)
{
    struct hash given = hash_of(span_of(ticket->data, ticket->len));
    struct hash expected = hash_of(span_of(session->options.ticket, LISTENER_TICKET_LEN));
    return hash_eq(&given, &expected);
}

static bool may_open(struct listener *listener, const struct net_peer *peer, const Sealift__Open *open,
                     struct listener_session **out, struct err *err)
{
    struct id run = {{0}};
    if (open->run.len == ID_LEN) memcpy(run.bytes, open->run.data, ID_LEN);
    struct listener_session *session = session_of_run(listener, &run);
    /* one answer for all that is not its to know */
    if (!session || memcmp(session->options.peer_key, peer->key, NET_KEY_LEN) != 0 ||
        !is_ticket(session, &open->ticket))
        return err_set(err, ERR_NOT_AUTHENTIC, "the ticket admits to no run here");
    if (open->attempt != session->options.attempt)
        return err_set(err, ERR_PROTOCOL, "attempt %u is not the current one, which is %u", open->attempt,
                       session->options.attempt);
    if (open->seal.len != ID_LEN) return err_set(err, ERR_PROTOCOL, "an open message without a seal id");
    *out = session;
    return true;
}

static void bind_session(struct listener_session *session, const struct net_peer *peer,
                         struct data_message *open)
{
    struct outbox none;
    outbox_init(&none);
    if (session->bound) leave(session->listener, &session->peer, &none);
    queue_clear(&session->opens);
    queue_clear(&session->asks);
    queue_clear(&session->rest);
    outbox_clear(&session->out);
    session->bound = true;
    session->peer = *peer;
    open->connection = ++session->connection;
    queue_push(&session->opens, open);
    (void)pthread_cond_broadcast(&session->arrived);
}

static void take_first(struct listener *listener, const struct net_peer *peer, struct net_message *net)
{
    AUTO(data_message) struct data_message message = {0};
    struct listener_session *session = NULL;
    struct err err = {0};
    bool ok = data_message_decode(CHANNEL_DIALLER_TO_LISTENER, net, &message, &err);
    if (ok && message.head->kind_case != SEALIFT__HEAD__KIND_OPEN)
        ok = err_set(&err, ERR_PROTOCOL, "a '%s' message before the connection was opened",
                     head_name(message.head->kind_case));
    ok = ok && may_open(listener, peer, message.head->open, &session, &err);
    if (ok)
        bind_session(session, peer, &message);
    else
        refuse(listener, peer, &err);
}

static bool has_room(const struct listener_session *session, const struct data_message *message,
                     struct err *err)
{
    uint64_t bytes = session->rest.bytes + data_message_payload(message).len;
    if (session->asks.count + session->rest.count >= QUEUE_MESSAGES)
        return err_set(err, ERR_PROTOCOL, "the peer has more than %d messages under way", QUEUE_MESSAGES);
    if (message->head->kind_case == SEALIFT__HEAD__KIND_ASK || session->rest.count == 0 ||
        bytes <= session->options.credit_bytes + head_payload_limit(SEALIFT__HEAD__KIND_COMMIT))
        return true;
    return err_set(err, ERR_PROTOCOL, "the peer sent more than its credit of %" PRIu64 " bytes",
                   session->options.credit_bytes);
}

static void take_next(struct listener_session *session, struct net_message *net)
{
    AUTO(data_message) struct data_message message = {0};
    struct err err = {0};
    if (!data_message_decode(CHANNEL_DIALLER_TO_LISTENER, net, &message, &err) ||
        !has_room(session, &message, &err)) {
        session_fail(session, &err);
        return;
    }
    message.connection = session->connection;
    bool ask = message.head->kind_case == SEALIFT__HEAD__KIND_ASK;
    queue_push(ask ? &session->asks : &session->rest, &message);
    (void)pthread_cond_broadcast(&session->arrived);
}

static void take_refused(struct listener *listener, const struct net_peer *peer, enum net_fault fault)
{
    struct listener_session *session = session_of_peer(listener, peer);
    struct err err = {0};
    (void)err_set(&err, ERR_PROTOCOL, "%s", net_fault_text(fault));
    if (session) session_fail(session, &err);
    if (!is_leaving(listener, peer)) log_refusal(peer, err.text);
}

static bool receive_one(struct listener *listener)
{
    AUTO(net_message) struct net_message net = {0};
    struct net_peer peer;
    enum net_fault fault;
    enum net_status status = net_socket_recv(listener->socket, &peer, &net, &fault, 0);
    if (status != NET_OK && status != NET_REFUSED) return false;
    (void)pthread_mutex_lock(&listener->lock);
    struct listener_session *session = session_of_peer(listener, &peer);
    if (status == NET_REFUSED)
        take_refused(listener, &peer, fault);
    else if (session)
        take_next(session, &net);
    else if (!is_leaving(listener, &peer))
        take_first(listener, &peer, &net);
    (void)pthread_mutex_unlock(&listener->lock);
    return true;
}

/* --- departures, under the lock --- */

/* NET_OK: the box is empty. */
static enum net_status flush_box(struct listener *listener, const struct net_peer *peer, struct outbox *box)
{
    while (box->first) {
        enum net_status status = net_socket_send(listener->socket, peer, &box->first->message, 0);
        if (status != NET_OK) return status;
        outbox_drop_first(box);
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

static uint64_t probe_interval(const struct listener_session *session)
{
    uint64_t interval = session->lease_ms / 4;
    if (interval > PROBE_MS) return PROBE_MS;
    return interval < PROBE_LEAST_MS ? PROBE_LEAST_MS : interval;
}

/* Only sending shows that a connection is gone. */
static void probe_session(struct listener_session *session, uint64_t now_ms)
{
    if (session->opened != session->connection || now_ms < session->probe_at_ms) return;
    session->probe_at_ms = now_ms + probe_interval(session);
    if (session->out.first) return;
    struct net_message probe = {0};
    make_probe(session, &probe);
    outbox_push(&session->out, &probe);
}

/* How long until something is to be done. */
static uint64_t serve_session(struct listener *listener, struct listener_session *session, uint64_t now_ms)
{
    if (!session->bound) return IDLE_MS;
    probe_session(session, now_ms);
    enum net_status status = flush_box(listener, &session->peer, &session->out);
    if (status == NET_UNREACHABLE) session_unbind(session);
    if (status == NET_AGAIN) return RETRY_MS;
    return session->probe_at_ms > now_ms ? session->probe_at_ms - now_ms : PROBE_LEAST_MS;
}

static uint64_t serve_leaving(struct listener *listener, uint64_t now_ms)
{
    uint64_t wait = IDLE_MS;
    for (struct leaving **at = &listener->leaving; *at;) {
        struct leaving *leaving = *at;
        enum net_status status = flush_box(listener, &leaving->peer, &leaving->out);
        if (status == NET_AGAIN || status == NET_OK) {
            if (now_ms < leaving->cut_at_ms) {
                uint64_t left = leaving->cut_at_ms - now_ms;
                if (status == NET_AGAIN) left = RETRY_MS;
                if (left < wait) wait = left;
                at = &leaving->next;
                continue;
            }
            net_socket_drop(listener->socket, &leaving->peer);
        }
        *at = leaving->next;
        listener->leaving_count--;
        outbox_clear(&leaving->out);
        free(leaving);
    }
    return wait;
}

static int serve_all(struct listener *listener)
{
    uint64_t now_ms = moment_ms();
    (void)pthread_mutex_lock(&listener->lock);
    uint64_t wait = serve_leaving(listener, now_ms);
    for (struct listener_session *session = listener->sessions; session; session = session->next) {
        uint64_t left = serve_session(listener, session, now_ms);
        if (left < wait) wait = left;
    }
    if (listener->stop) wait = 0;
    (void)pthread_mutex_unlock(&listener->lock);
    return (int)wait;
}

static void log_denials(struct listener *listener)
{
    struct net_denial denial;
    while (net_zap_take_denial(listener->zap, &denial)) {
        char key[2 * NET_KEY_LEN + 1];
        hex_encode(denial.key, NET_KEY_LEN, key);
        log_event(LOG_WARN, "data_peer_denied", "address", denial.address, "key", key, "next",
                  "it is not admitted", NULL);
    }
}

static bool is_stopped(struct listener *listener)
{
    (void)pthread_mutex_lock(&listener->lock);
    bool stop = listener->stop;
    (void)pthread_mutex_unlock(&listener->lock);
    return stop;
}

static void *listener_main(void *arg)
{
    struct listener *listener = arg;
    struct err err;
    while (!is_stopped(listener)) {
        struct net_poll_item items[] = {
            net_poll_socket(listener->socket, NET_READABLE),
            net_poll_fd(listener->wake.fd, NET_READABLE),
            net_poll_fd(net_zap_fd(listener->zap), NET_READABLE),
        };
        if (!net_poll_wait(items, 3, serve_all(listener), &err)) break;
        if (items[1].ready) net_wake_clear(&listener->wake);
        if (items[2].ready) log_denials(listener);
        for (int i = 0; i < RECEIVE_AT_ONCE && receive_one(listener); i++)
            continue;
    }
    net_socket_free(listener->socket);
    listener->socket = NULL;
    return NULL;
}

/* --- making and ending --- */

static bool make_socket(struct listener *listener, const struct listener_options *options, struct err *err)
{
    struct net_options socket_options = net_options_of(NET_SERVER);
    AUTO(net_key) struct net_key *key = NULL;
    if (!net_key_from_secret(options->self->transport->sk->data, &key, err)) return false;
    socket_options.key = key;
    socket_options.zap = listener->zap;
    socket_options.domain = DATA_DOMAIN;
    socket_options.max_payload = PAYLOAD_MAX;
    socket_options.send_queue = QUEUE_MESSAGES;
    socket_options.recv_queue = RECV_QUEUE;
    socket_options.heartbeat_ms = HEARTBEAT_MS;
    socket_options.heartbeat_timeout_ms = HEARTBEAT_TIMEOUT_MS;
    struct net_endpoint endpoint = {.side = NET_BIND, .address = options->bind};
    AUTO(net_socket) struct net_socket *socket = NULL;
    if (!net_socket_new(options->net, &socket_options, &socket, err) ||
        !net_socket_attach(socket, &endpoint, err))
        return false;
    (void)snprintf(listener->endpoint, sizeof(listener->endpoint), "%s",
                   options->advertise ? options->advertise : net_socket_bound(socket));
    listener->socket = socket;
    socket = NULL;
    return true;
}

bool listener_new(const struct listener_options *options, struct listener **out, struct err *err)
{
    AUTO(listener) struct listener *listener = xcalloc(1, sizeof(*listener));
    listener->wake.fd = -1;
    (void)pthread_mutex_init(&listener->lock, NULL);
    if (!net_wake_init(&listener->wake, err) || !net_zap_start(options->net, &listener->zap, err)) return false;
    net_zap_set_domain(listener->zap, DATA_DOMAIN, NET_UNKNOWN_REFUSE);
    if (!make_socket(listener, options, err)) return err_wrap(err, "the data port");
    int failed = pthread_create(&listener->thread, NULL, listener_main, listener);
    if (failed) return err_sys(err, failed, "cannot start the thread of the data port");
    listener->running = true;
    *out = listener;
    listener = NULL;
    return true;
}

void listener_free(struct listener *listener)
{
    if (!listener) return;
    (void)pthread_mutex_lock(&listener->lock);
    listener->stop = true;
    (void)pthread_mutex_unlock(&listener->lock);
    if (listener->running) {
        net_wake_signal(&listener->wake);
        (void)pthread_join(listener->thread, NULL);
    }
    net_socket_free(listener->socket);
    while (listener->leaving) {
        struct leaving *leaving = listener->leaving;
        listener->leaving = leaving->next;
        outbox_clear(&leaving->out);
        free(leaving);
    }
    net_zap_stop(listener->zap);
    if (listener->wake.fd >= 0) net_wake_deinit(&listener->wake);
    (void)pthread_mutex_destroy(&listener->lock);
    free(listener);
}

const char *listener_endpoint(const struct listener *listener)
{
    return listener->endpoint;
}

/* --- sessions --- */

bool listener_admit(struct listener *listener, const struct listener_session_options *options,
                    struct listener_session **out, struct err *err)
{
    struct listener_session *session = xcalloc(1, sizeof(*session));
    session->listener = listener;
    session->options = *options;
    session->lease_ms = options->lease_ms;
    session->expires_ms = UINT64_MAX;
    session->gone_since_ms = moment_ms();
    queue_init(&session->opens);
    queue_init(&session->asks);
    queue_init(&session->rest);
    outbox_init(&session->out);
    (void)pthread_cond_init(&session->arrived, NULL);
    (void)pthread_mutex_lock(&listener->lock);
    bool taken = session_of_run(listener, &options->run) != NULL;
    if (!taken) {
        session->next = listener->sessions;
        listener->sessions = session;
        net_zap_allow(listener->zap, DATA_DOMAIN, options->peer_key);
    }
    (void)pthread_mutex_unlock(&listener->lock);
    if (taken) {
        (void)pthread_cond_destroy(&session->arrived);
        free(session);
        return err_set(err, ERR_BUSY, "the run has a session already");
    }
    *out = session;
    return true;
}

static bool key_is_used(const struct listener *listener, const uint8_t *key)
{
    for (const struct listener_session *session = listener->sessions; session; session = session->next)
        if (memcmp(session->options.peer_key, key, NET_KEY_LEN) == 0) return true;
    return false;
}

void listener_session_free(struct listener_session *session)
{
    if (!session) return;
    struct listener *listener = session->listener;
    (void)pthread_mutex_lock(&listener->lock);
    struct listener_session **at = &listener->sessions;
    while (*at != session)
        at = &(*at)->next;
    *at = session->next;
    if (session->bound) leave(listener, &session->peer, &session->out);
    if (!key_is_used(listener, session->options.peer_key))
        net_zap_remove(listener->zap, DATA_DOMAIN, session->options.peer_key);
    (void)pthread_mutex_unlock(&listener->lock);
    net_wake_signal(&listener->wake);
    outbox_clear(&session->out);
    queue_clear(&session->opens);
    queue_clear(&session->asks);
    queue_clear(&session->rest);
    (void)pthread_cond_destroy(&session->arrived);
    free(session);
}

/* Waits for a message; under the lock. */
static bool await_message(struct listener_session *session, struct data_message *out, struct err *err)
{
    for (;;) {
        if (session->failed) {
            *err = session->failure;
            return false;
        }
        if (queue_pop(&session->opens, out) || queue_pop(&session->asks, out) || queue_pop(&session->rest, out))
            return true;
        uint64_t until = session->bound ? UINT64_MAX : session->gone_since_ms + session->lease_ms;
        if (session->expires_ms < until) until = session->expires_ms;
        if (until == UINT64_MAX) {
            (void)pthread_cond_wait(&session->arrived, &session->listener->lock);
            continue;
        }
        if (moment_ms() >= until)
            return err_set(err, ERR_UNREACHABLE, "the other side was gone for more than %" PRIu64 " s",
                           session->lease_ms / 1000);
        moment_wait(&session->arrived, &session->listener->lock, until);
    }
}

bool listener_session_receive(struct listener_session *session, struct data_message *out, struct err *err)
{
    AUTO(data_message) struct data_message message = {0};
    (void)pthread_mutex_lock(&session->listener->lock);
    bool ok = await_message(session, &message, err);
    (void)pthread_mutex_unlock(&session->listener->lock);
    if (!ok) return false;
    Sealift__Head__KindCase kind = message.head->kind_case;
    /* an Open that begins a connection; one in the middle of a connection has no row */
    if (kind == SEALIFT__HEAD__KIND_OPEN && message.connection != session->opened)
        session->state = CONVERSATION_NEW;
    if (!conversation_listener(session->options.conversation, session->state, kind, &session->state, err)) {
        listener_session_fail(session, err);
        return false;
    }
    data_message_move(&message, out);
    return true;
}

void listener_session_fail(struct listener_session *session, const struct err *why)
{
    (void)pthread_mutex_lock(&session->listener->lock);
    session_fail(session, why);
    (void)pthread_mutex_unlock(&session->listener->lock);
}

static void push_out(struct listener_session *session, struct net_message *message)
{
    if (session->out.count >= QUEUE_MESSAGES) {
        struct err err = {0};
        (void)err_set(&err, ERR_PROTOCOL, "the peer does not read its answers");
        session_fail(session, &err);
        return;
    }
    outbox_push(&session->out, message);
}

static void send_if(struct listener_session *session, bool current, struct net_message *message)
{
    if (current && session->bound) push_out(session, message);
    (void)pthread_mutex_unlock(&session->listener->lock);
    net_wake_signal(&session->listener->wake);
    net_message_deinit(message);
}

void listener_session_opened(struct listener_session *session, uint64_t connection, struct net_message *message)
{
    (void)pthread_mutex_lock(&session->listener->lock);
    bool current = connection == session->connection;
    if (current) {
        session->opened = connection;
        session->probe_at_ms = moment_ms() + probe_interval(session);
    }
    send_if(session, current, message);
}

void listener_session_send(struct listener_session *session, uint64_t connection, struct net_message *message)
{
    (void)pthread_mutex_lock(&session->listener->lock);
    send_if(session, connection == session->connection && session->opened == connection, message);
}

void listener_session_tell(struct listener_session *session, struct net_message *message)
{
    (void)pthread_mutex_lock(&session->listener->lock);
    send_if(session, session->opened == session->connection, message);
}

void listener_session_refuse(struct listener_session *session, const struct err *why)
{
    struct net_message fail = {0};
    data_message_make_fail(why, &fail);
    (void)pthread_mutex_lock(&session->listener->lock);
    send_if(session, true, &fail);
}

void listener_session_answered(struct listener_session *session)
{
    session->state = CONVERSATION_DONE;
}

void listener_session_expire(struct listener_session *session, uint64_t after_ms)
{
    (void)pthread_mutex_lock(&session->listener->lock);
    session->expires_ms = moment_ms() + after_ms;
    (void)pthread_cond_broadcast(&session->arrived);
    (void)pthread_mutex_unlock(&session->listener->lock);
}

void listener_session_set_lease(struct listener_session *session, uint64_t lease_ms)
{
    (void)pthread_mutex_lock(&session->listener->lock);
    session->lease_ms = lease_ms;
    (void)pthread_cond_broadcast(&session->arrived);
    (void)pthread_mutex_unlock(&session->listener->lock);
}
