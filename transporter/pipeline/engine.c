#include "transporter/pipeline/engine.h"

#include "common/base/alloc.h"
#include "common/base/clock.h"

enum { WORKERS_LEAST = 6 }; /* readers of a cold cache; they hardly cost anything else */

unsigned engine_workers(const struct backup_options *options, unsigned least)
{
    unsigned count = options->threads;
    if (count == 0) {
        long cores = sysconf(_SC_NPROCESSORS_ONLN);
        count = cores > (long)(least / 2) ? 2 * (unsigned)cores : least;
    }
    return count < ENGINE_WORKERS_MOST ? count : ENGINE_WORKERS_MOST;
}

static void *worker_thread(void *arg)
{
    worker_run(arg);
    return NULL;
}

bool engine_start(struct engine *engine, struct err *err)
{
    for (; engine->started_count < engine->worker_count; engine->started_count++) {
        struct worker *worker = &engine->workers[engine->started_count];
        if (!worker_init(worker, &engine->attempt, err)) return false;
        int failed = pthread_create(&engine->threads[engine->started_count], NULL, worker_thread, worker);
        if (failed) {
            worker_deinit(worker);
            return err_sys(err, failed, "cannot start a thread");
        }
    }
    return cancel_watch_new(&engine->attempt, engine->options->cancelled, &engine->watch, err);
}

void engine_stop(struct engine *engine)
{
    if (engine->attempt.queue) work_queue_end(engine->attempt.queue);
    for (unsigned i = 0; i < engine->started_count; i++) {
        (void)pthread_join(engine->threads[i], NULL);
        worker_deinit(&engine->workers[i]);
    }
    engine->started_count = 0;
}

bool engine_fail(struct engine *engine, struct err *err)
{
    attempt_fail(&engine->attempt, err);
    (void)attempt_failure(&engine->attempt, err);
    return false;
}

/* --- the end --- */

bool engine_drain(struct engine *engine, struct err *err)
{
    if (!packer_flush(engine->own.data, NULL, err) || !attempt_flush_nodes(&engine->attempt, err))
        return false;
    engine_stop(engine);
    return !attempt_failure(&engine->attempt, err);
}

/* --- making and ending --- */

bool engine_init(struct engine *engine, const struct backup_options *options, size_t segments,
                 struct err *err)
{
    *engine = (struct engine){0};
    unsigned workers = engine_workers(options, WORKERS_LEAST);
    if (!attempt_init(&engine->attempt, options, workers, workers * segments, err)) return false;
    engine->options = options;
    engine->started_ns = clock_real_ns();
    engine->worker_count = workers;
    engine->workers = xcalloc(workers, sizeof(*engine->workers));
    engine->threads = xcalloc(workers, sizeof(*engine->threads));
    if (worker_init(&engine->own, &engine->attempt, err)) return true;
    engine_deinit(engine);
    return false;
}

void engine_deinit(struct engine *engine)
{
    engine_stop(engine);
    cancel_watch_free(engine->watch);
    worker_deinit(&engine->own);
    attempt_deinit(&engine->attempt);
    free(engine->workers);
    free(engine->threads);
    *engine = (struct engine){0};
}
