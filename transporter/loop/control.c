#include "transporter/loop/control.h"

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/net/net_poll.h"
#include "transporter/loop/attach.h"
#include "transporter/loop/outbox.h"
#include "transporter/loop/run_ends.h"
#include "transporter/loop/run_table.h"
#include "transporter/repository/repository.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    JOIN_EVERY_MS = 3000,
    ENDS_EVERY_MS = 5000,
    POLL_MS = 1000,
    ANSWERS_UNDER_WAY = 8,
    BURST = 64,
    FAILURES_UNTIL_PAUSE = 5,
    PAUSE_MS = 10000,
};

struct control {
    struct control_options options;
    struct run_environment environment;
    struct net_wake wake;
    struct outbox *outbox;
    struct run_ends *ends;
    struct run_table *runs;
    struct attach *attach;
    struct id incarnation;

    struct net_key *key;
    struct net_socket *socket; /* NULL while pausing after failed handshakes */
    struct net_monitor *monitor;
    uint64_t paused_until_ms;
    unsigned failures;
    bool up;      /* the connection stands */
    bool greeted; /* Hello was sent on it */
    bool told_pending;
    uint64_t joined_ms, ends_told_ms;
    _Atomic bool ends_due; /* a run has ended: tell it without waiting */
    bool draining;

    pthread_mutex_t answer_lock; /* browse answers under way, across all runs */
    pthread_cond_t answer_moved;
    unsigned answers;
    uint64_t answer_serial;
    bool stopped;
};

/* RunAnswer serials have the top bit, RunEnd serials have not. */
#define ANSWER_BIT (UINT64_C(1) << 63)

static uint64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static ProtobufCBinaryData bytes_of(const void *data, size_t len)
{
    return (ProtobufCBinaryData){.len = len, .data = (uint8_t *)(uintptr_t)data};
}

/* --- hooks of runs: any thread --- */

static void on_ready(void *arg, const struct id *run, uint32_t attempt, const char *endpoint)
{
    struct control *control = arg;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__RunReady ready = SEALIFT__RUN_READY__INIT;
    ready.run = bytes_of(run->bytes, ID_LEN);
    ready.attempt = attempt;
    ready.endpoint = (char *)(uintptr_t)endpoint;
    head.kind_case = SEALIFT__HEAD__KIND_RUN_READY;
    head.run_ready = &ready;
    outbox_put(control->outbox, &head, span_of(NULL, 0), OUTBOX_KEEP);
}

static void on_progress(void *arg, const Sealift__RunProgress *progress)
{
    struct control *control = arg;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    head.kind_case = SEALIFT__HEAD__KIND_RUN_PROGRESS;
    head.run_progress = (Sealift__RunProgress *)(uintptr_t)progress;
    outbox_put(control->outbox, &head, span_of(NULL, 0), OUTBOX_DROP_WHEN_FULL);
}

static bool on_answer(void *arg, const struct id *run, uint64_t number, uint32_t last, struct span sealed)
{
    struct control *control = arg;
    (void)pthread_mutex_lock(&control->answer_lock);
    while (control->answers >= ANSWERS_UNDER_WAY && !control->stopped)
        (void)pthread_cond_wait(&control->answer_moved, &control->answer_lock);
    bool go_on = !control->stopped;
    uint64_t serial = ++control->answer_serial | ANSWER_BIT;
    if (go_on) control->answers++;
    (void)pthread_mutex_unlock(&control->answer_lock);
    if (!go_on) return false;

    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__RunAnswer answer = SEALIFT__RUN_ANSWER__INIT;
    answer.run = bytes_of(run->bytes, ID_LEN);
    answer.last = last;
    answer.number = number;
    head.serial = serial;
    head.kind_case = SEALIFT__HEAD__KIND_RUN_ANSWER;
    head.run_answer = &answer;
    outbox_put(control->outbox, &head, sealed, OUTBOX_KEEP);
    return true;
}

static void put_point(struct control *control, const Sealift__PointNews *news, struct span point_file)
{
    Sealift__Head head = SEALIFT__HEAD__INIT;
    head.kind_case = SEALIFT__HEAD__KIND_POINT_NEWS;
    head.point_news = (Sealift__PointNews *)(uintptr_t)news;
    outbox_put(control->outbox, &head, point_file, OUTBOX_KEEP);
}

