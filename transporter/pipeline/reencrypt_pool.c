#include "transporter/pipeline/reencrypt_pool.h"

#include "common/base/alloc.h"
#include "common/base/secret.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

enum { WINDOW = 256, WINDOW_LEAST = 16, THREADS_MOST = 64, WAITING_MOST = 8 };

/* Chunks that are fetched in one question. */
struct window {
    struct window *next;
    const struct reencrypt_from *from;
    size_t count;
    struct hash contents[WINDOW], ids[WINDOW]; /* ids: where they come from */
    bool opened[WINDOW];
};

struct reencrypt_worker {
    struct reencrypt_pool *pool;
    pthread_t thread;
    struct packer *packer;
    struct opener *opener; /* that `opening` belongs to */
    struct opener_thread *opening;
    struct buf plain;
    struct window *window;
    bool lost;        /* the error at hand is of what could not be read */
    uint64_t flushed; /* the last drain that it took part in */
};

struct reencrypt_pool {
    const struct reencrypt_options *options;
    struct reencrypt_worker workers[THREADS_MOST];
    unsigned count; /* of threads that were started */
    bool given;     /* something since the last drain; the walking thread's */

    pthread_mutex_t lock; /* what follows */
    pthread_cond_t changed;
    struct window *first, **end;
    size_t waiting, busy;
    uint64_t drain; /* the one that is asked for */
    unsigned flushed;
    bool over, failed, lost;
    struct err failure;
};

/* --- one window --- */

static bool on_envelope(void *arg, struct span envelope, struct err *err)
{
    struct reencrypt_worker *worker = arg;
    return opener_take_envelope(worker->opener, envelope, err);
}

static size_t place_of(const struct window *window, const struct hash *id)
{
    size_t at = 0;
    while (at < window->count && !hash_eq(&window->ids[at], id))
        at++;
    return at;
}

/* One whose first copy does not open stays marked as such: others are asked for behind this fetch. */
static bool on_frame(void *arg, const struct hash *id, struct span frame, struct err *err)
{
    struct reencrypt_worker *worker = arg;
    struct window *window = worker->window;
    struct frame_content content;
    struct err why = {0};
    size_t at = place_of(window, id);
    if (atomic_load(worker->pool->options->cancelled)) return err_set(err, ERR_CANCELLED, "cancelled");
    if (at == window->count) return err_set(err, ERR_PROTOCOL, "a chunk that was not asked for");
    atomic_fetch_add(worker->pool->options->opened_bytes, frame.len);
    if (!opener_frame_content(worker->opening, id, frame, &worker->plain, &content, &why)) return true;
    struct raw_chunk chunk = {.type = FRAME_DATA,
                              .compression = content.compression,
                              .raw_len = content.raw_len,
                              .content = window->contents[at],
                              .stored = content.stored};
    window->opened[at] = true;
    return packer_put_stored(worker->packer, &chunk, buf_span(&worker->plain), err);
}

static bool on_missing(void *arg, const struct hash *id, const struct err *why, struct err *err)
{
    struct reencrypt_worker *worker = arg;
    worker->lost = true;
    return opener_missing(why, err);
}

/* Anybody who writes in the domain may have stored a frame under this id. */
static bool take_other_copy(struct reencrypt_worker *worker, size_t at, struct err *err)
{
    const struct window *window = worker->window;
    bool found = false;
    if (!opener_other_copy(worker->opening, &window->from->inlet, &window->ids[at], &worker->plain, &found,
                           err))
        return false;
    if (found) return packer_put(worker->packer, &worker->plain, &window->contents[at], err);
    worker->lost = true;
    return err_set(err, ERR_DAMAGED, "a chunk does not open, in any of its copies");
}

static bool take_opener(struct reencrypt_worker *worker, struct opener *opener, struct err *err)
{
    if (worker->opener == opener) return true;
    opener_thread_free(worker->opening);
    worker->opening = NULL;
    worker->opener = NULL;
    if (!opener_thread_new(opener, &worker->opening, err)) return false;
    worker->opener = opener;
    return true;
}

