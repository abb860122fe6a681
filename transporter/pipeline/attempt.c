#include "transporter/pipeline/attempt.h"

/* What goes round: a chunk being read by each thread of many, and a few more. */
enum { POOL_BYTES = 8 * 1024 * 1024 };

static bool make_parts(struct attempt *attempt, struct err *err)
{
    const struct backup_options *options = attempt->options;
    struct sealing_options sealing = {
        .place = options->place,
        .writer = options->writer,
        .run = options->run,
        .half = options->half,
        .cipher = options->cipher,
        .padding = options->padding,
        .compress = options->compress,
        .outlet = options->outlet,
    };
    attempt->pool = chunk_pool_new(POOL_BYTES);
    attempt->names = metadata_names_new();
    return sealing_new(&sealing, &attempt->sealing, err) &&
           packer_new(attempt->sealing, attempt->pool, PACK_META, &attempt->nodes, err);
}

bool attempt_init(struct attempt *attempt, const struct backup_options *options, unsigned workers,
                  size_t segments, struct err *err)
{
    *attempt = (struct attempt){.options = options};
    attempt->progress = options->progress ? options->progress : &attempt->own_progress;
    pthread_mutex_init(&attempt->nodes_lock, NULL);
    pthread_mutex_init(&attempt->warning_lock, NULL);
    pthread_mutex_init(&attempt->failure_lock, NULL);
    attempt->queue = work_queue_new(segments, workers);
    if (make_parts(attempt, err)) return true;
    attempt_deinit(attempt);
    *attempt = (struct attempt){0};
    return false;
}

void attempt_deinit(struct attempt *attempt)
{
    if (!attempt->options) return;
    work_queue_free(attempt->queue);
    packer_free(attempt->nodes);
    sealing_free(attempt->sealing);
    metadata_names_free(attempt->names);
    chunk_pool_free(attempt->pool);
    pthread_mutex_destroy(&attempt->failure_lock);
    pthread_mutex_destroy(&attempt->warning_lock);
    pthread_mutex_destroy(&attempt->nodes_lock);
}

void attempt_fail(struct attempt *attempt, const struct err *why)
{
    pthread_mutex_lock(&attempt->failure_lock);
    bool first = !attempt->failed;
    if (first) {
        attempt->failed = true;
        attempt->why = *why;
    }
    pthread_mutex_unlock(&attempt->failure_lock);
    if (!first) return;
    atomic_store(&attempt->stopped, true);
    work_queue_stop(attempt->queue);
    const struct outlet *outlet = &attempt->options->outlet;
    outlet->ops->cancel(outlet->self);
}

bool attempt_stopped(const struct attempt *attempt)
{
    return atomic_load_explicit(&attempt->stopped, memory_order_relaxed);
}

bool attempt_failure(struct attempt *attempt, struct err *err)
{
    pthread_mutex_lock(&attempt->failure_lock);
    bool failed = attempt->failed;
    if (failed) *err = attempt->why;
    pthread_mutex_unlock(&attempt->failure_lock);
    return failed;
}

void attempt_note(struct attempt *attempt, struct span path, const struct err *what)
{
    const struct backup_options *options = attempt->options;
    if (!options->warning) return;
    pthread_mutex_lock(&attempt->warning_lock);
    options->warning(options->arg, path, what);
    pthread_mutex_unlock(&attempt->warning_lock);
}

void attempt_warn(struct attempt *attempt, struct span path, const struct err *what)
{
    attempt->progress->warnings++;
    attempt_note(attempt, path, what);
}

bool attempt_put_node(void *arg, struct span node, struct hash *content, struct err *err)
{
    struct attempt *attempt = arg;
    AUTO(buf) struct buf bytes = chunk_pool_get(attempt->pool, node.len);
    buf_put_span(&bytes, node);
    struct hash hash = hash_of(node);
    pthread_mutex_lock(&attempt->nodes_lock);
    bool put = packer_put(attempt->nodes, &bytes, &hash, err);
    pthread_mutex_unlock(&attempt->nodes_lock);
    chunk_pool_put(attempt->pool, &bytes);
    if (put) *content = hash;
    return put;
}

bool attempt_flush_nodes(struct attempt *attempt, struct err *err)
{
    pthread_mutex_lock(&attempt->nodes_lock);
    bool flushed = packer_flush(attempt->nodes, NULL, err);
    pthread_mutex_unlock(&attempt->nodes_lock);
    return flushed;
}

uint64_t attempt_deduplicated_bytes(const struct attempt *attempt)
{
    return attempt->unread_bytes + sealing_deduplicated_bytes(attempt->sealing);
}

void attempt_publish(struct attempt *attempt)
{
    attempt->progress->unread_bytes = attempt->unread_bytes;
    attempt->progress->deduplicated_bytes = attempt_deduplicated_bytes(attempt);
    attempt->progress->sent_bytes = sealing_sent_bytes(attempt->sealing);
}
