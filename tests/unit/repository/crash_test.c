/* A process killed, a disk that fails and power that is cut, at every change to a file that a small run
 * makes: what was committed restores, what was acknowledged is there, and the same run goes through when it
 * is started again. */
#include "common/base/alloc.h"
#include "crash_plan.h"
#include "transporter/repository/care.h"
#include "transporter/repository/sweep.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>

enum { MOST_PLANS = 3 };

/* SEALIFT_LONG in the environment: every step everywhere. */
static int stride_of(int normally)
{
    return getenv("SEALIFT_LONG") ? 1 : normally;
}

/* What is done, again and again, until every step of it has been the last one. */
struct scene {
    const char *name;
    struct place *template; /* what is there before */
    struct place *place;
    struct plan *plans[MOST_PLANS];
    size_t count, done; /* the first `done` of them are committed in the template */
    bool creates;
    bool only_opens;
    bool sweeps; /* takes away the first point, whose chunks the second uses in part */
    int stride;  /* every how manieth step: 1 = all */
    int shift;   /* the first one */
};

struct parallel {
    const struct plan *plan;
    struct repository *repository;
    bool done;
};

static void *run_beside(void *arg)
{
    struct parallel *parallel = arg;
    struct err err;
    parallel->done = plan_run(parallel->plan, parallel->repository, &err);
    return NULL;
}

/* All at the same time, the last one in this thread. */
static bool run_plans(const struct scene *scene, struct repository *repository)
{
    pthread_t threads[MOST_PLANS];
    struct parallel runs[MOST_PLANS];
    bool done = true;
    for (size_t i = scene->done; i < scene->count; i++) {
        runs[i] = (struct parallel){.plan = scene->plans[i], .repository = repository};
        if (i + 1 == scene->count)
            (void)run_beside(&runs[i]);
        else if (pthread_create(&threads[i], NULL, run_beside, &runs[i]) != 0)
            return false;
    }
    for (size_t i = scene->done; i < scene->count; i++) {
        if (i + 1 < scene->count) (void)pthread_join(threads[i], NULL);
        done = done && runs[i].done;
    }
    return done;
}

static bool create(const struct place *place)
{
    struct err err;
    return place_create(place, REPOSITORY_ENCRYPTED, &err) || err.code == ERR_EXISTS;
}

/* By as many sweeps as it takes. */
static bool prune_and_sweep(struct repository *repository, struct err *err)
{
    struct prune_result pruned;
    struct sweep_result swept = {.outcome = SWEEP_WAITS};
    struct care_rule rule = {.job = "job", .retention.last = 1};
    if (!repository_prune(repository, &rule, PRUNE_REMOVE, NULL, NULL, &pruned, err)) return false;
    for (int i = 0; i < 3 && swept.outcome != SWEEP_CLEAN; i++)
        if (!repository_sweep(repository, &swept, err)) return false;
    return swept.outcome == SWEEP_CLEAN || err_set(err, ERR_FAILED, "sweeping comes to no end");
}

/* In the child: nothing is asserted. A run that fails is tried once more by the same process, as a daemon
 * would that goes on. */
static bool play(void *arg)
{
    struct scene *scene = arg;
    struct err err;
    AUTO(repository) struct repository *repository = NULL;
    if (scene->creates && !create(scene->place)) return false;
    if (!repository_try_open(scene->place, &repository, &err)) return false;
    if (scene->sweeps) return prune_and_sweep(repository, &err);
    return (scene->only_opens || run_plans(scene, repository) || run_plans(scene, repository));
}

/* --- one step --- */

static struct place *set_up(const struct scene *scene)
{
    struct place *place = place_empty();
    shell("cp -a '%s/.' '%s/'", scene->template->root, place->root);
    fault_disk_watch(place->root);
    return place;
}

enum index_after { INDEX_KEPT, INDEX_GONE };

static void sweep_can_be_finished(const struct scene *scene, struct place *rest, const char *what)
{
    struct err err = {0};
    place_open(rest);
    cr_assert(prune_and_sweep(rest->repository, &err), "%s: %s", what, err.text);
    place_close(rest);
    plans_hold(rest, scene->plans + 1, scene->count - 1, what);
}

