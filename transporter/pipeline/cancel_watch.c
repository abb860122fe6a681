#include "transporter/pipeline/cancel_watch.h"

#include "common/base/alloc.h"
#include "common/base/clock.h"

enum { POLL_MS = 50 };

struct cancel_watch {
    struct attempt *attempt;
    const _Atomic bool *flag;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool over;
};

static void *watch_flag(void *arg)
{
    struct cancel_watch *watch = arg;
    pthread_mutex_lock(&watch->lock);
    while (!watch->over && !*watch->flag)
        clock_wait(&watch->changed, &watch->lock, clock_steady_ms() + POLL_MS);
    bool cancelled = !watch->over;
    pthread_mutex_unlock(&watch->lock);
    struct err why = {0};
    if (cancelled && !err_set(&why, ERR_CANCELLED, "cancelled")) attempt_fail(watch->attempt, &why);
    return NULL;
}

bool cancel_watch_new(struct attempt *attempt, const _Atomic bool *flag, struct cancel_watch **out,
                      struct err *err)
{
    *out = NULL;
    if (!flag) return true;
    struct cancel_watch *watch = xcalloc(1, sizeof(*watch));
    watch->attempt = attempt;
    watch->flag = flag;
    pthread_mutex_init(&watch->lock, NULL);
    pthread_cond_init(&watch->changed, NULL);
    int failed = pthread_create(&watch->thread, NULL, watch_flag, watch);
    if (failed) {
        pthread_cond_destroy(&watch->changed);
        pthread_mutex_destroy(&watch->lock);
        free(watch);
        return err_sys(err, failed, "cannot start a thread");
    }
    *out = watch;
    return true;
}

void cancel_watch_free(struct cancel_watch *watch)
{
    if (!watch) return;
    pthread_mutex_lock(&watch->lock);
    watch->over = true;
    pthread_cond_signal(&watch->changed);
    pthread_mutex_unlock(&watch->lock);
    (void)pthread_join(watch->thread, NULL);
    pthread_cond_destroy(&watch->changed);
    pthread_mutex_destroy(&watch->lock);
    free(watch);
}
