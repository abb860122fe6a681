/* A storage driver around another one that fails, or waits, where a test says. */
#ifndef SEALIFT_TESTS_REPOSITORY_FAULT_H
#define SEALIFT_TESTS_REPOSITORY_FAULT_H

#include "transporter/repository/storage.h"

#include <pthread.h>

enum fault_how {
    FAULT_NONE,
    FAULT_EIO,    /* the call does nothing and fails */
    FAULT_ENOSPC, /* the same for want of space */
    FAULT_SHORT,  /* an append or put writes its first half, then fails for want of space */
    FAULT_AFTER   /* the call does its work, and then fails */
};

struct fault {
    struct storage inner;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum fault_how how;
    int fail_at; /* the number of the changing call that fails, from 0; later ones fail too if sticky */
    int sticky;
    int calls;               /* changing calls so far */
    int hits;                /* calls that failed */
    int syncs;               /* journal_sync and journal_publish calls */
    int held;                /* journal_sync waits while set */
    int waiting;             /* calls that wait now */
    enum fault_how read_how; /* FAULT_EIO, or FAULT_SHORT: the object seems to end early */
    int read_fail_at;        /* the number of the reading call that fails, from 0; -1: none */
    int reads, read_hits;
    uint64_t pretend_free; /* what free_space says, unless 0 */
};

/* Takes over `inner`. */
struct fault *fault_new(const struct storage *inner);
/* The driver; closing it frees the fault. */
struct storage fault_storage(struct fault *fault);
void fault_hold(struct fault *fault);
void fault_release(struct fault *fault);
/* until a journal_sync waits */
void fault_await(struct fault *fault);

#endif
