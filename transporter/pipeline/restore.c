#include "transporter/pipeline/restore_run.h"

#include "common/base/alloc.h"
#include "common/base/clock.h"

#include <string.h>
#include <unistd.h>

enum {
    FRAMES_AHEAD_BYTES = 24 * 1024 * 1024,
    THREADS_MAX = 64,
    FETCHERS_MAX = 4,
    WINDOWS_MEMORY = 4 * RESTORE_WINDOW_MEMORY,
};

/* --- what the threads tell each other --- */

void restore_stop(struct restore_run *run, const struct err *err)
{
    const struct inlet *inlet = &run->options->inlet;
    (void)pthread_mutex_lock(&run->lock);
    if (run->fatal.code == ERR_NONE) run->fatal = *err;
    bool first = !atomic_exchange(&run->stopping, true);
    (void)pthread_cond_broadcast(&run->window_moved);
    (void)pthread_mutex_unlock(&run->lock);
    restore_queue_close(&run->frames);
    if (first && inlet->ops->cancel) inlet->ops->cancel(inlet->self);
}

bool restore_going_on(struct restore_run *run, struct err *err)
{
    if (run->options->cancelled && atomic_load(run->options->cancelled))
        return err_set(err, ERR_CANCELLED, "the restore was cancelled");
    if (!atomic_load(&run->stopping)) return true;
    (void)pthread_mutex_lock(&run->lock);
    *err = run->fatal;
    (void)pthread_mutex_unlock(&run->lock);
    return false;
}

void restore_warn(struct restore_run *run, struct span path, const struct err *what)
{
    atomic_fetch_add(&run->progress->warnings, 1);
    if (!run->options->warning) return;
    (void)pthread_mutex_lock(&run->lock);
    run->options->warning(run->options->arg, path, what);
    (void)pthread_mutex_unlock(&run->lock);
}

void restore_lost(struct restore_run *run, struct span path, const struct err *what)
{
    atomic_fetch_add(&run->failed, 1);
    (void)pthread_mutex_lock(&run->lock);
    if (run->damage.code == ERR_NONE) {
        run->damage = *what;
        (void)err_wrap(&run->damage, "'/%.*s'", (int)path.len, (const char *)path.data);
    }
    (void)pthread_mutex_unlock(&run->lock);
    restore_warn(run, path, what);
}

void restore_tell_losses(struct restore_run *run, struct span path, unsigned losses, const struct err *what)
{
    (void)pthread_mutex_lock(&run->lock);
    unsigned untold = losses & ~run->losses_told;
    run->losses_told |= losses;
    (void)pthread_mutex_unlock(&run->lock);
    struct err text = {0};
    if (untold & METADATA_OWNER_KEPT) {
        (void)err_set(&text, ERR_POLICY, "not running as root: files belong to whoever runs the restore");
        restore_warn(run, path, &text);
    }
    if (untold & METADATA_XATTR_LOST) restore_warn(run, path, what);
}

bool restore_hand_over(struct restore_run *run, struct restore_window *window, struct err *err)
{
    (void)pthread_mutex_lock(&run->lock);
    /* also when stopping: the fetching threads take every window, if only to let go of its files */
    while (run->window || (run->ahead > 0 && run->ahead + window->memory > WINDOWS_MEMORY))
        (void)pthread_cond_wait(&run->window_moved, &run->lock);
    run->window = window;
    run->ahead += window->memory;
    (void)pthread_cond_broadcast(&run->window_moved);
    (void)pthread_mutex_unlock(&run->lock);
    return restore_going_on(run, err);
}

void restore_window_done(struct restore_run *run, struct restore_window *window)
{
    if (atomic_fetch_sub(&window->users, 1) > 1) return;
    (void)pthread_mutex_lock(&run->lock);
    run->ahead -= window->memory;
    (void)pthread_cond_broadcast(&run->window_moved);
    (void)pthread_mutex_unlock(&run->lock);
    restore_window_free(window);
}

bool restore_ask_again(struct restore_run *run, struct restore_item *item, const struct err *why)
{
    if (item->skip + 1 >= INLET_PLACES || atomic_load(&run->stopping)) return false;
    if (item->why.code == ERR_NONE) item->why = *why;
    item->skip++;
    buf_deinit(&item->frame);
    (void)pthread_mutex_lock(&run->lock);
    item->next = run->again;
    run->again = item;
    (void)pthread_cond_broadcast(&run->window_moved);
    (void)pthread_mutex_unlock(&run->lock);
    return true;
}

