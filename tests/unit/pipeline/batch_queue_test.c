#include "transporter/pipeline/batch_queue.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>

enum { LIMIT = 1000 };

static void fill(struct buf *batch, size_t len)
{
    buf_clear(batch);
    for (size_t i = 0; i < len; i++)
        buf_put_u8(batch, (uint8_t)len);
}

static bool push(struct batch_queue *queue, uint64_t number, size_t len, struct err *err)
{
    AUTO(buf) struct buf batch = {0};
    fill(&batch, len);
    bool taken = batch_queue_push(queue, number, &batch, err);
    return taken && batch.len == 0;
}

Test(batch_queue, gives_batches_in_the_order_they_came_and_ends)
{
    AUTO(batch_queue) struct batch_queue *queue = batch_queue_new(LIMIT);
    struct err err = {0};
    for (uint64_t i = 1; i <= 5; i++)
        cr_assert(push(queue, i, 10 * i, &err));
    batch_queue_end(queue);
    uint64_t number;
    AUTO(buf) struct buf batch = {0};
    for (uint64_t i = 1; i <= 5; i++) {
        cr_assert(batch_queue_pop(queue, &number, &batch));
        cr_assert(number == i && batch.len == 10 * i);
        batch_queue_done(queue, &batch);
    }
    cr_assert_not(batch_queue_pop(queue, &number, &batch));
}

struct pusher {
    struct batch_queue *queue;
    _Atomic int stage;
    struct err err;
    bool fine;
};

static void *push_second(void *arg)
{
    struct pusher *pusher = arg;
    pusher->fine = push(pusher->queue, 2, 600, &pusher->err);
    pusher->stage = 1;
    return NULL;
}

Test(batch_queue, a_full_queue_blocks_until_a_batch_is_taken)
{
    AUTO(batch_queue) struct batch_queue *queue = batch_queue_new(LIMIT);
    struct pusher pusher = {.queue = queue};
    cr_assert(push(queue, 1, 600, &pusher.err));
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, push_second, &pusher), 0);
    uint64_t number;
    AUTO(buf) struct buf batch = {0};
    cr_assert(batch_queue_pop(queue, &number, &batch) && number == 1);
    batch_queue_done(queue, &batch);
    cr_assert(batch_queue_pop(queue, &number, &batch) && number == 2); /* would wait for ever otherwise */
    batch_queue_done(queue, &batch);
    pthread_join(thread, NULL);
    cr_assert(pusher.fine);
}

Test(batch_queue, failing_wakes_who_waits_with_the_first_error)
{
    AUTO(batch_queue) struct batch_queue *queue = batch_queue_new(LIMIT);
    struct pusher pusher = {.queue = queue};
    cr_assert(push(queue, 1, 600, &pusher.err));
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, push_second, &pusher), 0);
    struct err why = {0};
    (void)err_set(&why, ERR_NO_SPACE, "full");
    batch_queue_fail(queue, &why);
    (void)err_set(&why, ERR_FAILED, "later");
    batch_queue_fail(queue, &why);
    pthread_join(thread, NULL);
    cr_assert(!pusher.fine && pusher.err.code == ERR_NO_SPACE);
    struct err err = {0};
    cr_assert_not(batch_queue_drained(queue, &err));
    cr_assert_eq(err.code, ERR_NO_SPACE);
}

Test(batch_queue, one_batch_is_accepted_however_large)
{
    AUTO(batch_queue) struct batch_queue *queue = batch_queue_new(LIMIT);
    struct err err = {0};
    cr_assert(push(queue, 1, 10 * LIMIT, &err));
}

Test(batch_queue, memory_comes_back_to_who_pushes)
{
    AUTO(batch_queue) struct batch_queue *queue = batch_queue_new(LIMIT);
    AUTO(buf) struct buf batch = {0};
    AUTO(buf) struct buf taken = {0};
    struct err err = {0};
    uint64_t number;
    fill(&batch, 500);
    const uint8_t *memory = batch.data;
    cr_assert(batch_queue_push(queue, 1, &batch, &err));
    cr_assert(batch_queue_pop(queue, &number, &taken));
    batch_queue_done(queue, &taken);
    fill(&batch, 10);
    cr_assert(batch_queue_push(queue, 2, &batch, &err));
    cr_assert_eq(batch.data, memory);
}
