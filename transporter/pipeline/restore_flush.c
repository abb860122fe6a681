#include "transporter/pipeline/restore_flush.h"

#include "transporter/pipeline/image_target.h"
#include "transporter/pipeline/restore_run.h"

static bool next_due(struct restore_flush *flush)
{
    (void)pthread_mutex_lock(&flush->lock);
    while (!flush->due && !flush->over)
        (void)pthread_cond_wait(&flush->changed, &flush->lock);
    bool over = flush->over;
    flush->due = false;
    flush->begun = atomic_load(&flush->written);
    (void)pthread_mutex_unlock(&flush->lock);
    return !over;
}

static bool sync_written(struct restore_run *run, struct err *err)
{
    return run->image ? image_target_sync(run->image, err) : destination_sync(run->destination, err);
}

static void *flush_main(void *arg)
{
    struct restore_flush *flush = arg;
    while (next_due(flush)) {
        struct err err = {0};
        if (!sync_written(flush->run, &err)) restore_stop(flush->run, &err);
    }
    return NULL;
}

bool restore_flush_start(struct restore_flush *flush, struct restore_run *run, struct err *err)
{
    *flush = (struct restore_flush){.run = run};
    (void)pthread_mutex_init(&flush->lock, NULL);
    (void)pthread_cond_init(&flush->changed, NULL);
    flush->started = pthread_create(&flush->thread, NULL, flush_main, flush) == 0;
    return flush->started || err_set(err, ERR_FAILED, "cannot start a thread");
}

void restore_flush_note(struct restore_flush *flush, size_t bytes)
{
    uint64_t before = atomic_fetch_add(&flush->written, bytes);
    if (before / RESTORE_FLUSH_BYTES == (before + bytes) / RESTORE_FLUSH_BYTES) return;
    (void)pthread_mutex_lock(&flush->lock);
    flush->due = true;
    (void)pthread_cond_signal(&flush->changed);
    (void)pthread_mutex_unlock(&flush->lock);
}

void restore_flush_rest(struct restore_flush *flush)
{
    (void)pthread_mutex_lock(&flush->lock);
    if (atomic_load(&flush->written) - flush->begun >= RESTORE_FLUSH_REST_BYTES) flush->due = true;
    (void)pthread_cond_signal(&flush->changed);
    (void)pthread_mutex_unlock(&flush->lock);
}

void restore_flush_end(struct restore_flush *flush)
{
    (void)pthread_mutex_lock(&flush->lock);
    flush->over = true;
    (void)pthread_cond_signal(&flush->changed);
    (void)pthread_mutex_unlock(&flush->lock);
    if (flush->started) (void)pthread_join(flush->thread, NULL);
    (void)pthread_cond_destroy(&flush->changed);
    (void)pthread_mutex_destroy(&flush->lock);
}
