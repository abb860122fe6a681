#include "transporter/session/inlet_remote.h"

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "transporter/session/inlet_question.h"

#include <pthread.h>
#include <string.h>

enum {
    GOODBYE_MS = 5000,
    CALLERS_MAX = 16,
    FETCHES = 2, /* the other side begins the next answer when the last one is out, not a round trip later */
};

struct arrival {
    struct arrival *next;
    struct data_message message;
};

/* One call of fetch. Under the inlet's lock, but for the question itself. */
struct caller {
    struct caller *next;
    uint64_t serial;
    bool asked; /* on the current connection */
    struct arrival *first, **end;
    unsigned skip;
    struct inlet_question question; /* the caller's alone */
};

struct inlet_remote {
    struct listener_session *session;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct caller *callers;
    size_t caller_count;
    uint64_t serial;
    uint64_t connection;      /* whose Open was answered last; 0: none stands */
    uint64_t credit;          /* that it was given */
    uint64_t uncredited;      /* bytes that arrived on it and were not paid back */
    struct data_message open; /* waits for inlet_remote_accept */
    bool has_open, accepted, finished, goodbye;
    struct buf point_file;
    struct hash point_hash;
    bool has_point;
    bool failed;
    struct err failure;
};

/* --- under the lock --- */

static void fail(struct inlet_remote *inlet, const struct err *why)
{
    if (!inlet->failed) inlet->failure = *why;
    inlet->failed = true;
    (void)pthread_cond_broadcast(&inlet->changed);
}

static void drop_arrivals(struct caller *caller)
{
    while (caller->first) {
        struct arrival *arrival = caller->first;
        caller->first = arrival->next;
        data_message_deinit(&arrival->message);
        free(arrival);
    }
    caller->end = &caller->first;
}

static void send_done(struct inlet_remote *inlet)
{
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Done done = SEALIFT__DONE__INIT;
    struct net_message message = {0};
    head.kind_case = SEALIFT__HEAD__KIND_DONE;
    head.done = &done;
    data_message_make(&head, span_of(NULL, 0), &message);
    listener_session_tell(inlet->session, &message);
}

static void answer_open(struct inlet_remote *inlet)
{
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Opened opened = SEALIFT__OPENED__INIT;
    struct net_message message = {0};
    opened.epoch = inlet->open.connection;
    opened.heartbeat_ms = listener_session_heartbeat_ms(inlet->session);
    opened.credit_bytes = listener_session_window(inlet->session, INLET_REMOTE_CREDIT);
    head.serial = inlet->open.head->serial;
    head.kind_case = SEALIFT__HEAD__KIND_OPENED;
    head.opened = &opened;
    data_message_make(&head, span_of(NULL, 0), &message);
    inlet->connection = inlet->open.connection;
    inlet->uncredited = 0;
    inlet->credit = opened.credit_bytes;
    inlet->has_open = false;
    listener_session_opened(inlet->session, inlet->connection, &message);
    data_message_deinit(&inlet->open);
    if (inlet->finished) send_done(inlet);
    (void)pthread_cond_broadcast(&inlet->changed);
}

/* Everything under way on the connection before is void. */
static bool take_open(struct inlet_remote *inlet, struct data_message *message, struct err *err)
{
    struct span file = data_message_payload(message);
    struct hash hash = hash_of(file);
    if (inlet->has_point && !hash_eq(&hash, &inlet->point_hash))
        return err_set(err, ERR_PROTOCOL, "another point file than before");
    if (!inlet->has_point) buf_put_span(&inlet->point_file, file);
    inlet->has_point = true;
    inlet->point_hash = hash;
    inlet->connection = 0;
    for (struct caller *caller = inlet->callers; caller; caller = caller->next) {
        drop_arrivals(caller);
        caller->asked = false;
    }
    data_message_deinit(&inlet->open);
    data_message_move(message, &inlet->open);
    inlet->has_open = true;
    if (inlet->accepted) answer_open(inlet);
    (void)pthread_cond_broadcast(&inlet->changed);
    return true;
}

static void pay_back(struct inlet_remote *inlet, uint64_t connection, uint64_t bytes)
{
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Credit credit = SEALIFT__CREDIT__INIT;
    struct net_message message = {0};
    if (connection != inlet->connection) return;
    inlet->uncredited -= bytes;
    credit.bytes = bytes;
    head.kind_case = SEALIFT__HEAD__KIND_CREDIT;
    head.credit = &credit;
    data_message_make(&head, span_of(NULL, 0), &message);
    listener_session_send(inlet->session, connection, &message);
}

static bool take_answer(struct inlet_remote *inlet, struct data_message *message, uint64_t want,
                        struct err *err)
{
    size_t len = data_message_payload(message).len;
    if (want == 0 || want > inlet->serial)
        return err_set(err, ERR_PROTOCOL, "an answer to what was not asked");
    inlet->uncredited += len;
    if (inlet->uncredited > inlet->credit)
        return err_set(err, ERR_PROTOCOL, "the other side sent more than its credit");
    struct caller *caller = inlet->callers;
    while (caller && !(caller->asked && caller->serial == want))
        caller = caller->next;
    if (!caller) { /* the caller has given up */
        pay_back(inlet, message->connection, len);
        return true;
    }
    struct arrival *arrival = xcalloc(1, sizeof(*arrival));
    data_message_move(message, &arrival->message);
    *caller->end = arrival;
    caller->end = &arrival->next;
    (void)pthread_cond_broadcast(&inlet->changed);
    return true;
}

