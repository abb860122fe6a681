#include "transporter/session/listener.h"

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "transporter/session/listener_inside.h"

#include <stdio.h>
#include <string.h>

enum {
    /* whole payloads of a peer that may wait in libzmq: more than any credit, less than what hurts */
    RECV_QUEUE = 8,
    PROBE_MS = 5000, /* between questions whether a connection stands */
    PROBE_LEAST_MS = 20,
    LEAVING_MOST = 64,
    CREDIT_LEAST = 32 << 20, /* of a session, however many there are */
};

/* --- for both sides, under the lock --- */

void listener_fail(struct listener_session *session, const struct err *why)
{
    if (session->failed) return;
    session->failed = true;
    session->failure = *why;
    (void)pthread_cond_broadcast(&session->arrived);
}

struct listener_session *listener_session_of(const struct listener *listener, const struct id *run)
{
    struct listener_session *session = listener->sessions;
    while (session && !id_eq(&session->options.run, run))
        session = session->next;
    return session;
}

void listener_leave(struct listener *listener, const struct net_peer *peer, struct listener_box *last_words)
{
    struct leaving *leaving = xcalloc(1, sizeof(*leaving));
    leaving->peer = *peer;
    listener_box_move(last_words, &leaving->out);
    bool crowded = listener->leaving_count >= LEAVING_MOST;
    leaving->cut_at_ms = clock_steady_ms() + (crowded ? 0 : LISTENER_LAST_WORDS_MS);
    leaving->next = listener->leaving;
    listener->leaving = leaving;
    listener->leaving_count++;
}

uint64_t listener_probe_interval(const struct listener_session *session)
{
    uint64_t interval = session->lease_ms / 4;
    if (interval > PROBE_MS) return PROBE_MS;
    return interval < PROBE_LEAST_MS ? PROBE_LEAST_MS : interval;
}

/* --- making and ending --- */

static bool make_socket(struct listener *listener, const struct listener_options *options, struct err *err)
{
    struct net_options socket_options = net_options_in(options->net, NET_SERVER);
    AUTO(net_key) struct net_key *key = NULL;
    if (!net_key_from_secret(options->self->transport->sk->data, &key, err)) return false;
    socket_options.key = key;
    socket_options.zap = listener->zap;
    socket_options.domain = LISTENER_DOMAIN;
    socket_options.max_payload = PAYLOAD_MAX;
    socket_options.send_queue = LISTENER_QUEUE_MESSAGES;
    socket_options.recv_queue = RECV_QUEUE;
    listener->pace = net_context_pace(options->net);
    struct net_endpoint endpoint = {.side = NET_BIND, .address = options->bind};
    AUTO(net_socket) struct net_socket *socket = NULL;
    AUTO(net_monitor) struct net_monitor *monitor = NULL;
    if (!net_socket_new(options->net, &socket_options, &socket, err) ||
        !net_monitor_new(socket, &monitor, err) || !net_socket_attach(socket, &endpoint, err))
        return false;
    (void)snprintf(listener->endpoint, sizeof(listener->endpoint), "%s",
                   options->advertise ? options->advertise : net_socket_bound(socket));
    listener->monitor = monitor;
    monitor = NULL;
    listener->socket = socket;
    socket = NULL;
    return true;
}

