#include "transporter/pipeline/batch_queue.h"

#include "common/base/alloc.h"

#include <pthread.h>

enum { PLACES = 64, SPARES = 4, SPARE_MOST = 2 * 1024 * 1024 };

struct place {
    uint64_t number;
    struct buf batch;
};

struct batch_queue {
    pthread_mutex_t lock;
    pthread_cond_t room;  /* a batch was taken or is done with, or the queue failed */
    pthread_cond_t ready; /* a batch came, or none will */
    size_t limit;
    size_t bytes; /* waiting */
    size_t busy;  /* batches taken and not done with */
    size_t first, count;
    struct place places[PLACES];
    struct buf spares[SPARES];
    size_t spare_count;
    bool ended;
    bool failed;
    struct err why;
};

struct batch_queue *batch_queue_new(size_t limit_bytes)
{
    struct batch_queue *queue = xcalloc(1, sizeof(*queue));
    pthread_mutex_init(&queue->lock, NULL);
    pthread_cond_init(&queue->room, NULL);
    pthread_cond_init(&queue->ready, NULL);
    queue->limit = limit_bytes;
    return queue;
}

void batch_queue_free(struct batch_queue *queue)
{
    if (!queue) return;
    for (size_t i = 0; i < queue->count; i++)
        buf_deinit(&queue->places[(queue->first + i) % PLACES].batch);
    for (size_t i = 0; i < queue->spare_count; i++)
        buf_deinit(&queue->spares[i]);
    pthread_cond_destroy(&queue->ready);
    pthread_cond_destroy(&queue->room);
    pthread_mutex_destroy(&queue->lock);
    free(queue);
}

static bool full(const struct batch_queue *queue, size_t len)
{
    return queue->count == PLACES || (queue->count > 0 && queue->bytes + len > queue->limit);
}

static void put(struct batch_queue *queue, uint64_t number, struct buf *batch)
{
    queue->places[(queue->first + queue->count) % PLACES] = (struct place){number, *batch};
    queue->count++;
    queue->bytes += batch->len;
    *batch = (struct buf){0};
    if (queue->spare_count > 0) *batch = queue->spares[--queue->spare_count];
}

bool batch_queue_push(struct batch_queue *queue, uint64_t number, struct buf *batch, struct err *err)
{
    pthread_mutex_lock(&queue->lock);
    while (!queue->failed && full(queue, batch->len))
        pthread_cond_wait(&queue->room, &queue->lock);
    bool taken = !queue->failed;
    if (taken) {
        put(queue, number, batch);
        pthread_cond_signal(&queue->ready);
    } else {
        *err = queue->why;
    }
    pthread_mutex_unlock(&queue->lock);
    return taken;
}

bool batch_queue_pop(struct batch_queue *queue, uint64_t *number, struct buf *batch)
{
    pthread_mutex_lock(&queue->lock);
    while (queue->count == 0 && !queue->ended && !queue->failed)
        pthread_cond_wait(&queue->ready, &queue->lock);
    bool found = queue->count > 0 && !queue->failed;
    if (found) {
        struct place *place = &queue->places[queue->first];
        *number = place->number;
        *batch = place->batch;
        place->batch = (struct buf){0};
        queue->first = (queue->first + 1) % PLACES;
        queue->count--;
        queue->busy++;
        queue->bytes -= batch->len;
        pthread_cond_broadcast(&queue->room);
    }
    pthread_mutex_unlock(&queue->lock);
    return found;
}

void batch_queue_done(struct batch_queue *queue, struct buf *batch)
{
    pthread_mutex_lock(&queue->lock);
    queue->busy--;
    if (batch->cap > 0 && batch->cap <= SPARE_MOST && queue->spare_count < SPARES) {
        buf_clear(batch);
        queue->spares[queue->spare_count++] = *batch;
        *batch = (struct buf){0};
    }
    pthread_cond_broadcast(&queue->room);
    pthread_mutex_unlock(&queue->lock);
    buf_deinit(batch);
}

bool batch_queue_drained(struct batch_queue *queue, struct err *err)
{
    pthread_mutex_lock(&queue->lock);
    while (!queue->failed && (queue->count > 0 || queue->busy > 0))
        pthread_cond_wait(&queue->room, &queue->lock);
    bool drained = !queue->failed;
    if (!drained) *err = queue->why;
    pthread_mutex_unlock(&queue->lock);
    return drained;
}

void batch_queue_end(struct batch_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->ended = true;
    pthread_cond_broadcast(&queue->ready);
    pthread_mutex_unlock(&queue->lock);
}

void batch_queue_fail(struct batch_queue *queue, const struct err *why)
{
    pthread_mutex_lock(&queue->lock);
    if (!queue->failed) {
        queue->failed = true;
        queue->why = *why;
    }
    pthread_cond_broadcast(&queue->ready);
    pthread_cond_broadcast(&queue->room);
    pthread_mutex_unlock(&queue->lock);
}