static void holds_after_power_cut(const struct scene *scene, enum fault_remains which, uint32_t seed,
                                  enum index_after after, const char *what)
{
    AUTO(place) struct place *rest = place_empty();
    AUTO(free)
    char *text = xasprintf("%s, then power cut, %s kept%s", what, fault_remains_name(which),
                           after == INDEX_KEPT ? ", the index whole" : "");
    fault_disk_remains(which, seed, rest->root);
    if (after == INDEX_KEPT)
        shell("rm -rf '%s'; cp -a '%s' '%s'", rest->state, scene->place->state, rest->state);
    if (scene->creates) cr_assert(create(rest), "%s: create", text);
    size_t swept = scene->sweeps ? 1 : 0;
    plans_hold(rest, scene->plans + swept, scene->count - swept, text);
    if (scene->sweeps) sweep_can_be_finished(scene, rest, text);
}

static void model_is_right(const struct scene *scene, const char *what)
{
    AUTO(place) struct place *rest = place_empty();
    fault_disk_remains(FAULT_REMAINS_ALL, 0, rest->root);
    cr_assert(shell_works("diff -r -x '*mdb*' '%s' '%s'", scene->place->root, rest->root), "%s", what);
}

static void step_holds(struct scene *scene, enum fault_disk_how how, int at, const char *what)
{
    if (at % 16 == 0) model_is_right(scene, what);
    bool has_state = access(scene->place->state, F_OK) == 0;
    holds_after_power_cut(scene, FAULT_REMAINS_SYNCED, 0, has_state ? INDEX_KEPT : INDEX_GONE, what);
    enum fault_remains which = at % 2 ? FAULT_REMAINS_PREFIX : FAULT_REMAINS_SOME;
    holds_after_power_cut(scene, which, (uint32_t)at + 1, INDEX_GONE, what);
    /* the process is started again, and then the power is cut */
    struct fault_run again = fault_disk_run(FAULT_DISK_NONE, 0, play, scene);
    AUTO(free) char *text = xasprintf("%s, then run again", what);
    cr_assert(again.succeeded, "%s", text);
    holds_after_power_cut(scene, FAULT_REMAINS_SYNCED, 0, INDEX_GONE, text);
}

/* false: `at` lies behind the last step. */
static bool fail_at(struct scene *scene, enum fault_disk_how how, int at)
{
    AUTO(place) struct place *place = scene->place = set_up(scene);
    AUTO(free) char *what = xasprintf("%s: %s at step %d", scene->name, fault_disk_how_name(how), at);
    struct fault_run run = fault_disk_run(how, at, play, scene);
    if (run.hits == 0) {
        cr_assert(run.succeeded, "%s: nothing failed", what);
        cr_assert_gt(run.steps, 3, "%s: only %d steps were tried", what, run.steps);
        model_is_right(scene, what);
        return false;
    }
    if (how == FAULT_DISK_DIE || how == FAULT_DISK_DIE_READS) cr_assert(run.died, "%s", what);
    if (how == FAULT_DISK_SHORT || how == FAULT_DISK_READ_HALF) cr_assert(run.succeeded, "%s", what);
    step_holds(scene, how, at, what);
    return true;
}

static void play_all(struct scene *scene, enum fault_disk_how how)
{
    int at = scene->shift;
    while (fail_at(scene, how, at))
        at += scene->stride;
    cr_log_info("%s: %s at each of %d steps", scene->name, fault_disk_how_name(how), at);
}

/* --- the scenes --- */

static void scene_free(struct scene *scene)
{
    for (size_t i = 0; i < scene->count; i++)
        plan_free(scene->plans[i]);
    place_free(scene->template);
    free(scene);
}
DEFINE_AUTO(scene, struct scene *, scene_free)

static struct scene *scene_of(const char *name, enum ingest_kind kind, enum plan_size size, size_t done,
                              size_t count)
{
    struct err err;
    struct scene *scene = xcalloc(1, sizeof(*scene));
    scene->name = name;
    scene->done = done;
    scene->count = count;
    scene->stride = 1;
    for (unsigned i = 0; i < count; i++)
        scene->plans[i] = plan_new(i, kind, size, i > 0 && done > 0 ? scene->plans[0] : NULL);
    scene->template = place_new(REPOSITORY_ENCRYPTED);
    for (size_t i = 0; i < done; i++) {
        cr_assert(plan_run(scene->plans[i], scene->template->repository, &err), "%s", err.text);
        scene->plans[i]->committed = true;
    }
    place_close(scene->template);
    return scene;
}

/* The first `done` plans are run for the template. */
static struct scene *scene_new(const char *name, enum ingest_kind kind, size_t done, size_t count)
{
    return scene_of(name, kind, PLAN_SMALL, done, count);
}

