/* Sends to the disk what a restore has written while it goes on writing: one sync in the end that found
 * all of it waiting would take longer than the restore. Private to the restore. */
#ifndef SEALIFT_PIPELINE_RESTORE_FLUSH_H
#define SEALIFT_PIPELINE_RESTORE_FLUSH_H

#include "common/base/err.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RESTORE_FLUSH_BYTES (256u * 1024 * 1024)     /* written between two syncs, if the disk keeps up */
#define RESTORE_FLUSH_REST_BYTES (16u * 1024 * 1024) /* less is left to the sync in the end */

struct restore_run;

struct restore_flush {
    struct restore_run *run;
    pthread_t thread;
    pthread_mutex_t lock; /* due, over, begun */
    pthread_cond_t changed;
    bool due, over, started;
    uint64_t begun; /* written when the last sync began */
    _Atomic uint64_t written;
};

/* An error of the disk stops the run: the kernel tells it once, so the sync in the end would not see it. */
bool restore_flush_start(struct restore_flush *flush, struct restore_run *run, struct err *err) MUST_CHECK;
/* So many bytes more were written. Any thread; never waits for the disk. */
void restore_flush_note(struct restore_flush *flush, size_t bytes);
/* Everything is written, but not all is done: has the rest go to the disk meanwhile, if it is worth it. */
void restore_flush_rest(struct restore_flush *flush);
/* Waits for the sync under way. What was written since is not on the disk yet. */
void restore_flush_end(struct restore_flush *flush);

#endif