/* --- the fetching threads --- */

struct fetch {
    struct restore_run *run;
    struct restore_window *window;
    uint8_t told[RESTORE_WINDOW_IDS]; /* ids that were answered */
};

static bool hand_on(struct fetch *fetch, const struct hash *id, struct span frame, const struct err *why,
                    struct err *err)
{
    uint32_t index = restore_window_find(fetch->window, id);
    if (index == UINT32_MAX || fetch->told[index])
        return err_set(err, ERR_PROTOCOL, "a chunk that was not asked for");
    struct restore_item *item = xcalloc(1, sizeof(*item));
    item->window = fetch->window;
    item->index = index;
    buf_put_span(&item->frame, frame);
    if (why && !opener_missing(why, &item->why)) buf_clear(&item->frame);
    fetch->told[index] = 1;
    atomic_fetch_add(&fetch->run->progress->fetched_bytes, frame.len);
    if (restore_queue_put(&fetch->run->frames, item)) return true;
    fetch->told[index] = 0;
    return restore_going_on(fetch->run, err) && err_set(err, ERR_CANCELLED, "the restore has stopped");
}

static bool on_envelope(void *arg, struct span envelope, struct err *err)
{
    struct fetch *fetch = arg;
    /* one bad envelope loses the files of its seal only; a key that does not fit the point has not opened the
     * root either */
    return opener_take_envelope(fetch->run->options->opener, envelope, err);
}

static bool on_frame(void *arg, const struct hash *id, struct span frame, struct err *err)
{
    return hand_on(arg, id, frame, NULL, err);
}

static bool on_missing(void *arg, const struct hash *id, const struct err *why, struct err *err)
{
    return hand_on(arg, id, span_of(NULL, 0), why, err);
}

/* Lets go of an id that no writer will see. */
static void abandon(struct restore_writer *writer, struct restore_window *window, uint32_t index)
{
    for (uint32_t at = window->first[index]; at; at = window->pieces[at - 1].next) {
        struct restore_file *file = window->pieces[at - 1].file;
        atomic_store(&file->failed, true);
        restore_file_done(writer, file);
    }
    restore_window_done(writer->run, window);
}

static void fetch_window(struct restore_run *run, struct restore_writer *writer,
                         struct restore_window *window)
{
    const struct inlet *inlet = &run->options->inlet;
    struct fetch *fetch = xcalloc(1, sizeof(*fetch));
    fetch->run = run;
    fetch->window = window;
    struct inlet_sink sink = {.envelope = on_envelope,
                              .frame = on_frame,
                              .missing = on_missing,
                              .arg = fetch,
                              .opener = fetch->run->options->opener};
    struct err err = {0};
    bool ok = restore_going_on(run, &err) &&
              inlet->ops->fetch(inlet->self, window->ids, window->id_count, &sink, &err);
    for (uint32_t i = 0; i < window->id_count; i++) {
        if (fetch->told[i]) continue;
        if (ok) ok = err_set(&err, ERR_DAMAGED, "the repository side told nothing about a chunk");
        abandon(writer, window, i);
    }
    if (!ok) restore_stop(run, &err);
    free(fetch);
    restore_window_done(run, window);
}

/* One chunk, of which a copy did not open. Writers must not ask themselves: who fetches may wait for them. */
struct again {
    struct restore_run *run;
    struct restore_item *item; /* NULL: it was told */
    struct hash id;
    bool handed_on;
};

static bool hand_back(struct again *again, const struct hash *id, struct span frame, struct err *err)
{
    struct restore_item *item = again->item;
    if (!item || !hash_eq(id, &again->id))
        return err_set(err, ERR_PROTOCOL, "a chunk that was not asked for");
    buf_put_span(&item->frame, frame);
    atomic_fetch_add(&again->run->progress->fetched_bytes, frame.len);
    again->item = NULL; /* the queue takes it or frees it */
    again->handed_on = restore_queue_put(&again->run->frames, item);
    if (again->handed_on) return true;
    return restore_going_on(again->run, err) && err_set(err, ERR_CANCELLED, "the restore has stopped");
}

static bool again_envelope(void *arg, struct span envelope, struct err *err)
{
    const struct again *again = arg;
    return opener_take_envelope(again->run->options->opener, envelope, err);
}

static bool again_frame(void *arg, const struct hash *id, struct span frame, struct err *err)
{
    return hand_back(arg, id, frame, err);
}

