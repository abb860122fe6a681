#include "transporter/pipeline/open_pool.h"

#include "common/base/alloc.h"
#include "common/base/secret.h"

#include <pthread.h>
#include <unistd.h>

enum {
    THREADS_MAX = 8,
    WAITING_BYTES = 8 * 1024 * 1024,
    KEPT = 32, /* buffers of frames that were opened, for the next ones; large ones are not kept */
    KEPT_LEN_MAX = 256 * 1024,
};

struct item {
    struct item *next;
    struct open_batch *batch;
    size_t number;
    struct hash id;
    struct buf frame;
};

struct opening {
    struct open_pool *pool;
    struct opener_thread *opener;
    pthread_t thread;
};

struct open_pool {
    open_pool_fn *opened;
    pthread_mutex_t lock;
    pthread_cond_t added, room, told;
    struct item *first, **last;
    struct item *kept;
    size_t kept_count;
    size_t bytes;
    bool over;
    struct opening openings[THREADS_MAX];
    unsigned count;   /* openers that were made */
    unsigned started; /* threads */
};

static void item_free(struct item *item)
{
    buf_deinit(&item->frame);
    free(item);
}

/* --- the threads --- */

static struct item *take(struct open_pool *pool)
{
    (void)pthread_mutex_lock(&pool->lock);
    while (!pool->first && !pool->over)
        (void)pthread_cond_wait(&pool->added, &pool->lock);
    struct item *item = pool->first;
    if (item) {
        pool->first = item->next;
        if (!pool->first) pool->last = &pool->first;
        pool->bytes -= item->frame.len;
        (void)pthread_cond_broadcast(&pool->room);
    }
    (void)pthread_mutex_unlock(&pool->lock);
    return item;
}

static void done(struct open_pool *pool, struct item *item)
{
    (void)pthread_mutex_lock(&pool->lock);
    if (--item->batch->under_way == 0) (void)pthread_cond_broadcast(&pool->told);
    bool kept = pool->kept_count < KEPT && item->frame.cap <= KEPT_LEN_MAX;
    if (kept) {
        item->next = pool->kept;
        pool->kept = item;
        pool->kept_count++;
    }
    (void)pthread_mutex_unlock(&pool->lock);
    if (!kept) item_free(item);
}

static void *open_main(void *arg)
{
    const struct opening *opening = arg;
    struct open_pool *pool = opening->pool;
    struct buf plain = {0};
    for (struct item *item; (item = take(pool));) {
        struct err why = {0};
        struct span frame = buf_span(&item->frame);
        bool ok = opener_frame(opening->opener, &item->id, frame, &plain, &why);
        pool->opened(item->batch, item->number, frame, &plain, ok ? NULL : &why);
        done(pool, item);
    }
    wipe(plain.data, plain.cap);
    buf_deinit(&plain);
    return NULL;
}

/* --- from outside --- */

static unsigned thread_count(unsigned wanted)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned threads = wanted ? wanted : (unsigned)(cores > 0 ? cores : 1);
    return threads > THREADS_MAX ? THREADS_MAX : threads;
}

static bool add_thread(struct open_pool *pool, struct opener *opener, struct err *err)
{
    struct opening *opening = &pool->openings[pool->count];
    opening->pool = pool;
    if (!opener_thread_new(opener, &opening->opener, err)) return false;
    pool->count++;
    int failed = pthread_create(&opening->thread, NULL, open_main, opening);
    if (failed) return err_sys(err, failed, "cannot start a thread");
    pool->started++;
    return true;
}

bool open_pool_new(struct opener *opener, unsigned threads, open_pool_fn *opened, struct open_pool **out,
                   struct err *err)
{
    AUTO(open_pool) struct open_pool *pool = xcalloc(1, sizeof(*pool));
    pool->opened = opened;
    pool->last = &pool->first;
    (void)pthread_mutex_init(&pool->lock, NULL);
    (void)pthread_cond_init(&pool->added, NULL);
    (void)pthread_cond_init(&pool->room, NULL);
    (void)pthread_cond_init(&pool->told, NULL);
    unsigned wanted = thread_count(threads);
    while (pool->started < wanted && add_thread(pool, opener, err))
        continue;
    if (pool->started == 0) return false;
    *out = pool;
    pool = NULL;
    return true;
}

void open_pool_free(struct open_pool *pool)
{
    if (!pool) return;
    (void)pthread_mutex_lock(&pool->lock);
    pool->over = true;
    (void)pthread_cond_broadcast(&pool->added);
    (void)pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->started; i++)
        (void)pthread_join(pool->openings[i].thread, NULL);
    for (unsigned i = 0; i < pool->count; i++)
        opener_thread_free(pool->openings[i].opener);
    while (pool->kept) {
        struct item *item = pool->kept;
        pool->kept = item->next;
        item_free(item);
    }
    (void)pthread_cond_destroy(&pool->told);
    (void)pthread_cond_destroy(&pool->room);
    (void)pthread_cond_destroy(&pool->added);
    (void)pthread_mutex_destroy(&pool->lock);
    free(pool);
}

static struct item *room_for(struct open_pool *pool, size_t len)
{
    (void)pthread_mutex_lock(&pool->lock);
    while (pool->bytes > 0 && pool->bytes + len > WAITING_BYTES)
        (void)pthread_cond_wait(&pool->room, &pool->lock);
    pool->bytes += len;
    struct item *item = pool->kept;
    if (item) {
        pool->kept = item->next;
        pool->kept_count--;
    }
    (void)pthread_mutex_unlock(&pool->lock);
    return item ? item : xcalloc(1, sizeof(*item));
}

void open_pool_put(struct open_pool *pool, struct open_batch *batch, size_t number, const struct hash *id,
                   struct span frame)
{
    struct item *item = room_for(pool, frame.len);
    item->next = NULL;
    item->batch = batch;
    item->number = number;
    item->id = *id;
    buf_clear(&item->frame);
    buf_put_span(&item->frame, frame);
    (void)pthread_mutex_lock(&pool->lock);
    batch->under_way++;
    *pool->last = item;
    pool->last = &item->next;
    (void)pthread_cond_signal(&pool->added);
    (void)pthread_mutex_unlock(&pool->lock);
}

void open_pool_wait(struct open_pool *pool, struct open_batch *batch)
{
    (void)pthread_mutex_lock(&pool->lock);
    while (batch->under_way > 0)
        (void)pthread_cond_wait(&pool->told, &pool->lock);
    (void)pthread_mutex_unlock(&pool->lock);
}