/* --- killed --- */

Test(crash, killed_while_creating, .timeout = 300)
{
    AUTO(scene) struct scene *scene = scene_new("create", INGEST_WRITER, 0, 0);
    shell("rm -rf '%s' '%s'", scene->template->path, scene->template->state);
    scene->creates = true;
    play_all(scene, FAULT_DISK_DIE);
}

Test(crash, killed_in_the_first_backup, .timeout = 300)
{
    AUTO(scene) struct scene *scene = scene_new("first backup", INGEST_WRITER, 0, 1);
    play_all(scene, FAULT_DISK_DIE);
}

Test(crash, killed_in_a_backup_that_builds_on_another, .timeout = 300)
{
    AUTO(scene) struct scene *scene = scene_new("second backup", INGEST_WRITER, 1, 2);
    play_all(scene, FAULT_DISK_DIE);
}

Test(crash, killed_with_two_backups_at_the_same_time, .timeout = 300)
{
    AUTO(scene) struct scene *scene = scene_new("parallel backups", INGEST_WRITER, 1, 3);
    play_all(scene, FAULT_DISK_DIE);
}

Test(crash, killed_in_a_copy, .timeout = 300)
{
    AUTO(scene) struct scene *scene = scene_new("copy", INGEST_COPY, 0, 1);
    play_all(scene, FAULT_DISK_DIE);
}

/* What a run that was killed at this step left is the next template; false: no such step. */
static bool leave_killed(struct scene *scene, int at)
{
    struct plan *plan = scene->plans[0];
    struct fault_run run;
    {
        AUTO(place) struct place *place = scene->place = set_up(scene);
        run = fault_disk_run(FAULT_DISK_DIE, at, play, scene);
        shell("rm -rf '%s'; cp -a '%s' '%s'", scene->template->root, place->root, scene->template->root);
    }
    plan_remember(plan);
    return run.hits > 0;
}

/* At every `stride`th step of a backup, and then at every step of what opening the repository mends. */
static void stop_salvage(enum fault_disk_how how, int first, int stride)
{
    bool going = true;
    for (int at = first; going; at += stride) {
        AUTO(scene) struct scene *scene = scene_new("salvage", INGEST_WRITER, 0, 1);
        going = leave_killed(scene, at);
        AUTO(free) char *name = xasprintf("salvage after a kill at step %d", at);
        scene->name = name;
        scene->only_opens = true;
        if (going) play_all(scene, how);
    }
}

Test(crash, killed_while_mending_what_a_kill_left, .timeout = 1200)
{
    stop_salvage(FAULT_DISK_DIE, 4, stride_of(12));
}

Test(crash, killed_while_the_index_is_built_anew, .timeout = 300)
{
    AUTO(scene) struct scene *scene = scene_new("index", INGEST_WRITER, 2, 2);
    shell("rm -rf '%s'/index* '%s'/*mdb*", scene->template->state, scene->template->state);
    scene->only_opens = true;
    play_all(scene, FAULT_DISK_DIE_READS);
}

Test(crash, killed_in_a_prune_and_a_sweep, .timeout = 300)
{
    AUTO(scene) struct scene *scene = scene_new("sweep", INGEST_WRITER, 2, 2);
    scene->sweeps = true;
    scene->stride = stride_of(2);
    play_all(scene, FAULT_DISK_DIE);
}

/* --- a disk that fails --- */

/* Every second step in a backup that builds on another one, every third in a copy; each time other ones.
 * Fewer of those that are nearly always the same code. */
static void fail_disk(enum fault_disk_how how)
{
    AUTO(scene) struct scene *second = scene_new("second backup", INGEST_WRITER, 1, 2);
    bool short_read = how == FAULT_DISK_READ_HALF || how == FAULT_DISK_READ_END;
    second->stride = stride_of(how == FAULT_DISK_SYNC || how == FAULT_DISK_SYNC_DIE ? 1 : short_read ? 7 : 2);
    second->shift = (int)how % second->stride;
    play_all(second, how);
    AUTO(scene) struct scene *copy = scene_new("copy", INGEST_COPY, 0, 1);
    copy->stride = stride_of(short_read ? 7 : 3);
    copy->shift = (int)how % copy->stride;
    play_all(copy, how);
}

Test(crash, a_disk_that_fails_once, .timeout = 300)
{
    fail_disk(FAULT_DISK_EIO);
}