static bool again_missing(void *arg, const struct hash *id, const struct err *why, struct err *err)
{
    (void)why; /* what was wrong with the first copy says more */
    return hand_back(arg, id, span_of(NULL, 0), err);
}

static void fetch_again(struct restore_run *run, struct restore_writer *writer, struct restore_item *item)
{
    const struct inlet *inlet = &run->options->inlet;
    struct restore_window *window = item->window;
    uint32_t index = item->index;
    struct again again = {.run = run, .item = item, .id = window->ids[index]};
    struct inlet_sink sink = {.envelope = again_envelope,
                              .frame = again_frame,
                              .missing = again_missing,
                              .arg = &again,
                              .opener = run->options->opener,
                              .skip = item->skip};
    struct err err = {0};
    bool ok = restore_going_on(run, &err) && inlet->ops->fetch(inlet->self, &again.id, 1, &sink, &err);
    if (ok && again.item) ok = err_set(&err, ERR_DAMAGED, "the repository side told nothing about a chunk");
    if (!ok) restore_stop(run, &err);
    if (again.handed_on) return;
    abandon(writer, window, index);
    restore_item_free(again.item);
}

/* A window or a chunk to fetch; false at the end, when nobody is left who may ask for a chunk again. */
static bool next_work(struct restore_run *run, struct restore_window **window, struct restore_item **again)
{
    (void)pthread_mutex_lock(&run->lock);
    while (!run->window && !run->again && (!run->planned || run->ahead > 0))
        (void)pthread_cond_wait(&run->window_moved, &run->lock);
    *again = run->again;
    *window = NULL;
    if (*again) {
        run->again = (*again)->next;
    } else {
        *window = run->window;
        run->window = NULL;
    }
    (void)pthread_cond_broadcast(&run->window_moved);
    (void)pthread_mutex_unlock(&run->lock);
    return *again || *window;
}

static void fetch_over(struct restore_run *run)
{
    (void)pthread_mutex_lock(&run->lock);
    bool last = --run->fetching == 0;
    (void)pthread_mutex_unlock(&run->lock);
    if (last) restore_queue_close(&run->frames);
}

static void *fetch_main(void *arg)
{
    struct restore_run *run = arg;
    struct restore_writer writer = {.run = run};
    destination_cursor_init(&writer.cursor, run->destination);
    struct restore_window *window;
    struct restore_item *again;
    while (next_work(run, &window, &again)) {
        if (again)
            fetch_again(run, &writer, again);
        else
            fetch_window(run, &writer, window);
    }
    fetch_over(run);
    destination_cursor_deinit(&writer.cursor);
    return NULL;
}

/* --- cancelling --- */

enum { WATCH_MS = 50 };

/* Ends what the other threads are blocked in when the caller's flag is set. */
struct watch {
    struct restore_run *run;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool started, over;
};

static void *watch_main(void *arg)
{
    struct watch *watch = arg;
    struct err why = {0};
    (void)pthread_mutex_lock(&watch->lock);
    while (!watch->over && restore_going_on(watch->run, &why))
        clock_wait(&watch->changed, &watch->lock, clock_steady_ms() + WATCH_MS);
    bool over = watch->over;
    (void)pthread_mutex_unlock(&watch->lock);
    if (!over) restore_stop(watch->run, &why);
    return NULL;
}

static bool watch_start(struct watch *watch, struct restore_run *run, struct err *err)
{
    *watch = (struct watch){.run = run};
    if (!run->options->cancelled) return true;
    (void)pthread_mutex_init(&watch->lock, NULL);
    (void)pthread_cond_init(&watch->changed, NULL);
    watch->started = pthread_create(&watch->thread, NULL, watch_main, watch) == 0;
    return watch->started || err_set(err, ERR_FAILED, "cannot start a thread");
}

static void watch_end(struct watch *watch)
{
    if (!watch->run->options->cancelled) return;
    (void)pthread_mutex_lock(&watch->lock);
    watch->over = true;
    (void)pthread_cond_signal(&watch->changed);
    (void)pthread_mutex_unlock(&watch->lock);
    if (watch->started) (void)pthread_join(watch->thread, NULL);
    (void)pthread_cond_destroy(&watch->changed);
    (void)pthread_mutex_destroy(&watch->lock);
}

/* --- the whole --- */

static unsigned thread_count(const struct restore_options *options)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned count = options->threads ? options->threads : (unsigned)(cores > 0 ? cores : 1);
    return count > THREADS_MAX ? THREADS_MAX : count;
}

