#include "transporter/loop/attach.h"

#include "common/base/alloc.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

enum { RETRY_FIRST_S = 5, RETRY_LONGEST_S = 60 };

struct waiting {
    struct statement *repository;
    struct err failure; /* of the last try; code ERR_NONE: there was none */
    struct waiting *next;
};

struct attach {
    struct stores *stores;
    attach_fn *done;
    void *arg;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct waiting *first, **last; /* to be opened */
    struct waiting *failed;        /* to be tried again; the thread's own */
    time_t retry_s;                /* how long the thread waits before that */
    bool stopping;
};

static void waiting_free(struct waiting *waiting)
{
    if (!waiting) return;
    statement_free(waiting->repository);
    free(waiting);
}
DEFINE_AUTO(waiting, struct waiting *, waiting_free)

/* Under lock. False: the time is over. */
static bool wait_for_change(struct attach *attach)
{
    struct timespec until;
    if (!attach->failed) return pthread_cond_wait(&attach->changed, &attach->lock) == 0;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += attach->retry_s;
    return pthread_cond_timedwait(&attach->changed, &attach->lock, &until) == 0;
}

/* Those that failed follow those that came since. */
static void queue_failed(struct attach *attach)
{
    *attach->last = attach->failed;
    attach->failed = NULL;
    while (*attach->last)
        attach->last = &(*attach->last)->next;
    attach->retry_s = 2 * attach->retry_s < RETRY_LONGEST_S ? 2 * attach->retry_s : RETRY_LONGEST_S;
}

static struct waiting *next_waiting(struct attach *attach)
{
    (void)pthread_mutex_lock(&attach->lock);
    while (!attach->first && !attach->stopping)
        if (!wait_for_change(attach)) queue_failed(attach);
    struct waiting *waiting = attach->stopping ? NULL : attach->first;
    if (waiting) {
        attach->first = waiting->next;
        if (!attach->first) attach->last = &attach->first;
        waiting->next = NULL;
    }
    (void)pthread_mutex_unlock(&attach->lock);
    return waiting;
}

/* Of a repository only the newest statement is tried again. */
static void forget_failed(struct attach *attach, const struct id *repository)
{
    for (struct waiting **at = &attach->failed; *at;) {
        struct waiting *failed = *at;
        if (!id_eq(&failed->repository->id, repository)) {
            at = &failed->next;
            continue;
        }
        *at = failed->next;
        waiting_free(failed);
    }
}

static void try_again_later(struct attach *attach, struct waiting *waiting, const struct err *why)
{
    if (waiting->failure.code == ERR_NONE) attach->retry_s = RETRY_FIRST_S;
    waiting->failure = *why;
    waiting->next = attach->failed;
    attach->failed = waiting;
}

static void *attach_main(void *arg)
{
    struct attach *attach = arg;
    for (struct waiting *next; (next = next_waiting(attach));) {
        AUTO(waiting) struct waiting *waiting = next;
        struct err why = {0};
        forget_failed(attach, &waiting->repository->id);
        if (!stores_owns(attach->stores, waiting->repository)) {
            stores_retire(attach->stores, waiting->repository);
            continue;
        }
        bool ok = stores_attach(attach->stores, waiting->repository, &why);
        bool known = !ok && waiting->failure.code == why.code && strcmp(waiting->failure.text, why.text) == 0;
        if (!known) attach->done(attach->arg, waiting->repository, ok ? NULL : &why);
        if (ok) continue;
        try_again_later(attach, waiting, &why);
        waiting = NULL;
    }
    return NULL;
}

bool attach_start(struct stores *stores, attach_fn *done, void *arg, struct attach **out, struct err *err)
{
    struct attach *attach = xcalloc(1, sizeof(*attach));
    attach->stores = stores;
    attach->done = done;
    attach->arg = arg;
    attach->last = &attach->first;
    attach->retry_s = RETRY_FIRST_S;
    pthread_condattr_t steady;
    (void)pthread_condattr_init(&steady);
    (void)pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&attach->lock, NULL);
    (void)pthread_cond_init(&attach->changed, &steady);
    (void)pthread_condattr_destroy(&steady);
    if (pthread_create(&attach->thread, NULL, attach_main, attach) != 0) {
        free(attach);
        return err_set(err, ERR_FAILED, "cannot start a thread");
    }
    *out = attach;
    return true;
}

void attach_add(struct attach *attach, struct statement *repository)
{
    struct waiting *waiting = xcalloc(1, sizeof(*waiting));
    waiting->repository = repository;
    if (stores_owns(attach->stores, repository)) stores_expect(attach->stores, repository);
    (void)pthread_mutex_lock(&attach->lock);
    *attach->last = waiting;
    attach->last = &waiting->next;
    (void)pthread_cond_signal(&attach->changed);
    (void)pthread_mutex_unlock(&attach->lock);
}

void attach_stop(struct attach *attach)
{
    if (!attach) return;
    (void)pthread_mutex_lock(&attach->lock);
    attach->stopping = true;
    (void)pthread_cond_signal(&attach->changed);
    (void)pthread_mutex_unlock(&attach->lock);
    (void)pthread_join(attach->thread, NULL);
    queue_failed(attach);
    while (attach->first) {
        struct waiting *waiting = attach->first;
        attach->first = waiting->next;
        waiting_free(waiting);
    }
    (void)pthread_cond_destroy(&attach->changed);
    (void)pthread_mutex_destroy(&attach->lock);
    free(attach);
}
