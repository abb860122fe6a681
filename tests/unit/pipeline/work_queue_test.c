#include "transporter/pipeline/work_queue.h"

#include "transporter/pipeline/segment.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>

/* A worker that takes once. */
struct taker {
    struct work_queue *queue;
    struct segment *segment;
    struct chunk_job job;
    enum work work;
    pthread_t thread;
};

static void *take(void *arg)
{
    struct taker *taker = arg;
    taker->work = work_queue_take(taker->queue, &taker->segment, &taker->job);
    return NULL;
}

static void taker_start(struct taker *taker, struct work_queue *queue)
{
    *taker = (struct taker){.queue = queue};
    cr_assert_eq(pthread_create(&taker->thread, NULL, take, taker), 0);
}

static struct chunk_job job_of(struct chunk_slot *slot)
{
    struct chunk_job job = {.slot = slot};
    buf_put_str(&job.bytes, "chunk");
    return job;
}

/* Offers until a worker is idle. */
static void offer(struct work_queue *queue, struct chunk_slot *slot)
{
    struct chunk_job job = job_of(slot);
    while (!work_queue_offer(queue, &job))
        sched_yield();
    cr_assert_eq(job.bytes.len, 0);
}

Test(work_queue, a_chunk_is_taken_over_only_by_an_idle_worker)
{
    AUTO(work_queue) struct work_queue *queue = work_queue_new(4, 4);
    struct chunk_slot slot = {0};
    struct chunk_job job = job_of(&slot);
    cr_assert_not(work_queue_offer(queue, &job));
    cr_assert(job.bytes.len == 5 && !slot.taken);
    struct taker taker;
    taker_start(&taker, queue);
    buf_deinit(&job.bytes);
    offer(queue, &slot);
    pthread_join(taker.thread, NULL);
    cr_assert(taker.work == WORK_CHUNK && taker.job.slot == &slot && taker.job.bytes.len == 5);
    buf_deinit(&taker.job.bytes);
}

Test(work_queue, segments_come_in_order_and_the_end_after_them)
{
    AUTO(work_queue) struct work_queue *queue = work_queue_new(4, 4);
    struct segment *segments[3];
    for (size_t i = 0; i < 3; i++) {
        segments[i] = segment_new();
        work_queue_add_segment(queue, segments[i]);
    }
    work_queue_end(queue);
    for (size_t i = 0; i < 3; i++) {
        struct segment *taken = NULL;
        struct chunk_job job;
        cr_assert_eq(work_queue_take(queue, &taken, &job), WORK_SEGMENT);
        cr_assert_eq(taken, segments[i]);
        cr_assert_not(work_queue_is_done(queue, taken));
        work_queue_segment_done(queue, taken);
        cr_assert(work_queue_await_segment(queue, taken));
        segment_free(taken);
    }
    struct segment *none = NULL;
    struct chunk_job job;
    cr_assert_eq(work_queue_take(queue, &none, &job), WORK_END);
}

Test(work_queue, idle_workers_stay_while_a_segment_is_being_worked_on)
{
    AUTO(work_queue) struct work_queue *queue = work_queue_new(4, 4);
    AUTO(segment) struct segment *segment = segment_new();
    struct segment *taken;
    struct chunk_job job;
    work_queue_add_segment(queue, segment);
    work_queue_end(queue);
    cr_assert_eq(work_queue_take(queue, &taken, &job), WORK_SEGMENT);
    struct taker taker;
    taker_start(&taker, queue);
    struct chunk_slot slot = {0};
    offer(queue, &slot); /* the end alone would have sent the other worker away */
    pthread_join(taker.thread, NULL);
    cr_assert_eq(taker.work, WORK_CHUNK);
    buf_deinit(&taker.job.bytes);
    taker_start(&taker, queue);
    work_queue_segment_done(queue, segment);
    pthread_join(taker.thread, NULL);
    cr_assert_eq(taker.work, WORK_END);
}

