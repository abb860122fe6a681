/* The thread of a session that syncs journals, acknowledges batches and publishes packs. */
#include "common/base/alloc.h"
#include "transporter/repository/ingest_state.h"

#include <stdatomic.h>
#include <time.h>

enum { SYNC_BYTES = 8 * 1024 * 1024, SYNC_AFTER_MS = 250, UNSYNCED_MAX = 64 * 1024 * 1024 };

bool ingest_alive(struct ingest *ingest, struct err *err)
{
    if (!ingest->failed) return true;
    *err = ingest->failure;
    return false;
}

void ingest_fail(struct ingest *ingest, const struct err *err)
{
    (void)pthread_mutex_lock(&ingest->lock);
    if (!ingest->failed) ingest->failure = *err;
    ingest->failed = true;
    (void)pthread_cond_broadcast(&ingest->work);
    (void)pthread_cond_broadcast(&ingest->done);
    (void)pthread_mutex_unlock(&ingest->lock);
}

/* --- what the batch thread leaves --- */

static struct timespec soon(void)
{
    struct timespec when;
    (void)clock_gettime(CLOCK_MONOTONIC, &when);
    when.tv_nsec += SYNC_AFTER_MS * 1000000L;
    when.tv_sec += when.tv_nsec / 1000000000L;
    when.tv_nsec %= 1000000000L;
    return when;
}

static void put_pending(struct ingest *ingest, struct pending *pending)
{
    if (!ingest->pending) {
        ingest->deadline = soon();
        (void)pthread_cond_signal(&ingest->work);
    }
    for (size_t i = 0; i < pending->count; i++)
        if (pending->entries[i].kind == RECORD_FRAME)
            (void)id_set_add(&ingest->fresh, pending->entries[i].id.bytes);
    *ingest->pending_end = pending;
    ingest->pending_end = &pending->next;
    ingest->unsynced_bytes += pending->bytes;
    ingest->accepted = pending->number;
    if (ingest->unsynced_bytes >= SYNC_BYTES) (void)pthread_cond_signal(&ingest->work);
}

bool ingest_enqueue(struct ingest *ingest, struct pending *pending, struct err *err)
{
    (void)pthread_mutex_lock(&ingest->lock);
    while (!ingest->failed && ingest->unsynced_bytes > UNSYNCED_MAX)
        (void)pthread_cond_wait(&ingest->done, &ingest->lock);
    bool alive = ingest_alive(ingest, err);
    if (alive)
        put_pending(ingest, pending);
    else
        pending_free(pending);
    (void)pthread_mutex_unlock(&ingest->lock);
    return alive;
}

/* --- the side thread --- */

/* What the side thread took from the session. */
struct taken {
    struct pending *pending;
    struct open_pack *closed;
    bool repeat;
};

static bool has_work(const struct ingest *ingest)
{
    return ingest->pending || ingest->closed || ingest->repeat;
}

static bool is_due(const struct ingest *ingest)
{
    return ingest->closed || ingest->repeat || ingest->stop || ingest->unsynced_bytes >= SYNC_BYTES;
}

/* Waits until there is something to do now; false: never again. Under lock. */
static bool wait_for_work(struct ingest *ingest)
{
    for (;;) {
        if (ingest->failed) return false;
        if (!has_work(ingest)) {
            if (ingest->stop) return false;
            (void)pthread_cond_wait(&ingest->work, &ingest->lock);
        } else if (is_due(ingest) || pthread_cond_clockwait(&ingest->work, &ingest->lock, CLOCK_MONOTONIC,
                                                            &ingest->deadline) != 0) {
            return true;
        }
    }
}

static struct taken take(struct ingest *ingest)
{
    struct taken taken = {.pending = ingest->pending, .closed = ingest->closed, .repeat = ingest->repeat};
    ingest->pending = NULL;
    ingest->pending_end = &ingest->pending;
    ingest->closed = NULL;
    ingest->closed_end = &ingest->closed;
    ingest->repeat = false;
    struct id_set empty = ingest->syncing;
    ingest->syncing = ingest->fresh;
    ingest->fresh = empty;
    return taken;
}