static void on_point(void *arg, const struct id *repository, const Sealift__PointNews *news,
                     struct span point_file)
{
    (void)repository;
    put_point(arg, news, point_file);
}

static void log_end(const Sealift__RunEnd *end)
{
    char run[2 * ID_LEN + 1], code[16];
    hex_encode(end->run.data, end->run.len, run);
    (void)snprintf(code, sizeof(code), "%u", end->code);
    log_event(end->code <= 1 ? LOG_INFO : LOG_WARN, "run_ended", "run", run, "code", code, "text", end->text,
              NULL);
}

static void put_end(void *arg, uint64_t serial, Sealift__RunEnd *end, struct span warnings)
{
    struct control *control = arg;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    head.serial = serial;
    head.kind_case = SEALIFT__HEAD__KIND_RUN_END;
    head.run_end = end;
    outbox_put(control->outbox, &head, warnings, OUTBOX_KEEP);
}

/* The loop tells it, and goes on telling until the director has it. */
static void keep_end(struct control *control, const Sealift__RunEnd *end, struct span warnings)
{
    struct err err = {0};
    log_end(end);
    if (!run_ends_add(control->ends, end, warnings, &err))
        log_event(LOG_ERROR, "run_end_not_kept", "reason", err.text, "next",
                  "it is told while this process lives", NULL);
    atomic_store(&control->ends_due, true);
}

static void on_ended(void *arg, const Sealift__RunEnd *end, struct span warnings)
{
    struct control *control = arg;
    keep_end(control, end, warnings);
    struct id run;
    memcpy(run.bytes, end->run.data, ID_LEN);
    run_table_mark_ended(control->runs, &run, end->attempt);
    net_wake_signal(&control->wake);
}

/* --- what is told about repositories --- */

/* `serial`: of the question that it answers, or 0 */
static void put_state(struct control *control, uint64_t serial, const struct id *repository,
                      struct repository *store, const struct err *failure)
{
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__RepositoryState state = SEALIFT__REPOSITORY_STATE__INIT;
    struct repository_info info = {0};
    state.repository = bytes_of(repository->bytes, ID_LEN);
    if (store) {
        repository_info(store, &info);
        state.head_number = info.head_number;
        state.head_hash = bytes_of(info.head_hash.bytes, HASH_LEN);
        state.points = info.points;
        state.pack_bytes = info.pack_bytes;
    } else {
        state.code = (uint32_t)failure->code;
        state.text = (char *)(uintptr_t)failure->text;
    }
    head.serial = serial;
    head.kind_case = SEALIFT__HEAD__KIND_REPOSITORY_STATE;
    head.repository_state = &state;
    outbox_put(control->outbox, &head, span_of(NULL, 0), OUTBOX_KEEP);
}

static void tell_store(void *arg, const struct id *repository, const char *name, struct repository *store,
                       const struct err *failure)
{
    (void)name;
    put_state(arg, 0, repository, store, failure);
}

/* on the attaching thread */
static void on_attached(void *arg, const struct statement *repository, const struct err *why)
{
    struct control *control = arg;
    const char *name = repository->body.repository->name;
    struct repository *store = NULL;
    struct err err = {0};
    if (why) {
        log_event(LOG_WARN, "repository_not_open", "name", name, "reason", why->text, NULL);
        put_state(control, 0, &repository->id, NULL, why);
    } else if (stores_get(control->environment.stores, &repository->id, &store, &err)) {
        log_event(LOG_INFO, "repository_open", "name", name, NULL);
        put_state(control, 0, &repository->id, store, NULL);
    }
}

static bool is_ours(const struct control *control, const struct statement *repository)
{
    return !repository->body.repository->deleted &&
           memcmp(repository->body.repository->owner.data, control->environment.self->known.sign_pk,
                  SIGN_PK_LEN) == 0;
}

static void attach_known(void *arg, const struct statement *repository)
{
    struct control *control = arg;
    struct statement *copy = NULL;
    struct err err = {0};
    if (is_ours(control, repository) && statement_decode(buf_span(&repository->bytes), &copy, &err))
        attach_add(control->attach, copy);
}

/* --- what the director sends --- */

