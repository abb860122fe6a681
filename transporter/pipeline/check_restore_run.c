#include "transporter/pipeline/check_restore_run.h"

#include "common/base/alloc.h"
#include "common/base/secret.h"

#include <string.h>

enum { FETCHERS_MAX = 4 };

/* Everything, with the first such error. */
static void stop_all(struct checking *checking, const struct err *why)
{
    (void)pthread_mutex_lock(&checking->lock);
    if (checking->fatal.code == ERR_NONE) checking->fatal = *why;
    checking->over = true;
    (void)pthread_cond_broadcast(&checking->changed);
    (void)pthread_mutex_unlock(&checking->lock);
}

/* --- fetching --- */

static bool slot_of(const struct window *window, const struct hash *id, uint32_t *out, struct err *err)
{
    for (size_t i = 0; i < window->fetch_count; i++) {
        *out = window->fetches[i];
        if (hash_eq(&window->checking->slots[*out].id, id)) return true;
    }
    return err_set(err, ERR_PROTOCOL, "a chunk that was not asked for");
}

static bool on_envelope(void *arg, struct span envelope, struct err *err)
{
    const struct window *window = arg;
    return opener_take_envelope(window->checking->opener, envelope, err);
}

static bool on_frame(void *arg, const struct hash *id, struct span frame, struct err *err)
{
    struct window *window = arg;
    uint32_t slot = 0;
    if (!slot_of(window, id, &slot, err)) return false;
    pace_wait(window->checking->sink->pace, frame.len);
    open_pool_put(window->checking->pool, &window->opening, slot, id, frame);
    return true;
}

static bool on_missing(void *arg, const struct hash *id, const struct err *why, struct err *err)
{
    struct window *window = arg;
    uint32_t slot = 0;
    if (!slot_of(window, id, &slot, err)) return false;
    (void)!opener_missing(why, &window->checking->slots[slot].why);
    return true;
}

static void on_opened(struct open_batch *opening, size_t number, struct span frame, struct buf *plain,
                      const struct err *why)
{
    (void)frame;
    struct window *window = opening->owner;
    struct slot *slot = &window->checking->slots[number];
    slot->here = !why;
    slot->bad = why;
    if (why) {
        slot->why = *why;
        return;
    }
    struct buf old = slot->plain;
    slot->plain = *plain;
    *plain = old;
}

/* What a restore does, too: it is damage only if no copy opens. */
static bool fetch_other_copies(struct window *window, struct opener_thread *thread, struct err *err)
{
    struct checking *checking = window->checking;
    for (size_t i = 0; i < window->fetch_count; i++) {
        struct slot *slot = &checking->slots[window->fetches[i]];
        if (slot->bad &&
            !opener_other_copy(thread, checking->inlet, &slot->id, &slot->plain, &slot->here, err))
            return false;
    }
    return true;
}

static bool fetch(struct window *window, struct opener_thread *thread, struct err *err)
{
    struct checking *checking = window->checking;
    struct hash ids[FETCH_MAX];
    for (size_t i = 0; i < window->fetch_count; i++)
        ids[i] = checking->slots[window->fetches[i]].id;
    const struct inlet_sink sink = {.envelope = on_envelope,
                                    .frame = on_frame,
                                    .missing = on_missing,
                                    .arg = window,
                                    .opener = window->checking->opener};
    window->opening = (struct open_batch){.owner = window};
    if (window->fetch_count == 0) return true;
    bool ok = checking->inlet->ops->fetch(checking->inlet->self, ids, window->fetch_count, &sink, err);
    open_pool_wait(checking->pool, &window->opening);
    return ok && fetch_other_copies(window, thread, err);
}

static struct window *take(struct checking *checking)
{
    (void)pthread_mutex_lock(&checking->lock);
    while (checking->taken == checking->planned && !checking->complete && !checking->over)
        (void)pthread_cond_wait(&checking->changed, &checking->lock);
    bool some = checking->taken < checking->planned && !checking->over;
    struct window *window = some ? &checking->windows[checking->taken++ % WINDOWS] : NULL;
    (void)pthread_mutex_unlock(&checking->lock);
    return window;
}