static bool take_message(struct inlet_remote *inlet, struct data_message *message, struct err *err)
{
    switch (message->head->kind_case) {
    case SEALIFT__HEAD__KIND_OPEN:
        return take_open(inlet, message, err);
    case SEALIFT__HEAD__KIND_FRAMES:
        return take_answer(inlet, message, message->head->frames->want, err);
    case SEALIFT__HEAD__KIND_FETCH_END:
        return take_answer(inlet, message, message->head->fetch_end->want, err);
    case SEALIFT__HEAD__KIND_DONE:
        if (!inlet->finished) return err_set(err, ERR_PROTOCOL, "the repository side left before the end");
        inlet->goodbye = true;
        return err_set(err, ERR_CANCELLED, "the conversation is over");
    default: /* Fail */
        data_message_failure(message, err);
        return false;
    }
}

static void *inlet_main(void *arg)
{
    struct inlet_remote *inlet = arg;
    for (bool on = true; on;) {
        AUTO(data_message) struct data_message message = {0};
        struct err err = {0};
        bool received = listener_session_receive(inlet->session, &message, &err);
        (void)pthread_mutex_lock(&inlet->lock);
        on = received && take_message(inlet, &message, &err);
        if (!on) fail(inlet, &err);
        (void)pthread_mutex_unlock(&inlet->lock);
    }
    return NULL;
}

/* --- fetching --- */

static void ask(struct inlet_remote *inlet, struct caller *caller)
{
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Want want = SEALIFT__WANT__INIT;
    struct net_message message = {0};
    AUTO(buf) struct buf payload = {0};
    want.count = inlet_question_encode(&caller->question, &payload);
    caller->serial = ++inlet->serial;
    caller->asked = true;
    want.skip = caller->skip;
    head.serial = caller->serial;
    head.kind_case = SEALIFT__HEAD__KIND_WANT;
    head.want = &want;
    data_message_make(&head, buf_span(&payload), &message);
    listener_session_send(inlet->session, inlet->connection, &message);
}

/* Waits for the next part of the answer, asking as often as there is a new connection. */
static bool next_part(struct inlet_remote *inlet, struct caller *caller, struct data_message *out,
                      struct err *err)
{
    (void)pthread_mutex_lock(&inlet->lock);
    while (!inlet->failed && !caller->first) {
        if (!caller->asked && inlet->connection) ask(inlet, caller);
        (void)pthread_cond_wait(&inlet->changed, &inlet->lock);
    }
    bool ok = !inlet->failed;
    if (ok) {
        struct arrival *arrival = caller->first;
        caller->first = arrival->next;
        if (!caller->first) caller->end = &caller->first;
        data_message_move(&arrival->message, out);
        free(arrival);
    } else {
        *err = inlet->failure;
    }
    (void)pthread_mutex_unlock(&inlet->lock);
    return ok;
}

static void credit(struct inlet_remote *inlet, const struct data_message *message)
{
    uint64_t len = data_message_payload(message).len;
    (void)pthread_mutex_lock(&inlet->lock);
    if (len) pay_back(inlet, message->connection, len);
    (void)pthread_mutex_unlock(&inlet->lock);
}

static bool take_answers(struct inlet_remote *inlet, struct caller *caller, const struct inlet_sink *sink,
                         struct err *err)
{
    struct inlet_question *question = &caller->question;
    bool more = !inlet_question_is_answered(question);
    while (more) {
        AUTO(data_message) struct data_message part = {0};
        if (!next_part(inlet, caller, &part, err)) return false;
        more = part.head->kind_case == SEALIFT__HEAD__KIND_FRAMES;
        bool taken = more ? inlet_question_part(question, sink, data_message_payload(&part), err)
                          : inlet_question_end(question, sink, &part, err);
        credit(inlet, &part);
        if (!taken) return false;
        /* after a new connection nothing may be left to ask for */
        more = more && !inlet_question_is_answered(question);
    }
    return true;
}

static void enter(struct inlet_remote *inlet, struct caller *caller)
{
    (void)pthread_mutex_lock(&inlet->lock);
    /* as many as the other side lets wait */
    while (inlet->caller_count >= CALLERS_MAX)
        (void)pthread_cond_wait(&inlet->changed, &inlet->lock);
    inlet->caller_count++;
    caller->next = inlet->callers;
    inlet->callers = caller;
    (void)pthread_mutex_unlock(&inlet->lock);
}

