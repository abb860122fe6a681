#include "transporter/pipeline/work_queue.h"

#include "common/base/alloc.h"
#include "transporter/pipeline/segment.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>

struct work_queue {
    pthread_mutex_t lock;
    pthread_cond_t work;   /* for workers: something to do, or nothing ever */
    pthread_cond_t hashed; /* for who waits for a slot: one is hashed, or a job came */
    pthread_cond_t done;   /* for the ordering thread */
    pthread_cond_t turn;   /* for workers that are held */
    _Atomic size_t held_bytes;
    const struct segment *awaited; /* by the ordering thread; NULL: none */
    size_t idle;                   /* workers in `take` */
    size_t running;                /* segments that were taken and are not done */
    bool ended, stopped;
    struct segment **segments; /* a ring */
    size_t segment_places, segment_first, segment_count;
    struct chunk_job *jobs; /* a ring */
    size_t job_places, job_first, job_count;
};

struct work_queue *work_queue_new(size_t segments, size_t jobs)
{
    struct work_queue *queue = xcalloc(1, sizeof(*queue));
    pthread_mutex_init(&queue->lock, NULL);
    pthread_cond_init(&queue->work, NULL);
    pthread_cond_init(&queue->hashed, NULL);
    pthread_cond_init(&queue->done, NULL);
    pthread_cond_init(&queue->turn, NULL);
    queue->segment_places = segments;
    queue->segments = xcalloc(segments, sizeof(struct segment *));
    queue->job_places = jobs;
    queue->jobs = xcalloc(jobs, sizeof(*queue->jobs));
    return queue;
}

static void drop_jobs(struct work_queue *queue)
{
    for (; queue->job_count > 0; queue->job_count--) {
        struct chunk_job *job = &queue->jobs[queue->job_first];
        buf_deinit(&job->bytes);
        if (job->slot) job->slot->taken = false;
        queue->job_first = (queue->job_first + 1) % queue->job_places;
    }
}

void work_queue_free(struct work_queue *queue)
{
    if (!queue) return;
    drop_jobs(queue);
    free(queue->jobs);
    free(queue->segments);
    pthread_cond_destroy(&queue->turn);
    pthread_cond_destroy(&queue->done);
    pthread_cond_destroy(&queue->hashed);
    pthread_cond_destroy(&queue->work);
    pthread_mutex_destroy(&queue->lock);
    free(queue);
}

void work_queue_add_segment(struct work_queue *queue, struct segment *segment)
{
    pthread_mutex_lock(&queue->lock);
    assert(queue->segment_count < queue->segment_places);
    segment->queued = true;
    size_t last = (queue->segment_first + queue->segment_count) % queue->segment_places;
    queue->segments[last] = segment;
    queue->segment_count++;
    pthread_cond_signal(&queue->work);
    pthread_mutex_unlock(&queue->lock);
}

bool work_queue_offer(struct work_queue *queue, struct chunk_job *job)
{
    pthread_mutex_lock(&queue->lock);
    bool wanted = !queue->stopped && queue->job_count < queue->job_places &&
                  queue->idle > queue->job_count + queue->segment_count;
    if (wanted) {
        if (job->slot) job->slot->taken = true;
        queue->jobs[(queue->job_first + queue->job_count) % queue->job_places] = *job;
        queue->job_count++;
        job->bytes = (struct buf){0};
        pthread_cond_signal(&queue->work);
        pthread_cond_broadcast(&queue->hashed);
    }
    pthread_mutex_unlock(&queue->lock);
    return wanted;
}

static bool take_job(struct work_queue *queue, struct chunk_job *job)
{
    if (queue->job_count == 0) return false;
    *job = queue->jobs[queue->job_first];
    queue->job_first = (queue->job_first + 1) % queue->job_places;
    queue->job_count--;
    return true;
}

static bool take_segment(struct work_queue *queue, struct segment **segment)
{
    if (queue->segment_count == 0) return false;
    *segment = queue->segments[queue->segment_first];
    queue->segment_first = (queue->segment_first + 1) % queue->segment_places;
    queue->segment_count--;
    queue->running++;
    return true;
}

/* As long as a segment is being worked on it may yield chunks of a large file. */
static bool must_wait(const struct work_queue *queue)
{
    if (queue->stopped || queue->job_count > 0 || queue->segment_count > 0) return false;
    return !queue->ended || queue->running > 0;
}