static void *fetch_main(void *arg)
{
    struct checking *checking = arg;
    AUTO(opener_thread) struct opener_thread *thread = NULL;
    struct err err = {0};
    if (!opener_thread_new(checking->opener, &thread, &err)) {
        stop_all(checking, &err);
        return NULL;
    }
    for (struct window *window; (window = take(checking));) {
        if (!fetch(window, thread, &err)) {
            stop_all(checking, &err);
            continue;
        }
        (void)pthread_mutex_lock(&checking->lock);
        window->ready = true;
        (void)pthread_cond_broadcast(&checking->changed);
        (void)pthread_mutex_unlock(&checking->lock);
    }
    return NULL;
}

/* --- playing --- */

/* The next one in order; NULL at the end. */
static struct window *await_ready(struct checking *checking)
{
    struct window *window = &checking->windows[checking->played % WINDOWS];
    (void)pthread_mutex_lock(&checking->lock);
    while (!(checking->played < checking->planned && window->ready) && !checking->over &&
           !(checking->complete && checking->played == checking->planned))
        (void)pthread_cond_wait(&checking->changed, &checking->lock);
    bool some = checking->played < checking->planned && window->ready && !checking->over;
    (void)pthread_mutex_unlock(&checking->lock);
    return some ? window : NULL;
}

static void clear(struct window *window)
{
    for (size_t i = 0; i < window->step_count; i++)
        free(window->steps[i].why);
    window->step_count = 0;
    window->fetch_count = 0;
    buf_clear(&window->paths);
    memset(window->uses, 0, sizeof(window->uses));
    window->ready = false;
}

static void let_go(struct checking *checking, struct window *window)
{
    (void)pthread_mutex_lock(&checking->lock);
    for (size_t i = 0; i < SLOTS; i++)
        checking->slots[i].users -= window->uses[i];
    clear(window);
    checking->played++;
    (void)pthread_cond_broadcast(&checking->changed);
    (void)pthread_mutex_unlock(&checking->lock);
}

static void *play_main(void *arg)
{
    struct checking *checking = arg;
    struct err err = {0};
    for (struct window *window; (window = await_ready(checking));) {
        if (!check_restore_play(checking, window, &err)) stop_all(checking, &err);
        let_go(checking, window);
    }
    return NULL;
}

/* --- for the planner --- */

struct window *check_restore_window(struct checking *checking)
{
    return &checking->windows[checking->planned % WINDOWS];
}

static bool going_on(struct checking *checking, struct err *err)
{
    if (!checking->over) return true;
    *err = checking->fatal;
    return false;
}

bool check_restore_hand_over(struct checking *checking, struct err *err)
{
    (void)pthread_mutex_lock(&checking->lock);
    checking->planned++;
    (void)pthread_cond_broadcast(&checking->changed);
    while (checking->planned - checking->played == WINDOWS && !checking->over)
        (void)pthread_cond_wait(&checking->changed, &checking->lock);
    bool ok = going_on(checking, err);
    (void)pthread_mutex_unlock(&checking->lock);
    return ok;
}

/* Under the lock: where the chunk is, or else where it can go; NULL: all places are in use. */
static struct slot *find_slot(struct checking *checking, const struct hash *id)
{
    struct slot *oldest = NULL;
    for (size_t i = 0; i < SLOTS; i++) {
        struct slot *slot = &checking->slots[i];
        if (slot->taken && hash_eq(&slot->id, id)) return slot;
        if (slot->users == 0 && (!oldest || slot->used < oldest->used)) oldest = slot;
    }
    return oldest;
}

static bool holds(const struct slot *slot, const struct hash *id)
{
    return slot->taken && hash_eq(&slot->id, id);
}

/* Under the lock. */
static void use_slot(struct checking *checking, struct window *window, uint32_t number, const struct hash *id)
{
    struct slot *slot = &checking->slots[number];
    if (!holds(slot, id)) {
        window->fetches[window->fetch_count++] = number;
        slot->taken = true;
        slot->id = *id;
        slot->here = slot->bad = false;
        slot->why = (struct err){0};
    }
    slot->used = checking->planned + 1;
    if (!window->uses[number]) slot->users++;
    window->uses[number] = true;
}