/* Before Hello there is nothing that may be said: the director hears of our roster by Hello. */
static void put_seen(struct control *control, const struct statement *statement, const struct err *why)
{
    if (!control->greeted) return;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__StatementSeen seen = SEALIFT__STATEMENT_SEEN__INIT;
    seen.type = statement->type;
    seen.id = bytes_of(statement->id.bytes, ID_LEN);
    seen.version = statement->version;
    if (why) {
        seen.code = (uint32_t)why->code;
        seen.text = (char *)(uintptr_t)why->text;
    }
    head.kind_case = SEALIFT__HEAD__KIND_STATEMENT_SEEN;
    head.statement_seen = &seen;
    outbox_put(control->outbox, &head, span_of(NULL, 0), OUTBOX_KEEP);
}

static void put_hello(struct control *control)
{
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Hello hello = SEALIFT__HELLO__INIT;
    Sealift__OwnKey own = SEALIFT__OWN_KEY__INIT;
    AUTO(buf) struct buf ids = {0};
    run_table_ids(control->runs, &ids);
    size_t count = ids.len / ID_LEN;
    AUTO(free) ProtobufCBinaryData *runs = xcalloc(count + 1, sizeof(*runs));
    for (size_t i = 0; i < count; i++)
        runs[i] = bytes_of(ids.data + i * ID_LEN, ID_LEN);
    const struct roster *roster = authority_roster_take(control->environment.authority);
    hello.version = (char *)(uintptr_t)SEALIFT_VERSION;
    hello.roster_version = roster ? roster_version(roster) : 0;
    authority_roster_release(control->environment.authority, roster);
    hello.incarnation = bytes_of(control->incarnation.bytes, ID_LEN);
    hello.slots = control->options.slots;
    hello.n_runs = count;
    hello.runs = runs;
    if (control->options.own_key_id) {
        own.key_id = bytes_of(control->options.own_key_id->bytes, HASH_LEN);
        own.domain_id = bytes_of(control->options.own_domain_id->bytes, HASH_LEN);
        hello.own_key = &own;
    }
    head.kind_case = SEALIFT__HEAD__KIND_HELLO;
    head.hello = &hello;
    outbox_put(control->outbox, &head, span_of(NULL, 0), OUTBOX_KEEP);
    control->greeted = true;
    run_ends_each(control->ends, put_end, control);
    control->ends_told_ms = now_ms();
    stores_each(control->environment.stores, tell_store, control);
}

static void put_join(struct control *control)
{
    AUTO(buf) struct buf identity = {0};
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Join join = SEALIFT__JOIN__INIT;
    identity_public_encode(&control->environment.self->known, &identity);
    head.kind_case = SEALIFT__HEAD__KIND_JOIN;
    head.join = &join;
    outbox_put(control->outbox, &head, buf_span(&identity), OUTBOX_KEEP);
    control->joined_ms = now_ms();
}

static void greet(struct control *control)
{
    if (authority_member(control->environment.authority))
        put_hello(control);
    else
        put_join(control);
}

static void accept_statement(struct control *control, struct span bytes)
{
    struct err err = {0};
    AUTO(statement) struct statement *statement = NULL;
    bool was_member = authority_member(control->environment.authority);
    if (!authority_accept(control->environment.authority, bytes, &statement, &err)) {
        AUTO(statement) struct statement *refused = NULL;
        struct err ignored = {0};
        if (err.code == ERR_EXISTS) return;
        log_event(LOG_WARN, "statement_refused", "reason", err.text, NULL);
        if (statement_decode(bytes, &refused, &ignored)) put_seen(control, refused, &err);
        return;
    }
    log_event(LOG_INFO, "statement_accepted", "type", statement_type_name(statement->type), NULL);
    if (!was_member && authority_member(control->environment.authority)) {
        log_event(LOG_INFO, "admitted", "name", control->environment.self->known.name, NULL);
        put_hello(control);
    }
    put_seen(control, statement, NULL);
    if (statement->type == SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY && is_ours(control, statement)) {
        attach_add(control->attach, statement);
        statement = NULL;
    }
}

static void refuse_assignment(struct control *control, const Sealift__Assign *assign, const struct err *why)
{
    Sealift__RunEnd end = SEALIFT__RUN_END__INIT;
    end.run = assign->run;
    end.attempt = assign->attempt;
    end.side = assign->side;
    end.code = (uint32_t)why->code;
    end.text = (char *)(uintptr_t)why->text;
    keep_end(control, &end, span_of(NULL, 0));
}

