#include "transporter/pipeline/chunk_pool.h"

#include <criterion/criterion.h>

Test(chunk_pool, gives_memory_again_that_fits)
{
    AUTO(chunk_pool) struct chunk_pool *pool = chunk_pool_new(10 << 20);
    AUTO(buf) struct buf buf = chunk_pool_get(pool, 100000);
    cr_assert(buf.len == 0 && buf.cap >= 100000);
    const uint8_t *memory = buf.data;
    chunk_pool_put(pool, &buf);
    cr_assert_null(buf.data);
    buf = chunk_pool_get(pool, 90000);
    cr_assert_eq(buf.data, memory);
}

Test(chunk_pool, does_not_give_a_large_buffer_for_a_small_chunk)
{
    AUTO(chunk_pool) struct chunk_pool *pool = chunk_pool_new(10 << 20);
    struct buf large = chunk_pool_get(pool, 4 << 20);
    chunk_pool_put(pool, &large);
    AUTO(buf) struct buf small = chunk_pool_get(pool, 1000);
    cr_assert_lt(small.cap, 1 << 20);
}

Test(chunk_pool, takes_the_buffer_that_fits_best)
{
    AUTO(chunk_pool) struct chunk_pool *pool = chunk_pool_new(10 << 20);
    struct buf a = chunk_pool_get(pool, 300000);
    struct buf b = chunk_pool_get(pool, 200000);
    struct buf c = chunk_pool_get(pool, 400000);
    const uint8_t *best = b.data;
    chunk_pool_put(pool, &a);
    chunk_pool_put(pool, &b);
    chunk_pool_put(pool, &c);
    AUTO(buf) struct buf got = chunk_pool_get(pool, 150000);
    cr_assert_eq(got.data, best);
}

Test(chunk_pool, keeps_no_more_than_its_limit)
{
    AUTO(chunk_pool) struct chunk_pool *pool = chunk_pool_new(1 << 20);
    struct buf old = chunk_pool_get(pool, 700000);
    struct buf young = chunk_pool_get(pool, 600000);
    struct buf beyond = chunk_pool_get(pool, 2 << 20);
    const uint8_t *kept = young.data;
    chunk_pool_put(pool, &old);
    chunk_pool_put(pool, &young);  /* the old one goes */
    chunk_pool_put(pool, &beyond); /* never kept */
    cr_assert_null(beyond.data);
    AUTO(buf) struct buf got = chunk_pool_get(pool, 600000);
    cr_assert_eq(got.data, kept);
}