bool check_restore_slot(struct checking *checking, const struct hash *id, uint32_t *out, struct err *err)
{
    for (;;) {
        struct window *window = check_restore_window(checking);
        (void)pthread_mutex_lock(&checking->lock);
        struct slot *slot = find_slot(checking, id);
        while (!slot && window->step_count == 0 && !checking->over) {
            (void)pthread_cond_wait(&checking->changed, &checking->lock);
            slot = find_slot(checking, id);
        }
        bool ok = going_on(checking, err);
        bool fits = ok && slot && (holds(slot, id) || window->fetch_count < FETCH_MAX);
        if (fits) {
            *out = (uint32_t)(slot - checking->slots);
            use_slot(checking, window, *out, id);
        }
        (void)pthread_mutex_unlock(&checking->lock);
        if (!ok || fits) return ok;
        if (!check_restore_hand_over(checking, err)) return false;
    }
}

/* --- all of them --- */

static unsigned fetcher_count(const struct inlet *inlet)
{
    if (inlet->fetches == 0) return 1;
    return inlet->fetches > FETCHERS_MAX ? FETCHERS_MAX : inlet->fetches;
}

static void finish(struct checking *checking)
{
    (void)pthread_mutex_lock(&checking->lock);
    checking->complete = true;
    (void)pthread_cond_broadcast(&checking->changed);
    (void)pthread_mutex_unlock(&checking->lock);
}

static void prepare(struct checking *checking)
{
    (void)pthread_mutex_init(&checking->lock, NULL);
    (void)pthread_cond_init(&checking->changed, NULL);
    for (size_t i = 0; i < WINDOWS; i++) {
        checking->windows[i].checking = checking;
        checking->windows[i].steps = xcalloc(STEPS_MAX, sizeof(struct step));
    }
}

static void let_go_of_all(struct checking *checking)
{
    for (size_t i = 0; i < WINDOWS; i++) {
        clear(&checking->windows[i]);
        free(checking->windows[i].steps);
        buf_deinit(&checking->windows[i].paths);
    }
    for (size_t i = 0; i < SLOTS; i++) {
        wipe(checking->slots[i].plain.data, checking->slots[i].plain.cap);
        buf_deinit(&checking->slots[i].plain);
    }
    buf_deinit(&checking->path);
    (void)pthread_cond_destroy(&checking->changed);
    (void)pthread_mutex_destroy(&checking->lock);
}

static bool run_threads(struct checking *checking, check_restore_plan_fn *plan, void *arg, struct err *err)
{
    pthread_t player, fetchers[FETCHERS_MAX];
    unsigned started = 0, wanted = fetcher_count(checking->inlet);
    int failed = pthread_create(&player, NULL, play_main, checking);
    if (failed) return err_sys(err, failed, "cannot start a thread");
    while (started < wanted && pthread_create(&fetchers[started], NULL, fetch_main, checking) == 0)
        started++;
    bool ok = started > 0 || err_set(err, ERR_FAILED, "cannot start a thread");
    ok = ok && plan(arg, err) &&
         (check_restore_window(checking)->step_count == 0 || check_restore_hand_over(checking, err));
    if (!ok) stop_all(checking, err);
    finish(checking);
    for (unsigned i = 0; i < started; i++)
        (void)pthread_join(fetchers[i], NULL);
    (void)pthread_join(player, NULL);
    return going_on(checking, err);
}

bool check_restore_threads(struct checking *checking, check_restore_plan_fn *plan, void *arg, struct err *err)
{
    AUTO(open_pool) struct open_pool *pool = NULL;
    if (!open_pool_new(checking->opener, 0, on_opened, &pool, err)) return false;
    checking->pool = pool;
    prepare(checking);
    bool ok = run_threads(checking, plan, arg, err);
    let_go_of_all(checking);
    return ok;
}
