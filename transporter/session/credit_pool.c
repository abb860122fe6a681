#include "transporter/session/credit_pool.h"

#include <stddef.h>

static uint64_t share_of(uint64_t taken, uint64_t least, uint64_t most)
{
    uint64_t half = taken < CREDIT_POOL_BYTES ? (CREDIT_POOL_BYTES - taken) / 2 : 0;
    if (half > most) return most;
    return half < least ? least : half;
}

uint64_t credit_pool_take(struct credit_pool *pool, uint64_t least, uint64_t most)
{
    if (least > most) least = most;
    if (!pool) return most;
    uint64_t taken = atomic_load(&pool->taken), share;
    do
        share = share_of(taken, least, most);
    while (!atomic_compare_exchange_weak(&pool->taken, &taken, taken + share));
    return share;
}

void credit_pool_give(struct credit_pool *pool, uint64_t bytes)
{
    if (pool) atomic_fetch_sub(&pool->taken, bytes);
}