bool listener_new(const struct listener_options *options, struct listener **out, struct err *err)
{
    AUTO(listener) struct listener *listener = xcalloc(1, sizeof(*listener));
    listener->wake.fd = -1;
    (void)pthread_mutex_init(&listener->lock, NULL);
    if (!net_wake_init(&listener->wake, err) || !net_zap_start(options->net, &listener->zap, err))
        return false;
    net_zap_set_domain(listener->zap, LISTENER_DOMAIN, NET_UNKNOWN_REFUSE);
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
    net_monitor_free(listener->monitor);
    net_socket_free(listener->socket);
    while (listener->leaving) {
        struct leaving *leaving = listener->leaving;
        listener->leaving = leaving->next;
        listener_box_clear(&leaving->out);
        free(leaving);
    }
    outbound_free_all(listener);
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
    session->options.credit_bytes = credit_pool_take(options->credits, CREDIT_LEAST, options->credit_bytes);
    session->lease_ms = options->lease_ms;
    session->expires_ms = UINT64_MAX;
    session->gone_since_ms = clock_steady_ms();
    listener_queue_init(&session->opens);
    listener_queue_init(&session->asks);
    listener_queue_init(&session->rest);
    listener_box_init(&session->out);
    stripe_order_init(&session->order);
    (void)pthread_cond_init(&session->arrived, NULL);
    (void)pthread_mutex_lock(&listener->lock);
    bool taken = listener_session_of(listener, &options->run) != NULL;
    if (!taken) {
        session->next = listener->sessions;
        listener->sessions = session;
        net_zap_allow(listener->zap, LISTENER_DOMAIN, options->peer_key);
        listener_dial_stripes(session, 1);
    }
    (void)pthread_mutex_unlock(&listener->lock);
    if (taken) {
        credit_pool_give(options->credits, session->options.credit_bytes);
        (void)pthread_cond_destroy(&session->arrived);
        free(session);
        return err_set(err, ERR_BUSY, "the run has a session already");
    }
    net_wake_signal(&listener->wake);
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
    outbound_leave(session);
    if (session->options.absence) absence_end(session->options.absence);
    if (session->bound) listener_leave(listener, &session->peer, &session->out);
    listener_drop_stripes(session);
    if (!key_is_used(listener, session->options.peer_key))
        net_zap_remove(listener->zap, LISTENER_DOMAIN, session->options.peer_key);
    (void)pthread_mutex_unlock(&listener->lock);
    net_wake_signal(&listener->wake);
    credit_pool_give(session->options.credits, session->options.credit_bytes);
    listener_box_clear(&session->out);
    listener_queue_clear(&session->opens);
    listener_queue_clear(&session->asks);
    listener_queue_clear(&session->rest);
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
        if (listener_queue_pop(&session->opens, out) || listener_queue_pop(&session->asks, out) ||
            listener_queue_pop(&session->rest, out))
            return true;
        uint64_t until = session->bound ? UINT64_MAX : session->gone_since_ms + session->lease_ms;
        if (session->expires_ms < until) until = session->expires_ms;
        if (until == UINT64_MAX) {
            (void)pthread_cond_wait(&session->arrived, &session->listener->lock);
            continue;
        }
        if (clock_steady_ms() >= until) {
            data_path_gone(session->options.path, session->lease_ms, session->trouble, err);
            return false;
        }
        clock_wait(&session->arrived, &session->listener->lock, until);
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
    /* what is small does not queue up behind what is not */
    if (kind == SEALIFT__HEAD__KIND_BATCH || kind == SEALIFT__HEAD__KIND_FRAMES)
        bandwidth_take(session->options.bandwidth, data_message_payload(&message).len,
                       session->options.given_up);
    data_message_move(&message, out);
    return true;
}

uint64_t listener_session_window(struct listener_session *session, uint64_t most)
{
    uint64_t credit = session->options.credit_bytes;
    return bandwidth_window(session->options.bandwidth, credit < most ? credit : most);
}

uint32_t listener_session_heartbeat_ms(const struct listener_session *session)
{
    return (uint32_t)session->listener->pace.heartbeat_ms;
}

void listener_session_fail(struct listener_session *session, const struct err *why)
{
    (void)pthread_mutex_lock(&session->listener->lock);
    listener_fail(session, why);
    (void)pthread_mutex_unlock(&session->listener->lock);
}

static void push_out(struct listener_session *session, struct net_message *message)
{
    if (session->out.count >= LISTENER_QUEUE_MESSAGES) {
        struct err err = {0};
        (void)err_set(&err, ERR_PROTOCOL, "the peer does not read its answers");
        listener_fail(session, &err);
        return;
    }
    listener_box_push(&session->out, message);
}

static void send_if(struct listener_session *session, bool current, struct net_message *message)
{
    if (current && session->bound) push_out(session, message);
    (void)pthread_mutex_unlock(&session->listener->lock);
    net_wake_signal(&session->listener->wake);
    net_message_deinit(message);
}

void listener_session_opened(struct listener_session *session, uint64_t connection,
                             struct net_message *message)
{
    (void)pthread_mutex_lock(&session->listener->lock);
    bool current = connection == session->connection;
    if (current) {
        session->opened = connection;
        session->probe_at_ms = clock_steady_ms() + listener_probe_interval(session);
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
    session->expires_ms = clock_steady_ms() + after_ms;
    (void)pthread_cond_broadcast(&session->arrived);
    (void)pthread_mutex_unlock(&session->listener->lock);
}