static void on_assign(struct control *control, const Sealift__Assign *assign)
{
    struct err err = {0};
    bool ok = !control->draining || err_set(&err, ERR_BUSY, "this transporter is stopping");
    if (ok) ok = run_table_start(control->runs, &control->environment, assign, &err);
    if (!ok) refuse_assignment(control, assign, &err);
}

struct log_answer {
    struct control *control;
    struct id repository;
    struct repository *store;
    uint64_t from;
};

/* Of the entry that is asked for: the first. */
static bool take_entry_hash(void *arg, uint64_t number, struct span entry)
{
    struct hash *hash = arg;
    *hash = hash_of(entry);
    return false;
}

static bool tell_point(void *arg, const struct repository_point *point)
{
    struct log_answer *answer = arg;
    struct err err = {0};
    struct hash log_hash = {{0}};
    AUTO(buf) struct buf file = {0};
    if (point->number < answer->from) return true;
    if (!repository_point_read(answer->store, &point->point, &file, &err) ||
        !repository_log(answer->store, point->number, take_entry_hash, &log_hash, &err)) {
        log_event(LOG_WARN, "point_not_readable", "reason", err.text, NULL);
        return true;
    }
    Sealift__PointNews news = SEALIFT__POINT_NEWS__INIT;
    news.repository = bytes_of(answer->repository.bytes, ID_LEN);
    news.number = point->number;
    news.time_ns = point->time_ns;
    news.log_hash = bytes_of(log_hash.bytes, HASH_LEN);
    put_point(answer->control, &news, buf_span(&file));
    return true;
}

static void on_log_ask(struct control *control, uint64_t serial, const Sealift__LogAsk *ask)
{
    struct log_answer answer = {.control = control, .from = ask->from};
    struct err err = {0};
    if (ask->repository.len != ID_LEN) return;
    memcpy(answer.repository.bytes, ask->repository.data, ID_LEN);
    bool ok = stores_get(control->environment.stores, &answer.repository, &answer.store, &err);
    if (!ok && err.code == ERR_NOT_FOUND) return; /* still being opened: its state is told then */
    ok = ok && repository_points(answer.store, tell_point, &answer, &err);
    put_state(control, serial, &answer.repository, ok ? answer.store : NULL, &err);
}

static void on_done(struct control *control, uint64_t serial)
{
    if (serial & ANSWER_BIT) {
        (void)pthread_mutex_lock(&control->answer_lock);
        if (control->answers > 0) control->answers--;
        (void)pthread_cond_broadcast(&control->answer_moved);
        (void)pthread_mutex_unlock(&control->answer_lock);
    } else if (serial != 0) {
        (void)run_ends_acknowledge(control->ends, serial);
    } else if (!control->told_pending) {
        control->told_pending = true;
        log_event(LOG_INFO, "pending", "next", "an operator approves this transporter", NULL);
    }
}

static void on_unlock(struct control *control, struct span section)
{
    struct err err = {0};
    if (!authority_accept_unlock(control->environment.authority, section, &err))
        log_event(LOG_WARN, "unlock_section_refused", "reason", err.text, NULL);
}

static void on_cancel(struct control *control, const Sealift__Cancel *cancel)
{
    struct id run;
    if (cancel->run.len != ID_LEN) return;
    memcpy(run.bytes, cancel->run.data, ID_LEN);
    run_table_cancel(control->runs, &run, cancel->reason);
}

static void dispatch(struct control *control, const Sealift__Head *head, struct span payload)
{
    switch (head->kind_case) {
    case SEALIFT__HEAD__KIND_DELIVER:
        accept_statement(control, payload);
        break;
    case SEALIFT__HEAD__KIND_DELIVER_UNLOCK:
        on_unlock(control, payload);
        break;
    case SEALIFT__HEAD__KIND_ASSIGN:
        on_assign(control, head->assign);
        break;
    case SEALIFT__HEAD__KIND_CANCEL:
        on_cancel(control, head->cancel);
        break;
    case SEALIFT__HEAD__KIND_LOG_ASK:
        on_log_ask(control, head->serial, head->log_ask);
        break;
    case SEALIFT__HEAD__KIND_DONE:
        on_done(control, head->serial);
        break;
    case SEALIFT__HEAD__KIND_FAIL:
        log_event(LOG_WARN, "director_refused", "reason", head->fail->text, NULL);
        break;
    default: /* Welcome */
        break;
    }
}

/* --- the connection --- */

