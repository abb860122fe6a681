/* Time as the data path measures it: milliseconds that never step back. Any thread. */
#ifndef SEALIFT_SESSION_MOMENT_H
#define SEALIFT_SESSION_MOMENT_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

static inline uint64_t moment_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Waits for the condition until that moment at most. */
static inline void moment_wait(pthread_cond_t *condition, pthread_mutex_t *lock, uint64_t until_ms)
{
    struct timespec until = {.tv_sec = (time_t)(until_ms / 1000),
                             .tv_nsec = (long)(until_ms % 1000) * 1000000};
    (void)pthread_cond_clockwait(condition, lock, CLOCK_MONOTONIC, &until);
}

#endif
