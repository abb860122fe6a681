/* A mutex that is held to the end of the block: LOCK_HERE(&store->lock); */
#ifndef SEALIFT_BASE_LOCK_H
#define SEALIFT_BASE_LOCK_H

#include <pthread.h>

static inline __attribute__((unused)) void lock_release(pthread_mutex_t **held)
{
    (void)pthread_mutex_unlock(*held);
}

/* One in a block. */
#define LOCK_HERE(mutex)                                                                                     \
    __attribute__((cleanup(lock_release), unused)) pthread_mutex_t *lock_held = (mutex);                     \
    (void)pthread_mutex_lock(lock_held)

#endif