static bool connect_director(struct control *control, struct err *err)
{
    struct net_options options = net_options_of(NET_CLIENT);
    options.key = control->key;
    options.server_key = control->options.director_key;
    options.max_payload = PAYLOAD_MAX;
    struct net_endpoint endpoint = {.side = NET_CONNECT, .address = control->options.director};
    if (!net_socket_new(control->environment.net, &options, &control->socket, err)) return false;
    return net_monitor_new(control->socket, &control->monitor, err) &&
           net_socket_attach(control->socket, &endpoint, err);
}

static void disconnect(struct control *control)
{
    net_monitor_free(control->monitor);
    net_socket_free(control->socket);
    control->monitor = NULL;
    control->socket = NULL;
    control->up = control->greeted = false;
}

static void on_lost(struct control *control)
{
    if (control->up) log_event(LOG_WARN, "director_lost", "next", "runs go on; dialling again", NULL);
    control->up = control->greeted = false;
    outbox_clear(control->outbox);
    (void)pthread_mutex_lock(&control->answer_lock);
    control->answers = 0; /* what was under way is lost: the browse is asked again by its operator */
    (void)pthread_cond_broadcast(&control->answer_moved);
    (void)pthread_mutex_unlock(&control->answer_lock);
}

static void on_failed(struct control *control, const struct net_monitor_event *event)
{
    if (++control->failures == 1)
        log_event(LOG_WARN, "director_handshake_failed", "reason",
                  event->cause == NET_CAUSE_AUTH
                      ? "the director refused our key"
                      : "is it the director of the site line, and does it know us?",
                  NULL);
    if (control->failures % FAILURES_UNTIL_PAUSE == 0) control->paused_until_ms = now_ms() + PAUSE_MS;
}

static void take_events(struct control *control)
{
    struct net_monitor_event event;
    while (control->monitor && net_monitor_take(control->monitor, &event)) {
        if (event.kind == NET_UP) {
            log_event(LOG_INFO, "director_connected", "address", control->options.director, NULL);
            control->up = true;
            control->failures = 0;
            greet(control);
        } else if (event.kind == NET_DOWN) {
            on_lost(control);
        } else if (event.kind == NET_FAILED) {
            on_failed(control, &event);
        }
    }
    if (control->socket && control->paused_until_ms > now_ms()) disconnect(control);
}

/* Reads up to a burst of messages; what is malformed cuts the connection, which is made anew. */
static void receive(struct control *control)
{
    for (int i = 0; control->socket && i < BURST; i++) {
        AUTO(net_message) struct net_message message = {0};
        AUTO(head) Sealift__Head *head = NULL;
        struct net_peer from;
        enum net_fault fault;
        struct err err = {0};
        enum net_status status = net_socket_recv(control->socket, &from, &message, &fault, 0);
        if (status == NET_AGAIN || status == NET_TERMINATED) return;
        struct span payload = span_of(NULL, 0);
        bool ok = status == NET_OK || err_set(&err, ERR_PROTOCOL, "%s", net_fault_text(fault));
        if (ok) {
            payload = net_message_payload(&message);
            ok = head_decode(CHANNEL_DIRECTOR_TO_TRANSPORTER, net_message_header(&message), payload.len,
                             &head, &err);
        }
        if (!ok) {
            log_event(LOG_WARN, "director_broke_protocol", "reason", err.text, "next",
                      "pause, then dial again", NULL);
            on_lost(control);
            control->paused_until_ms = now_ms() + PAUSE_MS;
            disconnect(control);
            return;
        }
        dispatch(control, head, payload);
    }
}

static bool send_one(struct control *control, struct outbox_item *item)
{
    AUTO(net_message) struct net_message message = {0};
    struct err err = {0};
    if (!net_message_make(&message, buf_span(&item->head), &err)) {
        log_event(LOG_ERROR, "message_not_made", "reason", err.text, NULL);
        return true;
    }
    if (item->payload.len) net_message_copy_payload(&message, buf_span(&item->payload));
    return net_socket_send(control->socket, NULL, &message, 0) == NET_OK;
}

static void send_waiting(struct control *control)
{
    for (struct outbox_item *item; control->up && (item = outbox_take(control->outbox));) {
        if (!send_one(control, item)) {
            outbox_return(control->outbox, item);
            return;
        }
        outbox_item_free(item);
    }
}