static bool take_window(struct reencrypt_worker *worker, struct err *err)
{
    struct window *window = worker->window;
    const struct inlet *inlet = &window->from->inlet;
    struct inlet_sink sink = {.envelope = on_envelope,
                              .frame = on_frame,
                              .missing = on_missing,
                              .arg = worker,
                              .opener = worker->opener};
    worker->lost = false;
    if (atomic_load(worker->pool->options->cancelled)) return err_set(err, ERR_CANCELLED, "cancelled");
    if (!take_opener(worker, window->from->opener, err) ||
        !inlet->ops->fetch(inlet->self, window->ids, window->count, &sink, err))
        return false;
    for (size_t at = 0; at < window->count; at++)
        if (!window->opened[at] && !take_other_copy(worker, at, err)) return false;
    return true;
}

/* --- the threads --- */

/* The caller holds the lock. */
static void fail(struct reencrypt_pool *pool, const struct err *why, bool lost)
{
    if (pool->failed) return;
    pool->failed = true;
    pool->lost = lost;
    pool->failure = *why;
}

static void take_next(struct reencrypt_worker *worker)
{
    struct reencrypt_pool *pool = worker->pool;
    struct err err = {0};
    struct window *window = pool->first;
    pool->first = window->next;
    if (!pool->first) pool->end = &pool->first;
    pool->waiting--;
    pool->busy++;
    bool skip = pool->failed;
    (void)pthread_cond_broadcast(&pool->changed);
    (void)pthread_mutex_unlock(&pool->lock);
    worker->window = window;
    bool done = skip || take_window(worker, &err);
    free(window);
    (void)pthread_mutex_lock(&pool->lock);
    if (!done) fail(pool, &err, worker->lost);
    pool->busy--;
    (void)pthread_cond_broadcast(&pool->changed);
}

static void flush(struct reencrypt_worker *worker)
{
    struct reencrypt_pool *pool = worker->pool;
    struct err err = {0};
    uint64_t drain = pool->drain;
    (void)pthread_mutex_unlock(&pool->lock);
    bool done = packer_flush(worker->packer, NULL, &err);
    (void)pthread_mutex_lock(&pool->lock);
    if (!done) fail(pool, &err, false);
    worker->flushed = drain;
    pool->flushed++;
    (void)pthread_cond_broadcast(&pool->changed);
}

static void *worker_main(void *arg)
{
    struct reencrypt_worker *worker = arg;
    struct reencrypt_pool *pool = worker->pool;
    (void)pthread_mutex_lock(&pool->lock);
    while (!pool->over || pool->first) {
        if (pool->first)
            take_next(worker);
        else if (worker->flushed != pool->drain)
            flush(worker);
        else
            (void)pthread_cond_wait(&pool->changed, &pool->lock);
    }
    (void)pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static bool add_worker(struct reencrypt_pool *pool, struct sealing *sealing, struct chunk_pool *chunks,
                       struct err *err)
{
    struct reencrypt_worker *worker = &pool->workers[pool->count];
    worker->pool = pool;
    if (!packer_new(sealing, chunks, PACK_DATA, &worker->packer, err)) return false;
    int failed = pthread_create(&worker->thread, NULL, worker_main, worker);
    if (!failed) {
        pool->count++;
        return true;
    }
    packer_free(worker->packer);
    return err_sys(err, failed, "cannot start a thread that seals");
}

bool reencrypt_pool_new(struct sealing *sealing, struct chunk_pool *chunks,
                        const struct reencrypt_options *options, struct reencrypt_pool **out, struct err *err)
{
    AUTO(reencrypt_pool) struct reencrypt_pool *pool = xcalloc(1, sizeof(*pool));
    unsigned wanted = options->threads;
    if (wanted == 0) wanted = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
    if (wanted > THREADS_MOST) wanted = THREADS_MOST;
    pool->options = options;
    pool->end = &pool->first;
    (void)pthread_mutex_init(&pool->lock, NULL);
    (void)pthread_cond_init(&pool->changed, NULL);
    while (pool->count < wanted)
        if (!add_worker(pool, sealing, chunks, err)) return false;
    *out = pool;
    pool = NULL;
    return true;
}

static void end_worker(struct reencrypt_worker *worker)
{
    (void)pthread_join(worker->thread, NULL);
    packer_free(worker->packer);
    opener_thread_free(worker->opening);
    wipe(worker->plain.data, worker->plain.cap);
    buf_deinit(&worker->plain);
}

void reencrypt_pool_free(struct reencrypt_pool *pool)
{
    if (!pool) return;
    struct err dropped = {0};
    (void)err_set(&dropped, ERR_CANCELLED, "given up");
    (void)pthread_mutex_lock(&pool->lock);
    fail(pool, &dropped, false);
    pool->over = true;
    (void)pthread_cond_broadcast(&pool->changed);
    (void)pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->count; i++)
        end_worker(&pool->workers[i]);
    (void)pthread_cond_destroy(&pool->changed);
    (void)pthread_mutex_destroy(&pool->lock);
    free(pool);
}