static void leave(struct inlet_remote *inlet, struct caller *caller)
{
    (void)pthread_mutex_lock(&inlet->lock);
    struct caller **at = &inlet->callers;
    while (*at != caller)
        at = &(*at)->next;
    *at = caller->next;
    for (const struct arrival *arrival = caller->first; arrival; arrival = arrival->next)
        pay_back(inlet, arrival->message.connection, data_message_payload(&arrival->message).len);
    drop_arrivals(caller);
    inlet->caller_count--;
    (void)pthread_cond_broadcast(&inlet->changed);
    (void)pthread_mutex_unlock(&inlet->lock);
}

static bool fetch(struct inlet_remote *inlet, const struct hash *ids, size_t count,
                  const struct inlet_sink *sink, struct buf *file, struct err *err)
{
    if (count > INLET_MAX_IDS) return err_set(err, ERR_LIMIT, "%zu ids asked for at once", count);
    struct caller caller = {.skip = sink->skip};
    caller.end = &caller.first;
    inlet_question_init(&caller.question, ids, count, file);
    enter(inlet, &caller);
    bool ok = take_answers(inlet, &caller, sink, err);
    leave(inlet, &caller);
    inlet_question_deinit(&caller.question);
    return ok;
}

static bool remote_fetch(void *self, const struct hash *ids, size_t count, const struct inlet_sink *sink,
                         struct err *err)
{
    return fetch(self, ids, count, sink, NULL, err);
}

static bool no_file(void *arg, const struct hash *id, const struct err *why, struct err *err)
{
    return err_set(err, ERR_NOT_FOUND, "the other side cannot read the point's file, or will not show it");
}

bool inlet_remote_read_point(struct inlet_remote *inlet, const struct id *point, struct buf *file,
                             struct err *err)
{
    struct hash id = {{0}};
    struct inlet_sink sink = {.missing = no_file};
    memcpy(id.bytes, point->bytes, ID_LEN);
    return fetch(inlet, &id, 1, &sink, file, err);
}

static void remote_cancel(void *self)
{
    struct inlet_remote *inlet = self;
    struct err err = {0};
    (void)err_set(&err, ERR_CANCELLED, "cancelled");
    (void)pthread_mutex_lock(&inlet->lock);
    fail(inlet, &err);
    (void)pthread_mutex_unlock(&inlet->lock);
}

struct inlet inlet_remote_inlet(struct inlet_remote *inlet)
{
    static const struct inlet_ops ops = {.fetch = remote_fetch, .cancel = remote_cancel};
    return (struct inlet){.ops = &ops, .self = inlet, .fetches = FETCHES};
}

/* --- making and ending --- */

bool inlet_remote_new(struct listener_session *session, struct inlet_remote **out, struct err *err)
{
    struct inlet_remote *inlet = xcalloc(1, sizeof(*inlet));
    inlet->session = session;
    (void)pthread_mutex_init(&inlet->lock, NULL);
    (void)pthread_cond_init(&inlet->changed, NULL);
    int failed = pthread_create(&inlet->thread, NULL, inlet_main, inlet);
    if (failed) {
        free(inlet);
        return err_sys(err, failed, "cannot start the thread that fetches");
    }
    *out = inlet;
    return true;
}

void inlet_remote_free(struct inlet_remote *inlet)
{
    if (!inlet) return;
    struct err err = {0};
    (void)err_set(&err, ERR_CANCELLED, "the run is over");
    listener_session_fail(inlet->session, &err);
    (void)pthread_join(inlet->thread, NULL);
    data_message_deinit(&inlet->open);
    buf_deinit(&inlet->point_file);
    (void)pthread_cond_destroy(&inlet->changed);
    (void)pthread_mutex_destroy(&inlet->lock);
    free(inlet);
}

bool inlet_remote_point(struct inlet_remote *inlet, struct buf *point_file, struct err *err)
{
    (void)pthread_mutex_lock(&inlet->lock);
    while (!inlet->has_point && !inlet->failed)
        (void)pthread_cond_wait(&inlet->changed, &inlet->lock);
    bool ok = !inlet->failed;
    if (ok)
        buf_put_span(point_file, buf_span(&inlet->point_file));
    else
        *err = inlet->failure;
    (void)pthread_mutex_unlock(&inlet->lock);
    return ok;
}

void inlet_remote_accept(struct inlet_remote *inlet)
{
    (void)pthread_mutex_lock(&inlet->lock);
    inlet->accepted = true;
    if (inlet->has_open) answer_open(inlet);
    (void)pthread_mutex_unlock(&inlet->lock);
}

void inlet_remote_finish(struct inlet_remote *inlet)
{
    uint64_t until_ms = clock_steady_ms() + GOODBYE_MS;
    (void)pthread_mutex_lock(&inlet->lock);
    inlet->finished = true;
    send_done(inlet);
    while (!inlet->goodbye && !inlet->failed && clock_steady_ms() < until_ms)
        clock_wait(&inlet->changed, &inlet->lock, until_ms);
    (void)pthread_mutex_unlock(&inlet->lock);
}

void inlet_remote_refuse(struct inlet_remote *inlet, const struct err *why)
{
    listener_session_refuse(inlet->session, why);
}
