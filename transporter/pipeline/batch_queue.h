/* Batches on their way from the threads that make them to the threads that take them, bounded in bytes.
 * Closing it with an error makes every waiting and later call fail with that error. Any thread. */
#ifndef SEALIFT_PIPELINE_BATCH_QUEUE_H
#define SEALIFT_PIPELINE_BATCH_QUEUE_H

#include "common/base/bytes.h"
#include "common/base/err.h"

struct batch_queue;

struct batch_queue *batch_queue_new(size_t limit_bytes);
void batch_queue_free(struct batch_queue *queue);
DEFINE_AUTO(batch_queue, struct batch_queue *, batch_queue_free)

/* Takes the bytes; blocks while the queue is full. One batch is accepted however large it is. `batch` is
 * left empty, with the memory of a batch that is done with if there is one. */
bool batch_queue_push(struct batch_queue *queue, uint64_t number, struct buf *batch,
                      struct err *err) MUST_CHECK;

/* A batch, in the order of push. false: the queue ended and is empty, or failed. The taker must call
 * batch_queue_done with the same buffer when its work on it is over. */
bool batch_queue_pop(struct batch_queue *queue, uint64_t *number, struct buf *batch);
void batch_queue_done(struct batch_queue *queue, struct buf *batch);

/* Waits until every batch was taken and done with. */
bool batch_queue_drained(struct batch_queue *queue, struct err *err) MUST_CHECK;

/* No more batches will come. */
void batch_queue_end(struct batch_queue *queue);
/* The first error stands. */
void batch_queue_fail(struct batch_queue *queue, const struct err *why);

#endif
