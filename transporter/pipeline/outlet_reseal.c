#include "transporter/pipeline/outlet_reseal.h"

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "transporter/pipeline/batch_queue.h"
#include "transporter/pipeline/reseal.h"

#include <pthread.h>

enum { POOL_BYTES = 8 * 1024 * 1024, ASK_MOST = 4096, THREADS_MOST = 64 };

/* A raw batch that is not acknowledged yet. */
struct flight {
    bool sealed;
    uint64_t sealed_number; /* the last sealed batch it went into */
};

struct outlet_reseal {
    struct outlet_reseal_options options;
    struct sealing *sealing;
    struct chunk_pool *pool;
    struct batch_queue *queue;
    pthread_t threads[THREADS_MOST];
    unsigned thread_count;

    pthread_mutex_t lock; /* guards what follows */
    uint64_t taken;       /* raw batches up to this were taken */
    uint64_t durable;     /* raw batches up to this are durable */
    uint64_t sealed_durable;
    struct buf flights; /* struct flight each: of raw batch durable + 1 and on */
};

static struct flight *flight_at(struct outlet_reseal *outlet, uint64_t number)
{
    return (struct flight *)(void *)outlet->flights.data + (number - outlet->durable - 1);
}

/* Moves the acknowledged prefix on; the caller holds the lock. */
static void advance(struct outlet_reseal *outlet)
{
    uint64_t before = outlet->durable;
    struct flight *flights = (struct flight *)(void *)outlet->flights.data;
    size_t count = outlet->flights.len / sizeof(*flights);
    size_t done = 0;
    while (done < count && flights[done].sealed && flights[done].sealed_number <= outlet->sealed_durable)
        done++;
    if (done == 0) return;
    outlet->durable += done;
    outlet->flights.len -= done * sizeof(*flights);
    for (size_t i = 0; i < count - done; i++)
        flights[i] = flights[done + i];
    if (outlet->options.acknowledged && outlet->durable > before)
        outlet->options.acknowledged(outlet->options.arg, outlet->durable);
}

static void note_sealed(struct outlet_reseal *outlet, uint64_t number, uint64_t sealed_number)
{
    pthread_mutex_lock(&outlet->lock);
    *flight_at(outlet, number) = (struct flight){true, sealed_number};
    advance(outlet);
    pthread_mutex_unlock(&outlet->lock);
}

void outlet_reseal_acknowledged(struct outlet_reseal *outlet, uint64_t number)
{
    pthread_mutex_lock(&outlet->lock);
    if (number > outlet->sealed_durable) outlet->sealed_durable = number;
    advance(outlet);
    pthread_mutex_unlock(&outlet->lock);
}

static void fail(struct outlet_reseal *outlet, const struct err *why)
{
    batch_queue_fail(outlet->queue, why);
    if (outlet->options.failed) outlet->options.failed(outlet->options.arg, why);
}

static void reseal_all(struct outlet_reseal *outlet, struct resealer *resealer)
{
    uint64_t number;
    struct buf batch = {0};
    while (batch_queue_pop(outlet->queue, &number, &batch)) {
        struct err err = {0};
        uint64_t sealed_number;
        if (reseal_batch(resealer, buf_span(&batch), &sealed_number, &err))
            note_sealed(outlet, number, sealed_number);
        else
            fail(outlet, &err);
        batch_queue_done(outlet->queue, &batch);
    }
}

static void *reseal_thread(void *arg)
{
    struct outlet_reseal *outlet = arg;
    AUTO(resealer) struct resealer *resealer = NULL;
    struct err err = {0};
    if (resealer_new(outlet->sealing, outlet->pool, &resealer, &err))
        reseal_all(outlet, resealer);
    else
        fail(outlet, &err);
    return NULL;
}

/* A source asks by content hash; the answer is about the id that this side derives from it. */
static bool reseal_ask(void *self, const enum frame_type *types, const struct hash *contents, size_t count,
                       uint8_t *have, struct err *err)
{
    struct outlet_reseal *outlet = self;
    const struct outlet *behind = &outlet->options.sealing.outlet;
    if (count > ASK_MOST)
        return err_set(err, ERR_LIMIT, "%zu content hashes in one question, at most %d are allowed", count,
                       ASK_MOST);
    AUTO(free) struct hash *ids = xcalloc(count ? count : 1, sizeof(*ids));
    for (size_t i = 0; i < count; i++)
        ids[i] = sealing_id(outlet->sealing, types[i], &contents[i]);
    return behind->ops->ask(behind->self, types, ids, count, have, err);
}

static bool reseal_envelope(void *self, struct span envelope, struct err *err)
{
    return err_set(err, ERR_PROTOCOL, "a source that does not seal has no envelope");
}

