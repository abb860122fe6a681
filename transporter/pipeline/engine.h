/* What backups that cut with the work queue have in common: the attempt with its worker threads, until
 * everything is sent (the commit is closing.h's). How an object is read and what the manifest says of it is
 * its own engine's (backup.c, backup_stream.c). Private to the backup engines; the ordering thread. */
#ifndef SEALIFT_PIPELINE_ENGINE_H
#define SEALIFT_PIPELINE_ENGINE_H

#include "transporter/pipeline/cancel_watch.h"
#include "transporter/pipeline/worker.h"

#define ENGINE_WORKERS_MOST 64
/* As many as the options say; else two for each core, and `least` at least. */
unsigned engine_workers(const struct backup_options *options, unsigned least);

struct engine {
    const struct backup_options *options;
    uint64_t started_ns;
    struct attempt attempt;
    struct worker own; /* the ordering thread's */
    struct worker *workers;
    pthread_t *threads;
    unsigned worker_count, started_count;
    struct cancel_watch *watch;
};

/* Room for `segments` that wait for each worker; no thread is started yet. {0} after a failure. */
bool engine_init(struct engine *engine, const struct backup_options *options, size_t segments,
                 struct err *err) MUST_CHECK;
/* Starts the workers, and what watches for a cancel. */
bool engine_start(struct engine *engine, struct err *err) MUST_CHECK;
/* Waits for the workers, which have sent all that they held, or were stopped: what they use may be freed
 * after this. */
void engine_stop(struct engine *engine);
void engine_deinit(struct engine *engine);
DEFINE_AUTO_IN_PLACE(engine, struct engine, engine_deinit)

/* Stops all. *err becomes the error that stopped the others, in place of the one that it caused here. */
bool engine_fail(struct engine *engine, struct err *err);
/* After the last node: waits for the workers. Everything is sent when this returns. */
bool engine_drain(struct engine *engine, struct err *err) MUST_CHECK;
#endif
