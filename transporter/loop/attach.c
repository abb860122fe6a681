#include "transporter/loop/attach.h"

#include "common/base/alloc.h"

#include <pthread.h>

struct waiting {
    struct statement *repository;
    struct waiting *next;
};

struct attach {
    struct stores *stores;
    attach_fn *done;
    void *arg;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct waiting *first, **last;
    bool stopping;
};

static struct statement *next_statement(struct attach *attach)
{
    (void)pthread_mutex_lock(&attach->lock);
    while (!attach->first && !attach->stopping)
        (void)pthread_cond_wait(&attach->changed, &attach->lock);
    struct waiting *waiting = attach->stopping ? NULL : attach->first;
    struct statement *repository = NULL;
    if (waiting) {
        attach->first = waiting->next;
        if (!attach->first) attach->last = &attach->first;
        repository = waiting->repository;
        free(waiting);
    }
    (void)pthread_mutex_unlock(&attach->lock);
    return repository;
}

static void *attach_main(void *arg)
{
    struct attach *attach = arg;
    for (struct statement *repository; (repository = next_statement(attach));) {
        struct err why = {0};
        bool ok = stores_attach(attach->stores, repository, &why);
        attach->done(attach->arg, repository, ok ? NULL : &why);
        statement_free(repository);
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
    (void)pthread_mutex_init(&attach->lock, NULL);
    (void)pthread_cond_init(&attach->changed, NULL);
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
    while (attach->first) {
        struct waiting *waiting = attach->first;
        attach->first = waiting->next;
        statement_free(waiting->repository);
        free(waiting);
    }
    (void)pthread_cond_destroy(&attach->changed);
    (void)pthread_mutex_destroy(&attach->lock);
    free(attach);
}
