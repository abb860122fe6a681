/* The two clocks: one that only runs forward, for how long, and the time of day, for when. Any thread. */
#ifndef SEALIFT_BASE_CLOCK_H
#define SEALIFT_BASE_CLOCK_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

/* since some moment in the past; never steps back */
uint64_t clock_steady_ms(void);
/* the same clock */
uint64_t clock_steady_us(void);
/* since 1970, as the machine is set; may step */
uint64_t clock_real_ns(void);

/* A time of day since 1970, as file systems tell it: one that 64 bits do not hold is the nearest that they
 * do. */
int64_t clock_ns_of(const struct timespec *time);

/* Waits for the condition until clock_steady_ms() is `until_ms` at most. It may return early: the caller
 * looks at what it waits for. */
void clock_wait(pthread_cond_t *condition, pthread_mutex_t *lock, uint64_t until_ms);

#endif
