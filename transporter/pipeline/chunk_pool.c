#include "transporter/pipeline/chunk_pool.h"

#include "common/base/alloc.h"

#include <pthread.h>
#include <string.h>

enum { SPARES = 64, FIT_SLACK = 64 * 1024 };

struct chunk_pool {
    pthread_mutex_t lock;
    size_t limit;
    size_t bytes;
    size_t count;
    struct buf spares[SPARES]; /* the longest unused first */
};

struct chunk_pool *chunk_pool_new(size_t limit_bytes)
{
    struct chunk_pool *pool = xcalloc(1, sizeof(*pool));
    pthread_mutex_init(&pool->lock, NULL);
    pool->limit = limit_bytes;
    return pool;
}

void chunk_pool_free(struct chunk_pool *pool)
{
    if (!pool) return;
    for (size_t i = 0; i < pool->count; i++)
        buf_deinit(&pool->spares[i]);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

static struct buf take_out(struct chunk_pool *pool, size_t index)
{
    struct buf taken = pool->spares[index];
    pool->count--;
    memmove(&pool->spares[index], &pool->spares[index + 1], (pool->count - index) * sizeof(taken));
    pool->bytes -= taken.cap;
    return taken;
}

/* A large buffer for a small chunk would be memory that nobody counts. */
static bool fits(const struct buf *spare, size_t size)
{
    return spare->cap >= size && spare->cap / 4 <= size + FIT_SLACK / 4;
}

struct buf chunk_pool_get(struct chunk_pool *pool, size_t size)
{
    struct buf found = {0};
    pthread_mutex_lock(&pool->lock);
    size_t best = pool->count;
    for (size_t i = pool->count; i-- > 0;)
        if (fits(&pool->spares[i], size) &&
            (best == pool->count || pool->spares[i].cap < pool->spares[best].cap))
            best = i;
    if (best < pool->count) found = take_out(pool, best);
    pthread_mutex_unlock(&pool->lock);
    buf_reserve(&found, size);
    return found;
}

void chunk_pool_put(struct chunk_pool *pool, struct buf *buf)
{
    struct buf dropped[SPARES] = {{0}};
    size_t drops = 0;
    buf_clear(buf);
    pthread_mutex_lock(&pool->lock);
    if (buf->cap > 0 && buf->cap <= pool->limit) {
        while (pool->count == SPARES || pool->bytes + buf->cap > pool->limit)
            dropped[drops++] = take_out(pool, 0);
        pool->spares[pool->count++] = *buf;
        pool->bytes += buf->cap;
        *buf = (struct buf){0};
    }
    pthread_mutex_unlock(&pool->lock);
    for (size_t i = 0; i < drops; i++)
        buf_deinit(&dropped[i]);
    buf_deinit(buf);
}