Test(crash, a_disk_that_fails_for_good, .timeout = 300)
{
    fail_disk(FAULT_DISK_EIO_STAYS);
}

Test(crash, a_full_disk, .timeout = 300)
{
    fail_disk(FAULT_DISK_ENOSPC);
}

Test(crash, writes_that_take_less_than_they_were_given, .timeout = 300)
{
    fail_disk(FAULT_DISK_SHORT);
}

Test(crash, a_sync_that_fails, .timeout = 300)
{
    fail_disk(FAULT_DISK_SYNC);
}

Test(crash, a_sync_that_fails_and_a_kill_before_that_is_known, .timeout = 300)
{
    fail_disk(FAULT_DISK_SYNC_DIE);
}

Test(crash, a_read_that_fails, .timeout = 300)
{
    fail_disk(FAULT_DISK_READ);
}

Test(crash, reads_that_give_less_than_they_were_asked_for, .timeout = 300)
{
    fail_disk(FAULT_DISK_READ_HALF);
}

Test(crash, files_that_seem_to_end_early, .timeout = 300)
{
    fail_disk(FAULT_DISK_READ_END);
}

/* Marking, moving and removing; each of the ways at other steps. */
static void fail_sweep(enum fault_disk_how how, int stride)
{
    AUTO(scene) struct scene *scene = scene_new("sweep", INGEST_WRITER, 2, 2);
    scene->sweeps = true;
    scene->stride = stride_of(stride);
    scene->shift = (int)how % scene->stride;
    play_all(scene, how);
}

Test(crash, a_read_that_fails_in_a_sweep, .timeout = 300)
{
    fail_sweep(FAULT_DISK_READ, 6);
    fail_sweep(FAULT_DISK_READ_HALF, 15);
    fail_sweep(FAULT_DISK_READ_END, 8);
}

Test(crash, a_full_or_failing_disk_in_a_sweep, .timeout = 300)
{
    fail_sweep(FAULT_DISK_ENOSPC, 6);
    fail_sweep(FAULT_DISK_EIO, 6);
    fail_sweep(FAULT_DISK_SHORT, 12);
}

Test(crash, a_sync_that_fails_in_a_sweep, .timeout = 300)
{
    AUTO(scene) struct scene *scene = scene_new("sweep", INGEST_WRITER, 2, 2);
    scene->sweeps = true;
    scene->stride = stride_of(2);
    play_all(scene, FAULT_DISK_SYNC);
    scene->shift = 1;
    play_all(scene, FAULT_DISK_SYNC_DIE);
}

Test(crash, a_sync_or_a_read_that_fails_while_mending_what_a_kill_left, .timeout = 1200)
{
    stop_salvage(FAULT_DISK_SYNC, 13, stride_of(18));
    stop_salvage(FAULT_DISK_READ, 17, stride_of(18));
}

/* --- runs that fill packs --- */

/* Of some hundred steps: more than thirty samples. */
enum { LARGE_STRIDE = 3 };

static void sample_large(enum ingest_kind kind, enum fault_disk_how how)
{
    if (!getenv("SEALIFT_LONG")) return;
    AUTO(scene) struct scene *scene = scene_of("large run", kind, PLAN_LARGE, 1, 2);
    scene->stride = LARGE_STRIDE;
    scene->shift = (int)how % LARGE_STRIDE;
    play_all(scene, how);
}

Test(crash_large, killed_in_a_backup, .timeout = 1200)
{
    sample_large(INGEST_WRITER, FAULT_DISK_DIE);
}

Test(crash_large, killed_in_a_copy, .timeout = 1200)
{
    sample_large(INGEST_COPY, FAULT_DISK_DIE);
}

Test(crash_large, a_full_disk, .timeout = 1200)
{
    sample_large(INGEST_WRITER, FAULT_DISK_ENOSPC);
}

Test(crash_large, a_sync_that_fails, .timeout = 1200)
{
    sample_large(INGEST_WRITER, FAULT_DISK_SYNC);
}

Test(crash_large, killed_in_a_prune_and_a_sweep, .timeout = 1200)
{
    if (!getenv("SEALIFT_LONG")) return;
    AUTO(scene) struct scene *scene = scene_of("large sweep", INGEST_WRITER, PLAN_LARGE, 2, 2);
    scene->sweeps = true;
    scene->stride = LARGE_STRIDE;
    play_all(scene, FAULT_DISK_DIE);
}