/* Makes the journals of the batches durable, each once. */
static bool sync_journals(struct ingest *ingest, const struct pending *first, struct err *err)
{
    const struct storage *storage = &ingest->repository->storage;
    for (const struct pending *pending = first; pending; pending = pending->next)
        pending->pack->sync_to = pending->end; /* the last one's is the highest */
    for (const struct pending *pending = first; pending; pending = pending->next) {
        struct open_pack *pack = pending->pack;
        if (pack->synced >= pack->sync_to) continue;
        if (!storage->ops->journal_sync(storage->self, pack->journal, err)) return false;
        pack->synced = pack->sync_to;
    }
    return true;
}

static bool index_batches(struct ingest *ingest, const struct pending *first, struct err *err)
{
    for (const struct pending *pending = first; pending; pending = pending->next)
        if (!index_add(ingest->repository->index, pending->pack->row.no, pending->entries, pending->count,
                       pending->domains, pending->envelopes, err))
            return false;
    return true;
}

static void acknowledge(struct ingest *ingest, struct taken *taken)
{
    (void)pthread_mutex_lock(&ingest->lock);
    while (taken->pending) {
        struct pending *pending = taken->pending;
        taken->pending = pending->next;
        ingest->acknowledged = pending->number;
        ingest->unsynced_bytes -= pending->bytes;
        if (ingest->options.durable_bytes) atomic_fetch_add(ingest->options.durable_bytes, pending->bytes);
        pending_free(pending);
    } /* batches come in order, so the last number is the highest */
    id_set_clear(&ingest->syncing);
    uint64_t number = ingest->acknowledged;
    (void)pthread_cond_broadcast(&ingest->done);
    (void)pthread_mutex_unlock(&ingest->lock);
    if (ingest->options.acknowledged) ingest->options.acknowledged(ingest->options.arg, number);
}

static bool publish_packs(struct ingest *ingest, struct taken *taken, struct err *err)
{
    while (taken->closed) {
        struct open_pack *pack = taken->closed;
        if (!open_pack_publish(pack, err)) return false;
        taken->closed = pack->next;
        (void)pthread_mutex_lock(&ingest->lock);
        ingest->stored_bytes += pack->written;
        ingest->published_count++;
        (void)pthread_cond_broadcast(&ingest->done);
        (void)pthread_mutex_unlock(&ingest->lock);
        open_pack_free(pack);
    }
    return true;
}

static bool work_on(struct ingest *ingest, struct taken *taken, struct err *err)
{
    bool batches = taken->pending != NULL;
    if (!sync_journals(ingest, taken->pending, err) || !index_batches(ingest, taken->pending, err))
        return false;
    if (batches || taken->repeat) acknowledge(ingest, taken);
    return publish_packs(ingest, taken, err);
}

/* Gives back what was not finished, so that closing finds it. Takes lock. */
static void give_back(struct ingest *ingest, struct taken *taken)
{
    (void)pthread_mutex_lock(&ingest->lock);
    while (taken->pending) {
        struct pending *pending = taken->pending;
        taken->pending = pending->next;
        pending_free(pending);
    }
    while (taken->closed) {
        struct open_pack *pack = taken->closed;
        taken->closed = pack->next;
        pack->next = NULL;
        *ingest->closed_end = pack;
        ingest->closed_end = &pack->next;
    }
    (void)pthread_mutex_unlock(&ingest->lock);
}

void *ingest_sync_main(void *arg)
{
    struct ingest *ingest = arg;
    (void)pthread_mutex_lock(&ingest->lock);
    while (wait_for_work(ingest)) {
        struct taken taken = take(ingest);
        (void)pthread_mutex_unlock(&ingest->lock);
        struct err err;
        if (!work_on(ingest, &taken, &err)) {
            give_back(ingest, &taken);
            ingest_fail(ingest, &err);
            if (ingest->options.failed) ingest->options.failed(ingest->options.arg, &err);
        }
        (void)pthread_mutex_lock(&ingest->lock);
    }
    (void)pthread_mutex_unlock(&ingest->lock);
    return NULL;
}

bool ingest_flush(struct ingest *ingest, struct err *err)
{
    (void)pthread_mutex_lock(&ingest->batch_lock);
    ingest_close_pack(ingest, PACK_DATA);
    ingest_close_pack(ingest, PACK_META);
    (void)pthread_mutex_unlock(&ingest->batch_lock);
    (void)pthread_mutex_lock(&ingest->lock);
    uint64_t target = ingest->closed_count;
    while (!ingest->failed && ingest->published_count < target)
        (void)pthread_cond_wait(&ingest->done, &ingest->lock);
    bool alive = ingest_alive(ingest, err);
    (void)pthread_mutex_unlock(&ingest->lock);
    return alive;
}
