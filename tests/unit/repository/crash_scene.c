#include "crash_scene.h"

#include "common/base/alloc.h"
#include "transporter/repository/care.h"
#include "transporter/repository/sweep.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool scene_is_long(void)
{
    return getenv("SEALIFT_LONG") != NULL;
}

int scene_stride(int normally)
{
    return scene_is_long() ? 1 : normally;
}

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
    pthread_t threads[SCENE_MOST_PLANS];
    struct parallel runs[SCENE_MOST_PLANS];
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

/* An empty one that will have a reserve if the scene's has one. */
static struct place *another_place(const struct scene *scene)
{
    struct place *place = place_empty();
    place->whole = scene->template->whole;
    return place;
}

static struct place *set_up(const struct scene *scene)
{
    struct place *place = another_place(scene);
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
    AUTO(place) struct place *rest = another_place(scene);
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
        cr_assert_gt(run.steps, 1, "%s: only %d steps were tried", what, run.steps);
        model_is_right(scene, what);
        return false;
    }
    if (how == FAULT_DISK_DIE || how == FAULT_DISK_DIE_READS) cr_assert(run.died, "%s", what);
    if (how == FAULT_DISK_SHORT || how == FAULT_DISK_READ_HALF) cr_assert(run.succeeded, "%s", what);
    step_holds(scene, how, at, what);
    return true;
}

void scene_play(struct scene *scene, enum fault_disk_how how)
{
    int at = scene->shift;
    while (fail_at(scene, how, at))
        at += scene->stride;
    cr_log_info("%s: %s at each of %d steps", scene->name, fault_disk_how_name(how), at);
}

/* --- the scenes --- */

void scene_free(struct scene *scene)
{
    for (size_t i = 0; i < scene->count; i++)
        plan_free(scene->plans[i]);
    place_free(scene->template);
    free(scene);
}

struct scene *scene_new(const char *name, enum ingest_kind kind, enum plan_size size, size_t done,
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

bool scene_leave_killed(struct scene *scene, int at)
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