static unsigned fetcher_count(const struct inlet *inlet)
{
    if (inlet->fetches == 0) return 1;
    return inlet->fetches > FETCHERS_MAX ? FETCHERS_MAX : inlet->fetches;
}

/* How many of `count` threads could be started. */
static unsigned start(pthread_t *threads, unsigned count, void *(*body)(void *), struct restore_run *run)
{
    unsigned started = 0;
    while (started < count && pthread_create(&threads[started], NULL, body, run) == 0)
        started++;
    return started;
}

bool restore_run_threads(struct restore_run *run, restore_plan_fn *plan, void *arg, struct err *err)
{
    pthread_t fetchers[FETCHERS_MAX], writers[THREADS_MAX];
    /* none of them ends before the planning has */
    unsigned fetching = run->fetching = start(fetchers, fetcher_count(&run->options->inlet), fetch_main, run);
    if (fetching == 0) return err_set(err, ERR_FAILED, "cannot start a thread");
    unsigned writing = start(writers, thread_count(run->options), restore_writer_main, run);
    bool ok = writing > 0 || err_set(err, ERR_FAILED, "cannot start a thread");
    ok = ok && plan(arg, err);
    if (!ok) restore_stop(run, err);

    (void)pthread_mutex_lock(&run->lock);
    run->planned = true;
    (void)pthread_cond_broadcast(&run->window_moved);
    (void)pthread_mutex_unlock(&run->lock);
    for (unsigned i = 0; i < fetching; i++)
        (void)pthread_join(fetchers[i], NULL);
    for (unsigned i = 0; i < writing; i++)
        (void)pthread_join(writers[i], NULL);
    return restore_going_on(run, err) && ok; /* says what came first */
}

static void fill_result(const struct restore_run *run, struct restore_result *result)
{
    *result = (struct restore_result){
        .entries = atomic_load(&run->progress->entries),
        .files = atomic_load(&run->progress->files),
        .content_bytes = atomic_load(&run->progress->content_bytes),
        .warnings = atomic_load(&run->progress->warnings),
        .skipped = atomic_load(&run->skipped),
        .failed = atomic_load(&run->failed),
    };
}

bool restore_run_with(const struct restore_options *options, restore_body_fn *body, void *arg,
                      struct restore_result *result, struct err *err)
{
    struct restore_run run = {.options = options};
    run.progress = options->progress ? options->progress : &run.own_progress;
    (void)pthread_mutex_init(&run.lock, NULL);
    (void)pthread_cond_init(&run.window_moved, NULL);
    restore_queue_init(&run.frames, FRAMES_AHEAD_BYTES);

    struct watch watch;
    bool ok = watch_start(&watch, &run, err) && body(&run, arg, err);
    watch_end(&watch);
    fill_result(&run, result);
    uint64_t failed = atomic_load(&run.failed);
    if (ok && failed > 0) {
        *err = run.damage;
        ok = err_wrap(err, "%llu could not be restored, the first of them", (unsigned long long)failed);
    }
    restore_queue_deinit(&run.frames);
    (void)pthread_cond_destroy(&run.window_moved);
    (void)pthread_mutex_destroy(&run.lock);
    return ok;
}

/* --- file trees --- */

static bool plan_tree(void *plan, struct err *err)
{
    return restore_plan_all(plan, err);
}

struct opened {
    struct destination *destination;
    bool fresh;
};

/* What is done once all files are written, while the disk takes the last of them. */
static bool finish_tree(struct restore_run *run, struct restore_plan *plan, struct err *err)
{
    restore_flush_rest(&run->flush);
    return restore_plan_finish(plan, err);
}

static bool restore_files(struct restore_run *run, void *arg, struct err *err)
{
    const struct opened *opened = arg;
    run->destination = opened->destination;
    run->fresh = opened->fresh;
    AUTO(restore_plan) struct restore_plan *plan = NULL;
    if (!restore_plan_new(run, &plan, err)) return false;
    bool ok = restore_flush_start(&run->flush, run, err) && restore_run_threads(run, plan_tree, plan, err) &&
              finish_tree(run, plan, err);
    restore_flush_end(&run->flush);
    return ok && restore_going_on(run, err) && destination_sync(run->destination, err);
}

bool restore_tree(const struct restore_options *options, struct restore_result *result, struct err *err)
{
    AUTO(destination) struct destination *destination = NULL;
    struct opened opened;
    if (!destination_open(options->destination_root, options->destination, &destination, &opened.fresh, err))
        return false;
    opened.destination = destination;
    return restore_run_with(options, restore_files, &opened, result, err);
}