/* A batch that was taken before, as after a reconnect, is taken again by doing nothing. */
static bool accept_number(struct outlet_reseal *outlet, uint64_t number, bool *repeated, struct err *err)
{
    pthread_mutex_lock(&outlet->lock);
    bool in_order = number <= outlet->taken + 1 && number > 0;
    *repeated = number <= outlet->taken;
    if (in_order && !*repeated) {
        outlet->taken = number;
        struct flight flight = {0};
        buf_put(&outlet->flights, &flight, sizeof(flight));
    }
    uint64_t next = outlet->taken + 1;
    pthread_mutex_unlock(&outlet->lock);
    if (in_order) return true;
    return err_set(err, ERR_PROTOCOL, "batch %llu came where batch %llu was due", (unsigned long long)number,
                   (unsigned long long)next);
}

static bool reseal_send(void *self, uint64_t number, struct buf *batch, struct err *err)
{
    struct outlet_reseal *outlet = self;
    bool repeated;
    if (!accept_number(outlet, number, &repeated, err)) return false;
    if (!repeated) return batch_queue_push(outlet->queue, number, batch, err);
    buf_clear(batch);
    return true;
}

static bool reseal_commit(void *self, const struct commit_request *request, struct commit_receipt *receipt,
                          struct buf *missing, struct err *err)
{
    struct outlet_reseal *outlet = self;
    const struct outlet *behind = &outlet->options.sealing.outlet;
    if (!batch_queue_drained(outlet->queue, err)) return false;
    struct commit_request sealed = *request;
    sealed.root = sealing_id(outlet->sealing, FRAME_NODE, &request->root);
    AUTO(buf) struct buf file = {0};
    struct point_draft draft = {
        .root = sealed.root,
        .counts = request->counts,
        .started_ns = request->started_ns,
        .written_ns = clock_real_ns(),
        .object = request->object ? request->object : OBJECT_TREE,
        .crash_consistent = request->crash_consistent,
    };
    if (!point_encode(&outlet->options.identity, outlet->sealing, &draft, &file, err)) return false;
    sealed.point = outlet->options.identity.point;
    sealed.point_file = buf_span(&file);
    return behind->ops->commit(behind->self, &sealed, receipt, missing, err);
}

static void reseal_cancel(void *self)
{
    struct outlet_reseal *outlet = self;
    struct err err = {0};
    (void)err_set(&err, ERR_CANCELLED, "cancelled");
    batch_queue_fail(outlet->queue, &err);
    const struct outlet *behind = &outlet->options.sealing.outlet;
    behind->ops->cancel(behind->self);
}

static const struct outlet_ops reseal_ops = {
    .ask = reseal_ask,
    .envelope = reseal_envelope,
    .send = reseal_send,
    .commit = reseal_commit,
    .cancel = reseal_cancel,
};

static bool start_threads(struct outlet_reseal *outlet, struct err *err)
{
    unsigned wanted = outlet->options.threads;
    if (wanted == 0) wanted = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
    if (wanted > THREADS_MOST) wanted = THREADS_MOST;
    while (outlet->thread_count < wanted) {
        int failed = pthread_create(&outlet->threads[outlet->thread_count], NULL, reseal_thread, outlet);
        if (failed) return err_sys(err, failed, "cannot start a thread that seals");
        outlet->thread_count++;
    }
    return true;
}

bool outlet_reseal_new(const struct outlet_reseal_options *options, struct outlet_reseal **out,
                       struct err *err)
{
    AUTO(outlet_reseal) struct outlet_reseal *outlet = xcalloc(1, sizeof(*outlet));
    outlet->options = *options;
    outlet->queue = batch_queue_new(options->queue_bytes);
    outlet->pool = chunk_pool_new(POOL_BYTES);
    pthread_mutex_init(&outlet->lock, NULL);
    if (!sealing_new(&outlet->options.sealing, &outlet->sealing, err) || !start_threads(outlet, err))
        return false;
    *out = outlet;
    outlet = NULL;
    return true;
}

void outlet_reseal_free(struct outlet_reseal *outlet)
{
    if (!outlet) return;
    batch_queue_end(outlet->queue);
    for (unsigned i = 0; i < outlet->thread_count; i++)
        (void)pthread_join(outlet->threads[i], NULL);
    sealing_free(outlet->sealing);
    chunk_pool_free(outlet->pool);
    batch_queue_free(outlet->queue);
    pthread_mutex_destroy(&outlet->lock);
    buf_deinit(&outlet->flights);
    free(outlet);
}

struct outlet outlet_reseal_outlet(struct outlet_reseal *outlet)
{
    return (struct outlet){.ops = &reseal_ops, .self = outlet};
}
