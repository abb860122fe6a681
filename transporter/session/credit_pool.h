/* What the runs of a transporter may keep in memory of what is under way to or from their peers, all
 * together. A long way needs much of it for each run, and there is one process for them: a run gets half of
 * what is left, though never less than it can work with. Any thread. */
#ifndef SEALIFT_SESSION_CREDIT_POOL_H
#define SEALIFT_SESSION_CREDIT_POOL_H

#include <stdatomic.h>
#include <stdint.h>

#define CREDIT_POOL_BYTES (UINT64_C(192) << 20)

/* Zero: all is left. */
struct credit_pool {
    _Atomic uint64_t taken;
};

/* How many bytes it may be, from `least` to `most`; NULL: most. To be given back. */
uint64_t credit_pool_take(struct credit_pool *pool, uint64_t least, uint64_t most);
void credit_pool_give(struct credit_pool *pool, uint64_t bytes);

#endif
