#include "transporter/session/dialler.h"

#include "common/base/alloc.h"
#include "transporter/session/dialler_inside.h"

#include <string.h>

/* --- under the lock --- */

void dialler_fail(struct dialler *dialler, const struct err *why)
{
    if (!dialler->failed) dialler->failure = *why;
    atomic_store(&dialler->failed, true);
    (void)pthread_cond_broadcast(&dialler->changed);
}

static void tell_waiting(const struct dialler *dialler)
{
    if (dialler->options.waiting_bytes) atomic_store(dialler->options.waiting_bytes, dialler->batch_bytes);
}

void dialler_drop_parcel(struct dialler *dialler, struct parcel **place)
{
    struct parcel *parcel = *place;
    *place = parcel->next;
    if (dialler->unsent == &parcel->next) dialler->unsent = place;
    if (dialler->end == &parcel->next) dialler->end = place;
    if (parcel->kind == PARCEL_BATCH) {
        dialler->batch_bytes -= parcel->bytes;
        dialler->batch_count--;
        tell_waiting(dialler);
    }
    net_message_deinit(&parcel->message);
    free(parcel);
}

static void insert(struct dialler *dialler, struct parcel **place, struct parcel *parcel)
{
    parcel->next = *place;
    if (dialler->end == place) dialler->end = &parcel->next;
    *place = parcel;
    net_wake_signal(&dialler->wake);
}

static struct parcel *add_parcel(struct dialler *dialler, enum parcel_kind kind, struct net_message *message)
{
    struct parcel *parcel = xcalloc(1, sizeof(*parcel));
    parcel->kind = kind;
    parcel->bytes = net_message_payload(message).len;
    net_message_move(message, &parcel->message);
    insert(dialler, dialler->end, parcel);
    return parcel;
}

/* A question goes out before what waits: on a long way that may be seconds' worth of batches. */
static struct parcel *add_question(struct dialler *dialler, struct net_message *message)
{
    struct parcel **place = dialler->unsent;
    while (*place && dialler_is_question(*place))
        place = &(*place)->next;
    struct parcel *parcel = xcalloc(1, sizeof(*parcel));
    parcel->kind = PARCEL_REQUEST;
    parcel->asked = SEALIFT__HEAD__KIND_ASK;
    net_message_move(message, &parcel->message);
    insert(dialler, place, parcel);
    return parcel;
}

static bool is_alive(const struct dialler *dialler, struct err *err)
{
    if (!dialler->failed) return true;
    *err = dialler->failure;
    return false;
}

const _Atomic bool *dialler_failed(const struct dialler *dialler)
{
    return &dialler->failed;
}

void dialler_failure(struct dialler *dialler, struct err *err)
{
    (void)pthread_mutex_lock(&dialler->lock);
    (void)is_alive(dialler, err);
    (void)pthread_mutex_unlock(&dialler->lock);
}

/* --- making and ending --- */

void dialler_leave(struct dialler *dialler)
{
    if (!dialler) return;
    (void)pthread_mutex_lock(&dialler->lock);
    dialler->stop = true;
    (void)pthread_mutex_unlock(&dialler->lock);
    if (dialler->running) {
        net_wake_signal(&dialler->wake);
        (void)pthread_join(dialler->thread, NULL);
    }
    while (dialler->first)
        dialler_drop_parcel(dialler, &dialler->first);
    while (dialler->wants) {
        struct want *want = dialler->wants;
        dialler->wants = want->next;
        data_message_deinit(&want->message);
        free(want);
    }
    net_message_deinit(&dialler->goodbye);
    credit_pool_give(dialler->options.credits, dialler->reserved);
    if (dialler->wake.fd >= 0) net_wake_deinit(&dialler->wake);
    net_key_free(dialler->key);
    buf_deinit(&dialler->point_file);
    payload_spares_free(dialler->spares);
    (void)pthread_cond_destroy(&dialler->changed);
    (void)pthread_mutex_destroy(&dialler->lock);
    free(dialler);
}
DEFINE_AUTO(dialler, struct dialler *, dialler_leave)

