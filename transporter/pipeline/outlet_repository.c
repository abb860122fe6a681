#include "transporter/pipeline/outlet_repository.h"

#include "common/base/alloc.h"
#include "transporter/pipeline/batch_queue.h"

#include <pthread.h>

struct outlet_repository {
    struct ingest *ingest;
    struct batch_queue *queue;
    pthread_t thread;
};

static void *store(void *arg)
{
    struct outlet_repository *outlet = arg;
    uint64_t number;
    struct buf batch = {0};
    while (batch_queue_pop(outlet->queue, &number, &batch)) {
        struct err err = {0};
        if (!ingest_batch(outlet->ingest, number, buf_span(&batch), &err))
            batch_queue_fail(outlet->queue, &err);
        batch_queue_done(outlet->queue, &batch);
    }
    return NULL;
}

static bool repository_ask(void *self, const enum frame_type *types, const struct hash *ids, size_t count,
                           uint8_t *have, struct err *err)
{
    struct outlet_repository *outlet = self;
    return ingest_has(outlet->ingest, ids, count, have, err);
}

static bool repository_envelope(void *self, struct span envelope, struct err *err)
{
    struct outlet_repository *outlet = self;
    return ingest_envelope(outlet->ingest, envelope, err);
}

static bool repository_send(void *self, uint64_t number, struct buf *batch, struct err *err)
{
    struct outlet_repository *outlet = self;
    return batch_queue_push(outlet->queue, number, batch, err);
}

bool outlet_repository_commit(struct ingest *ingest, const struct commit_request *request,
                              struct commit_receipt *receipt, struct buf *missing, struct err *err)
{
    struct ingest_receipt written;
    if (!ingest_commit(ingest, &request->point, &request->root, request->point_file, &written, missing, err))
        return false;
    *receipt = (struct commit_receipt){
        .number = written.number,
        .log_hash = written.log_hash,
        .time_ns = written.time_ns,
        .stored_bytes = written.new_bytes,
    };
    return true;
}

static bool repository_commit(void *self, const struct commit_request *request,
                              struct commit_receipt *receipt, struct buf *missing, struct err *err)
{
    struct outlet_repository *outlet = self;
    return batch_queue_drained(outlet->queue, err) &&
           outlet_repository_commit(outlet->ingest, request, receipt, missing, err);
}

static void repository_cancel(void *self)
{
    struct outlet_repository *outlet = self;
    struct err err = {0};
    (void)err_set(&err, ERR_CANCELLED, "cancelled");
    batch_queue_fail(outlet->queue, &err);
}

static const struct outlet_ops repository_ops = {
    .ask = repository_ask,
    .envelope = repository_envelope,
    .send = repository_send,
    .commit = repository_commit,
    .cancel = repository_cancel,
};

bool outlet_repository_new(struct ingest *ingest, size_t queue_bytes, struct outlet_repository **out,
                           struct err *err)
{
    struct outlet_repository *outlet = xcalloc(1, sizeof(*outlet));
    outlet->ingest = ingest;
    outlet->queue = batch_queue_new(queue_bytes);
    int failed = pthread_create(&outlet->thread, NULL, store, outlet);
    if (failed) {
        batch_queue_free(outlet->queue);
        free(outlet);
        return err_sys(err, failed, "cannot start the thread that stores");
    }
    *out = outlet;
    return true;
}

void outlet_repository_free(struct outlet_repository *outlet)
{
    if (!outlet) return;
    batch_queue_end(outlet->queue);
    (void)pthread_join(outlet->thread, NULL);
    batch_queue_free(outlet->queue);
    free(outlet);
}

struct outlet outlet_repository_outlet(struct outlet_repository *outlet)
{
    return (struct outlet){.ops = &repository_ops, .self = outlet};
}

void outlet_repository_fail(struct outlet_repository *outlet, const struct err *why)
{
    batch_queue_fail(outlet->queue, why);
}