Test(work_queue, who_waits_for_a_slot_is_given_other_chunks_to_work_on)
{
    AUTO(work_queue) struct work_queue *queue = work_queue_new(4, 4);
    struct taker taker;
    struct chunk_slot mine = {0};
    struct chunk_slot other = {0};
    taker_start(&taker, queue);
    offer(queue, &mine);
    pthread_join(taker.thread, NULL);
    buf_deinit(&taker.job.bytes);
    taker_start(&taker, queue);
    struct chunk_job job = job_of(&other);
    while (!work_queue_offer(queue, &job))
        sched_yield();
    /* either the idle worker has the other chunk by now, or it is for us */
    struct chunk_job given = {.slot = NULL};
    struct hash content = {{3}};
    work_queue_slot_done(queue, &mine, &content);
    enum awaited awaited = work_queue_await_slot(queue, &mine, &given);
    cr_assert_eq(awaited, AWAITED_DONE);
    cr_assert(mine.hashed && hash_eq(&mine.content, &content));
    pthread_join(taker.thread, NULL);
    cr_assert_eq(taker.job.slot, &other);
    buf_deinit(&taker.job.bytes);
}

Test(work_queue, a_stop_gives_back_the_slots_of_chunks_that_nobody_took)
{
    AUTO(work_queue) struct work_queue *queue = work_queue_new(4, 4);
    struct taker taker;
    struct chunk_slot slot = {0};
    taker_start(&taker, queue);
    offer(queue, &slot);
    work_queue_stop(queue);
    pthread_join(taker.thread, NULL);
    if (taker.work == WORK_CHUNK) { /* it was quicker than the stop */
        struct hash content = {{1}};
        work_queue_slot_done(queue, &slot, &content);
        buf_deinit(&taker.job.bytes);
    }
    struct chunk_job job;
    cr_assert_neq(work_queue_await_slot(queue, &slot, &job), AWAITED_CHUNK);
    struct chunk_job late = job_of(&slot);
    cr_assert_not(work_queue_offer(queue, &late));
    buf_deinit(&late.bytes);
}

/* A worker that adds to its segment. */
struct adder {
    struct work_queue *queue;
    struct segment *segment;
    size_t bytes;
    _Atomic bool added;
    pthread_t thread;
};

static void *add(void *arg)
{
    struct adder *adder = arg;
    (void)buf_grow(&adder->segment->encoded, adder->bytes);
    work_queue_added(adder->queue, adder->segment);
    adder->added = true;
    work_queue_segment_done(adder->queue, adder->segment);
    return NULL;
}

static void adder_start(struct adder *adder, struct work_queue *queue, size_t bytes)
{
    struct segment *taken;
    struct chunk_job job;
    *adder = (struct adder){.queue = queue, .segment = segment_new(), .bytes = bytes};
    work_queue_add_segment(queue, adder->segment);
    cr_assert_eq(work_queue_take(queue, &taken, &job), WORK_SEGMENT);
    cr_assert_eq(pthread_create(&adder->thread, NULL, add, adder), 0);
}

Test(work_queue, workers_are_held_while_too_much_waits_but_never_the_one_that_all_wait_for)
{
    AUTO(work_queue) struct work_queue *queue = work_queue_new(4, 4);
    struct adder late;
    struct adder first;
    adder_start(&late, queue, WORK_QUEUE_HELD_BYTES + 1);
    adder_start(&first, queue, 1000);
    cr_assert(work_queue_await_segment(queue, first.segment)); /* it would hang if it were held */
    pthread_join(first.thread, NULL);
    cr_assert_not(late.added);
    work_queue_delivered(queue, first.segment);
    cr_assert_not(late.added);
    cr_assert(work_queue_await_segment(queue, late.segment)); /* its turn */
    pthread_join(late.thread, NULL);
    segment_free(first.segment);
    segment_free(late.segment);
}

Test(work_queue, a_stop_frees_who_is_held)
{
    AUTO(work_queue) struct work_queue *queue = work_queue_new(4, 4);
    struct adder adder;
    adder_start(&adder, queue, WORK_QUEUE_HELD_BYTES + 1);
    work_queue_stop(queue);
    pthread_join(adder.thread, NULL);
    cr_assert(adder.added);
    segment_free(adder.segment);
}

Test(work_queue, a_stop_wakes_who_waits_for_a_segment)
{
    AUTO(work_queue) struct work_queue *queue = work_queue_new(4, 4);
    AUTO(segment) struct segment *segment = segment_new();
    work_queue_add_segment(queue, segment);
    work_queue_stop(queue);
    cr_assert_not(work_queue_await_segment(queue, segment));
    struct segment *taken;
    struct chunk_job job;
    cr_assert_eq(work_queue_take(queue, &taken, &job), WORK_END);
}