bool dialler_new(const struct dialler_options *options, struct dialler **out, struct err *err)
{
    AUTO(dialler) struct dialler *dialler = xcalloc(1, sizeof(*dialler));
    dialler->options = *options;
    dialler->options.self = NULL;
    buf_put_span(&dialler->point_file, options->point_file);
    dialler->end = dialler->unsent = &dialler->first;
    dialler->wants_end = &dialler->wants;
    dialler->down_since_ms = clock_steady_ms();
    dialler->wake.fd = -1;
    dialler->spares = payload_spares_new(DIALLER_SPARES);
    stripe_growth_init(&dialler->growth, STRIPES_MAX);
    (void)pthread_mutex_init(&dialler->lock, NULL);
    (void)pthread_cond_init(&dialler->changed, NULL);
    if (!net_wake_init(&dialler->wake, err) ||
        !net_key_from_secret(options->self->transport->sk->data, &dialler->key, err))
        return false;
    int failed = pthread_create(&dialler->thread, NULL, dialler_main, dialler);
    if (failed) return err_sys(err, failed, "cannot start the thread that dials");
    dialler->running = true;
    *out = dialler;
    dialler = NULL;
    return true;
}

void dialler_free(struct dialler *dialler, const struct err *why)
{
    if (!dialler) return;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Done done = SEALIFT__DONE__INIT;
    head.kind_case = SEALIFT__HEAD__KIND_DONE;
    head.done = &done;
    (void)pthread_mutex_lock(&dialler->lock);
    if (!dialler->by_peer) {
        if (why)
            data_message_make_fail(why, &dialler->goodbye);
        else
            data_message_make(&head, span_of(NULL, 0), &dialler->goodbye);
        dialler->has_goodbye = true;
        dialler->done_well = !why;
    }
    (void)pthread_mutex_unlock(&dialler->lock);
    dialler_leave(dialler);
}

void dialler_cancel(struct dialler *dialler, const struct err *why)
{
    (void)pthread_mutex_lock(&dialler->lock);
    dialler_fail(dialler, why);
    (void)pthread_mutex_unlock(&dialler->lock);
    net_wake_signal(&dialler->wake);
}

bool dialler_await(struct dialler *dialler, struct dialler_opened *out, struct err *err)
{
    (void)pthread_mutex_lock(&dialler->lock);
    while (!dialler->opened_once && !dialler->failed)
        (void)pthread_cond_wait(&dialler->changed, &dialler->lock);
    bool ok = is_alive(dialler, err);
    if (ok) *out = dialler->opened;
    (void)pthread_mutex_unlock(&dialler->lock);
    return ok;
}

/* --- backup and copy --- */

bool dialler_envelope(struct dialler *dialler, struct span envelope, struct err *err)
{
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Envelope body = SEALIFT__ENVELOPE__INIT;
    head.kind_case = SEALIFT__HEAD__KIND_ENVELOPE;
    head.envelope = &body;
    AUTO(net_message) struct net_message message = {0};
    data_message_make(&head, envelope, &message);
    (void)pthread_mutex_lock(&dialler->lock);
    bool ok = is_alive(dialler, err);
    if (ok) (void)add_parcel(dialler, PARCEL_ENVELOPE, &message);
    (void)pthread_mutex_unlock(&dialler->lock);
    return ok;
}

/* Under the lock. */
static bool batch_fits(const struct dialler *dialler, size_t len)
{
    if (dialler->batch_count == 0) return dialler->opened_once;
    return dialler->batch_count < DIALLER_BATCHES_MAX &&
           dialler->batch_bytes + len <= dialler_credit(dialler);
}