static void on_time(struct control *control)
{
    uint64_t now = now_ms();
    if (!control->socket && now >= control->paused_until_ms) {
        struct err err = {0};
        if (!connect_director(control, &err)) {
            log_event(LOG_ERROR, "director_not_dialled", "reason", err.text, NULL);
            disconnect(control);
            control->paused_until_ms = now + PAUSE_MS;
        }
    }
    if (control->up && !control->greeted && now - control->joined_ms >= JOIN_EVERY_MS) greet(control);
    bool due = now - control->ends_told_ms >= ENDS_EVERY_MS || atomic_load(&control->ends_due);
    if (control->up && control->greeted && due) {
        atomic_store(&control->ends_due, false);
        control->ends_told_ms = now;
        run_ends_each(control->ends, put_end, control);
    }
}

/* --- the loop --- */

static bool wait_for_work(struct control *control, bool *stop, struct err *err)
{
    struct net_poll_item items[5] = {
        net_poll_fd(control->wake.fd, NET_READABLE),
        net_poll_fd(control->options.stop_fd, NET_READABLE),
    };
    size_t count = 2;
    size_t reload = count;
    if (control->options.reload_fd >= 0)
        items[count++] = net_poll_fd(control->options.reload_fd, NET_READABLE);
    if (control->socket) items[count++] = net_poll_socket(control->socket, NET_READABLE);
    if (control->monitor) items[count++] = net_poll_monitor(control->monitor);
    if (!net_poll_wait(items, count, POLL_MS, err)) return false;
    if (items[0].ready) net_wake_clear(&control->wake);
    *stop = items[1].ready != 0;
    if (control->options.reload_fd >= 0 && items[reload].ready)
        control->options.reload(control->options.reload_arg);
    return true;
}

static bool one_round(struct control *control, bool *stop, struct err *err)
{
    if (!wait_for_work(control, stop, err)) return false;
    take_events(control);
    receive(control);
    run_table_reap(control->runs);
    on_time(control);
    send_waiting(control);
    return true;
}

static bool drain(struct control *control, struct err *err)
{
    uint64_t until = now_ms() + control->options.drain_ms;
    bool ignored;
    control->draining = true;
    if (run_table_count(control->runs) > 0)
        log_event(LOG_INFO, "draining", "next", "running runs may end, no new ones are taken", NULL);
    while (run_table_count(control->runs) > 0 && now_ms() < until)
        if (!one_round(control, &ignored, err)) return false;
    return true;
}

bool control_run(struct control *control, struct err *err)
{
    bool stop = false;
    authority_each(control->environment.authority, SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY,
                   attach_known, control);
    on_time(control);
    while (!stop)
        if (!one_round(control, &stop, err)) return false;
    return drain(control, err);
}

bool control_new(const struct control_options *options, struct control **out, struct err *err)
{
    AUTO(control) struct control *control = xcalloc(1, sizeof(*control));
    control->wake.fd = -1;
    (void)pthread_mutex_init(&control->answer_lock, NULL);
    (void)pthread_cond_init(&control->answer_moved, NULL);
    control->options = *options;
    control->incarnation = id_random();
    control->environment = options->environment;
    control->environment.hooks = (struct run_hooks){
        .ready = on_ready,
        .progress = on_progress,
        .answer = on_answer,
        .point = on_point,
        .ended = on_ended,
        .arg = control,
    };
    if (!net_wake_init(&control->wake, err)) return false;
    control->outbox = outbox_new(&control->wake);
    control->runs = run_table_new(options->slots);
    if (!run_ends_open(options->environment.state_dir, &control->ends, err)) return false;
    if (!net_key_from_secret(options->environment.self->transport->sk->data, &control->key, err))
        return false;
    if (!attach_start(options->environment.stores, on_attached, control, &control->attach, err)) return false;
    *out = control;
    control = NULL;
    return true;
}

void control_free(struct control *control)
{
    if (!control) return;
    (void)pthread_mutex_lock(&control->answer_lock);
    control->stopped = true;
    (void)pthread_cond_broadcast(&control->answer_moved);
    (void)pthread_mutex_unlock(&control->answer_lock);
    run_table_free(control->runs);
    attach_stop(control->attach);
    disconnect(control);
    net_key_free(control->key);
    run_ends_close(control->ends);
    outbox_free(control->outbox);
    net_wake_deinit(&control->wake);
    (void)pthread_cond_destroy(&control->answer_moved);
    (void)pthread_mutex_destroy(&control->answer_lock);
    free(control);
}
