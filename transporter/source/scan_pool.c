#include "transporter/source/scan_pool.h"

#include "common/base/alloc.h"

#include <pthread.h>

struct scan_pool {
    struct scan_rules *rules;
    size_t ahead_bytes;
    struct scan_scratch scratch; /* the consumer's */
    unsigned count;
    pthread_t *threads;

    pthread_mutex_t mutex; /* for all below, and the state and links of scans */
    pthread_cond_t work;   /* something waits, and there is budget; or stop */
    pthread_cond_t done;   /* the scan that the consumer wants */
    const struct scan *wanted;
    unsigned idle;
    struct scan *newest; /* a stack: what was found last is due first */
    size_t held;         /* bytes of scans that were run and not dropped */
    bool full;           /* held were enough; until a quarter of that is dropped nothing is run ahead */
    bool stop;
    struct err failure;
};

static void waiting_push(struct scan_pool *pool, struct scan *scan)
{
    scan->state = SCAN_WAITING;
    scan->newer = NULL;
    scan->older = pool->newest;
    if (pool->newest) pool->newest->newer = scan;
    pool->newest = scan;
}

static void waiting_remove(struct scan_pool *pool, struct scan *scan)
{
    if (scan->older) scan->older->newer = scan->newer;
    *(scan->newer ? &scan->newer->older : &pool->newest) = scan->older;
    scan->newer = scan->older = NULL;
}

/* The scans below wait from now on, the first on top. */
static void push_below(struct scan_pool *pool, const struct scan *scan)
{
    for (size_t i = scan->count; i-- > 0;)
        if (scan->items[i].below) waiting_push(pool, scan->items[i].below);
    if (pool->newest && pool->idle > 0) (void)pthread_cond_broadcast(&pool->work);
}

static void hold(struct scan_pool *pool, size_t bytes)
{
    pool->held += bytes;
    if (pool->held >= pool->ahead_bytes) pool->full = true;
}

static void finish(struct scan_pool *pool, struct scan *scan)
{
    scan->state = SCAN_DONE;
    hold(pool, scan->bytes);
    push_below(pool, scan);
    if (pool->wanted == scan) (void)pthread_cond_signal(&pool->done);
}

static void fail(struct scan_pool *pool, const struct err *err)
{
    if (pool->failure.code == ERR_NONE) pool->failure = *err;
    pool->stop = true;
    (void)pthread_cond_signal(&pool->done);
    (void)pthread_cond_broadcast(&pool->work);
}

/* With the mutex held, which is released while the scan runs. */
static void run_unlocked(struct scan_pool *pool, struct scan *scan, struct scan_scratch *scratch)
{
    struct err err;
    waiting_remove(pool, scan);
    scan->state = SCAN_RUNNING;
    (void)pthread_mutex_unlock(&pool->mutex);
    bool ok = scan_run(scan, pool->rules, scratch, &err);
    (void)pthread_mutex_lock(&pool->mutex);
    if (ok)
        finish(pool, scan);
    else
        fail(pool, &err);
}

static void *scan_thread(void *arg)
{
    struct scan_pool *pool = arg;
    struct scan_scratch scratch = {0};
    (void)pthread_mutex_lock(&pool->mutex);
    for (;;) {
        while (!pool->stop && (!pool->newest || pool->full)) {
            pool->idle++;
            (void)pthread_cond_wait(&pool->work, &pool->mutex);
            pool->idle--;
        }
        if (pool->stop) break;
        run_unlocked(pool, pool->newest, &scratch);
    }
    (void)pthread_mutex_unlock(&pool->mutex);
    scan_scratch_deinit(&scratch);
    return NULL;
}

struct scan_pool *scan_pool_new(struct scan_rules *rules, unsigned threads, size_t ahead_bytes)
{
    struct scan_pool *pool = xcalloc(1, sizeof(*pool));
    pool->rules = rules;
    pool->ahead_bytes = ahead_bytes;
    pool->threads = xcalloc(threads, sizeof(*pool->threads));
    (void)pthread_mutex_init(&pool->mutex, NULL);
    (void)pthread_cond_init(&pool->work, NULL);
    (void)pthread_cond_init(&pool->done, NULL);
    /* fewer threads, even none, only make it slower */
    while (pool->count < threads && pthread_create(&pool->threads[pool->count], NULL, scan_thread, pool) == 0)
        pool->count++;
    return pool;
}

void scan_pool_free(struct scan_pool *pool)
{
    if (!pool) return;
    (void)pthread_mutex_lock(&pool->mutex);
    pool->stop = true;
    (void)pthread_cond_broadcast(&pool->work);
    (void)pthread_mutex_unlock(&pool->mutex);
    for (unsigned i = 0; i < pool->count; i++)
        (void)pthread_join(pool->threads[i], NULL);
    (void)pthread_mutex_destroy(&pool->mutex);
    (void)pthread_cond_destroy(&pool->work);
    (void)pthread_cond_destroy(&pool->done);
    scan_scratch_deinit(&pool->scratch);
    free(pool->threads);
    free(pool);
}

bool scan_pool_need(struct scan_pool *pool, struct scan *scan, struct err *err)
{
    (void)pthread_mutex_lock(&pool->mutex);
    if (scan->state == SCAN_NEW) waiting_push(pool, scan);
    if (scan->state == SCAN_WAITING) run_unlocked(pool, scan, &pool->scratch);
    pool->wanted = scan;
    while (scan->state != SCAN_DONE && pool->failure.code == ERR_NONE)
        (void)pthread_cond_wait(&pool->done, &pool->mutex);
    pool->wanted = NULL;
    bool ok = pool->failure.code == ERR_NONE;
    if (!ok) *err = pool->failure;
    (void)pthread_mutex_unlock(&pool->mutex);
    return ok;
}

bool scan_pool_more(struct scan_pool *pool, struct scan *scan, struct err *err)
{
    size_t before = scan->bytes;
    if (!scan_more(scan, pool->rules, &pool->scratch, err)) return false;
    (void)pthread_mutex_lock(&pool->mutex);
    pool->held -= before;
    hold(pool, scan->bytes);
    push_below(pool, scan);
    (void)pthread_mutex_unlock(&pool->mutex);
    return true;
}

void scan_pool_drop(struct scan_pool *pool, struct scan *scan)
{
    (void)pthread_mutex_lock(&pool->mutex);
    pool->held -= scan->bytes;
    if (pool->full && pool->held < pool->ahead_bytes - pool->ahead_bytes / 4) {
        pool->full = false;
        if (pool->newest) (void)pthread_cond_broadcast(&pool->work);
    }
    (void)pthread_mutex_unlock(&pool->mutex);
    scan_free(scan);
}