enum work work_queue_take(struct work_queue *queue, struct segment **segment, struct chunk_job *job)
{
    enum work work = WORK_END;
    pthread_mutex_lock(&queue->lock);
    queue->idle++;
    while (must_wait(queue))
        pthread_cond_wait(&queue->work, &queue->lock);
    queue->idle--;
    if (!queue->stopped && take_job(queue, job))
        work = WORK_CHUNK;
    else if (!queue->stopped && take_segment(queue, segment))
        work = WORK_SEGMENT;
    pthread_mutex_unlock(&queue->lock);
    return work;
}

void work_queue_segment_done(struct work_queue *queue, struct segment *segment)
{
    pthread_mutex_lock(&queue->lock);
    segment->done = true;
    queue->running--;
    if (queue->ended && queue->running == 0) pthread_cond_broadcast(&queue->work);
    if (queue->awaited == segment) pthread_cond_signal(&queue->done);
    pthread_mutex_unlock(&queue->lock);
}

void work_queue_slot_done(struct work_queue *queue, struct chunk_slot *slot, const struct hash *content)
{
    pthread_mutex_lock(&queue->lock);
    slot->content = *content;
    slot->hashed = true;
    slot->taken = false;
    pthread_cond_broadcast(&queue->hashed);
    pthread_mutex_unlock(&queue->lock);
}

enum awaited work_queue_await_slot(struct work_queue *queue, struct chunk_slot *slot, struct chunk_job *job)
{
    enum awaited awaited = AWAITED_DONE;
    pthread_mutex_lock(&queue->lock);
    while (slot->taken && (queue->stopped || queue->job_count == 0))
        pthread_cond_wait(&queue->hashed, &queue->lock);
    if (slot->taken && take_job(queue, job))
        awaited = AWAITED_CHUNK;
    else if (!slot->hashed)
        awaited = AWAITED_STOPPED;
    pthread_mutex_unlock(&queue->lock);
    return awaited;
}

bool work_queue_await_segment(struct work_queue *queue, const struct segment *segment)
{
    pthread_mutex_lock(&queue->lock);
    queue->awaited = segment;
    pthread_cond_broadcast(&queue->turn);
    while (!segment->done && !queue->stopped)
        pthread_cond_wait(&queue->done, &queue->lock);
    queue->awaited = NULL;
    bool done = !queue->stopped;
    pthread_mutex_unlock(&queue->lock);
    return done;
}

bool work_queue_is_done(struct work_queue *queue, const struct segment *segment)
{
    pthread_mutex_lock(&queue->lock);
    bool done = segment->done;
    pthread_mutex_unlock(&queue->lock);
    return done;
}

void work_queue_added(struct work_queue *queue, struct segment *segment)
{
    size_t bytes = segment->encoded.len - segment->held_bytes;
    if (!segment->queued) return;
    segment->held_bytes += bytes;
    if (atomic_fetch_add(&queue->held_bytes, bytes) + bytes <= WORK_QUEUE_HELD_BYTES) return;
    pthread_mutex_lock(&queue->lock);
    while (atomic_load(&queue->held_bytes) > WORK_QUEUE_HELD_BYTES && queue->awaited != segment &&
           !queue->stopped)
        pthread_cond_wait(&queue->turn, &queue->lock);
    pthread_mutex_unlock(&queue->lock);
}

void work_queue_delivered(struct work_queue *queue, struct segment *segment)
{
    size_t before = atomic_fetch_sub(&queue->held_bytes, segment->held_bytes);
    segment->held_bytes = 0;
    if (before <= WORK_QUEUE_HELD_BYTES) return;
    pthread_mutex_lock(&queue->lock);
    pthread_cond_broadcast(&queue->turn);
    pthread_mutex_unlock(&queue->lock);
}

void work_queue_end(struct work_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->ended = true;
    pthread_cond_broadcast(&queue->work);
    pthread_mutex_unlock(&queue->lock);
}

void work_queue_stop(struct work_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->stopped = true;
    drop_jobs(queue);
    pthread_cond_broadcast(&queue->work);
    pthread_cond_broadcast(&queue->hashed);
    pthread_cond_broadcast(&queue->done);
    pthread_cond_broadcast(&queue->turn);
    pthread_mutex_unlock(&queue->lock);
}