bool dialler_batch(struct dialler *dialler, uint64_t number, struct buf *batch, struct err *err)
{
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Batch body = SEALIFT__BATCH__INIT;
    head.kind_case = SEALIFT__HEAD__KIND_BATCH;
    head.batch = &body;
    body.number = number;
    size_t limit = head_payload_limit(SEALIFT__HEAD__KIND_BATCH);
    if (batch->len > limit)
        return err_set(err, ERR_LIMIT, "a batch of %zu bytes, at most %zu can be sent", batch->len, limit);

    bandwidth_take(dialler->options.bandwidth, batch->len, &dialler->failed);
    (void)pthread_mutex_lock(&dialler->lock);
    while (!dialler->failed && !batch_fits(dialler, batch->len))
        (void)pthread_cond_wait(&dialler->changed, &dialler->lock);
    bool ok = is_alive(dialler, err);
    if (ok) {
        struct net_message message = {0};
        dialler->batch_bytes += batch->len;
        tell_waiting(dialler);
        dialler->batch_count++;
        dialler->highest_batch = number;
        data_message_make(&head, span_of(NULL, 0), &message);
        payload_spares_lend(dialler->spares, batch, &message);
        add_parcel(dialler, PARCEL_BATCH, &message)->number = number;
    }
    (void)pthread_mutex_unlock(&dialler->lock);
    return ok;
}

static void find_and_drop(struct dialler *dialler, const struct parcel *parcel)
{
    struct parcel **place = &dialler->first;
    while (*place != parcel)
        place = &(*place)->next;
    dialler_drop_parcel(dialler, place);
}

bool dialler_request(struct dialler *dialler, Sealift__Head *head, struct span payload,
                     struct data_message *answer, struct err *err)
{
    (void)pthread_mutex_lock(&dialler->lock);
    bool ok = is_alive(dialler, err);
    if (ok) {
        struct net_message message = {0};
        head->serial = ++dialler->serial;
        data_message_make(head, payload, &message);
        bool ask = head->kind_case == SEALIFT__HEAD__KIND_ASK;
        struct parcel *parcel =
            ask ? add_question(dialler, &message) : add_parcel(dialler, PARCEL_REQUEST, &message);
        parcel->number = head->serial;
        parcel->asked = head->kind_case;
        parcel->count = ask ? head->ask->count : 1;
        parcel->answer = answer;
        while (!parcel->answered && !dialler->failed)
            (void)pthread_cond_wait(&dialler->changed, &dialler->lock);
        ok = parcel->answered || is_alive(dialler, err);
        find_and_drop(dialler, parcel);
    }
    (void)pthread_mutex_unlock(&dialler->lock);
    return ok;
}

/* --- recovery --- */

bool dialler_receive(struct dialler *dialler, struct data_message *out, struct err *err)
{
    (void)pthread_mutex_lock(&dialler->lock);
    while (!dialler->wants && !dialler->failed)
        (void)pthread_cond_wait(&dialler->changed, &dialler->lock);
    bool ok = is_alive(dialler, err);
    if (ok) {
        struct want *want = dialler->wants;
        dialler->wants = want->next;
        if (!dialler->wants) dialler->wants_end = &dialler->wants;
        dialler->want_count--;
        data_message_move(&want->message, out);
        free(want);
    }
    (void)pthread_mutex_unlock(&dialler->lock);
    return ok;
}

bool dialler_answer(struct dialler *dialler, uint64_t connection, Sealift__Head *head, struct buf *payload,
                    bool *stale, struct err *err)
{
    if (head->kind_case == SEALIFT__HEAD__KIND_FRAMES)
        bandwidth_take(dialler->options.bandwidth, payload->len, &dialler->failed);
    (void)pthread_mutex_lock(&dialler->lock);
    while (!dialler->failed && connection == dialler->connection &&
           !dialler_may_answer(dialler, payload->len))
        (void)pthread_cond_wait(&dialler->changed, &dialler->lock);
    bool ok = is_alive(dialler, err);
    if (ok) *stale = connection != dialler->connection;
    if (ok && !*stale) {
        struct net_message message = {0};
        dialler->credit -= payload->len;
        data_message_make(head, span_of(NULL, 0), &message);
        payload_spares_lend(dialler->spares, payload, &message);
        (void)add_parcel(dialler, PARCEL_ANSWER, &message);
    }
    (void)pthread_mutex_unlock(&dialler->lock);
    return ok;
}
