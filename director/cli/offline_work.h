/* Long work of an offline verb: it runs in a thread of its own while the main thread shows how far it is and,
 * if the work can be stopped half way, listens for Ctrl-C (which else ends the process). */
#ifndef SEALIFT_CLI_OFFLINE_WORK_H
#define SEALIFT_CLI_OFFLINE_WORK_H

#include "director/cli/cli.h"
#include "director/cli/progress.h"

#include <pthread.h>
#include <stdatomic.h>

enum offline_interrupt { INTERRUPT_ENDS, INTERRUPT_CANCELS };

struct offline_work {
    struct cli *cli;
    /* The work itself, in its own thread. */
    bool (*run)(void *arg, struct err *err);
    /* How far it is; main thread. */
    void (*sample)(void *arg, struct progress_sample *out);
    void *arg;
    enum offline_interrupt interrupt;
    _Atomic bool cancelled; /* set by Ctrl-C: the work ends with ERR_CANCELLED soon after */

    /* private */
    pthread_mutex_t lock; /* stderr: progress and warnings */
    pthread_cond_t changed;
    struct progress progress;
    bool over, ok;
    struct err err;
};

/* Returns what `run` returned. When it was interrupted: true, *interrupted, and the exit code is 130. */
bool offline_work_run(struct offline_work *work, bool *interrupted, struct err *err) MUST_CHECK;
/* A warning about a path, from the work's threads. */
void offline_work_warn(struct offline_work *work, struct span path, const struct err *what);

#endif