/* --- for who walks --- */

static bool push(struct reencrypt_pool *pool, struct window **window, struct err *err)
{
    (void)pthread_mutex_lock(&pool->lock);
    while (pool->waiting >= WAITING_MOST && !pool->failed)
        (void)pthread_cond_wait(&pool->changed, &pool->lock);
    bool ok = !pool->failed;
    if (ok) {
        *pool->end = *window;
        pool->end = &(*window)->next;
        pool->waiting++;
        *window = NULL;
        (void)pthread_cond_broadcast(&pool->changed);
    } else {
        *err = pool->failure;
    }
    (void)pthread_mutex_unlock(&pool->lock);
    return ok;
}

/* Few chunks are shared out among all threads. */
static size_t window_size(const struct reencrypt_pool *pool, size_t count)
{
    size_t share = count / ((size_t)pool->count * 2);
    return share < WINDOW_LEAST ? WINDOW_LEAST : share > WINDOW ? WINDOW : share;
}

bool reencrypt_pool_give(struct reencrypt_pool *pool, const struct reencrypt_from *from,
                         const struct hash *contents, size_t count, struct err *err)
{
    size_t size = window_size(pool, count);
    for (size_t at = 0; at < count; at += size) {
        AUTO(free) struct window *window = xcalloc(1, sizeof(*window));
        window->from = from;
        window->count = count - at < size ? count - at : size;
        for (size_t i = 0; i < window->count; i++) {
            window->contents[i] = contents[at + i];
            window->ids[i] = opener_chunk_id(from->opener, FRAME_DATA, &contents[at + i]);
        }
        pool->given = true;
        if (!push(pool, &window, err)) return false;
    }
    return true;
}

bool reencrypt_pool_drain(struct reencrypt_pool *pool, struct err *err)
{
    if (!pool->given) return true;
    (void)pthread_mutex_lock(&pool->lock);
    pool->drain++;
    pool->flushed = 0;
    (void)pthread_cond_broadcast(&pool->changed);
    while (pool->flushed < pool->count)
        (void)pthread_cond_wait(&pool->changed, &pool->lock);
    bool ok = !pool->failed;
    if (!ok) *err = pool->failure;
    (void)pthread_mutex_unlock(&pool->lock);
    if (ok) pool->given = false;
    return ok;
}

bool reencrypt_pool_give_up(struct reencrypt_pool *pool)
{
    (void)pthread_mutex_lock(&pool->lock);
    while (pool->first || pool->busy > 0)
        (void)pthread_cond_wait(&pool->changed, &pool->lock);
    bool lost = pool->failed && pool->lost;
    pool->failed = pool->lost = false;
    (void)pthread_mutex_unlock(&pool->lock);
    return lost;
}
