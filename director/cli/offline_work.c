#include "director/cli/offline_work.h"

#include "common/base/clock.h"
#include "director/cli/interrupt.h"

enum { SHOW_MS = 200 };

static void *work_main(void *arg)
{
    struct offline_work *work = arg;
    struct err err = {0};
    bool ok = work->run(work->arg, &err);
    (void)pthread_mutex_lock(&work->lock);
    work->ok = ok;
    work->err = err;
    work->over = true;
    (void)pthread_cond_signal(&work->changed);
    (void)pthread_mutex_unlock(&work->lock);
    return NULL;
}

/* Until it is over; under the lock. */
static void watch(struct offline_work *work)
{
    while (!work->over) {
        struct progress_sample sample = {0};
        clock_wait(&work->changed, &work->lock, clock_steady_ms() + SHOW_MS);
        if (interrupt_seen()) atomic_store(&work->cancelled, true);
        if (work->over || work->progress.form == PROGRESS_NONE) continue;
        work->sample(work->arg, &sample);
        progress_update(&work->progress, &sample, clock_steady_ms());
    }
    progress_clear(&work->progress);
}

static bool run_watched(struct offline_work *work, struct err *err)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, work_main, work) != 0)
        return err_set(err, ERR_FAILED, "cannot start a thread");
    (void)pthread_mutex_lock(&work->lock);
    watch(work);
    (void)pthread_mutex_unlock(&work->lock);
    (void)pthread_join(thread, NULL);
    if (!work->ok) *err = work->err;
    return work->ok;
}

bool offline_work_run(struct offline_work *work, bool *interrupted, struct err *err)
{
    *interrupted = false;
    if (work->interrupt == INTERRUPT_CANCELS && !interrupt_catch(err)) return false;
    (void)pthread_mutex_init(&work->lock, NULL);
    (void)pthread_cond_init(&work->changed, NULL);
    progress_init(&work->progress, progress_form_of(&work->cli->output), 0, clock_steady_ms());
    bool ok = run_watched(work, err);
    (void)pthread_cond_destroy(&work->changed);
    (void)pthread_mutex_destroy(&work->lock);
    if (work->interrupt == INTERRUPT_CANCELS) interrupt_release();
    if (ok || !atomic_load(&work->cancelled) || err->code != ERR_CANCELLED) return ok;
    *interrupted = true;
    work->cli->exit_code = EXIT_INTERRUPTED;
    return true;
}

void offline_work_warn(struct offline_work *work, struct span path, const struct err *what)
{
    (void)pthread_mutex_lock(&work->lock);
    progress_clear(&work->progress);
    output_warning(&work->cli->output, "/%.*s: %s", (int)path.len, (const char *)path.data, what->text);
    (void)pthread_mutex_unlock(&work->lock);
}
