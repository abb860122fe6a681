/* A process killed, a disk that fails and power that is cut, at every change to a file that a small run
 * makes: what was committed restores, what was acknowledged is there, and the same run goes through when it
 * is started again. */
#include "crash_scene.h"

#include "common/base/alloc.h"

#include <criterion/criterion.h>

/* --- killed --- */

static struct scene *scene_of_creating(const char *name)
{
    struct scene *scene = scene_new(name, INGEST_WRITER, PLAN_SMALL, 0, 0);
    shell("rm -rf '%s' '%s'", scene->template->path, scene->template->state);
    scene->creates = true;
    return scene;
}

Test(crash, killed_while_creating, .timeout = 300)
{
    AUTO(scene) struct scene *scene = scene_of_creating("create");
    scene_play(scene, FAULT_DISK_DIE);
}

/* With the reserve that all but these tests go without. */
Test(crash, killed_or_failing_while_creating_with_a_reserve, .timeout = 300)
{
    for (enum fault_disk_how how = FAULT_DISK_DIE; how < FAULT_DISK_HOWS; how++) {
        AUTO(scene) struct scene *scene = scene_of_creating("create with a reserve");
        scene->template->whole = true;
        scene->stride = scene_stride(8);
        scene->shift = (int)how % scene->stride;
        scene_play(scene, how);
    }
}

Test(crash, killed_in_the_first_backup, .timeout = 300)
{
    AUTO(scene) struct scene *scene = scene_new("first backup", INGEST_WRITER, PLAN_SMALL, 0, 1);
    scene_play(scene, FAULT_DISK_DIE);
}

Test(crash, killed_in_a_backup_that_builds_on_another, .timeout = 300)
{
    AUTO(scene) struct scene *scene = scene_new("second backup", INGEST_WRITER, PLAN_SMALL, 1, 2);
    scene_play(scene, FAULT_DISK_DIE);
}

Test(crash, killed_with_two_backups_at_the_same_time, .timeout = 300)
{
    AUTO(scene) struct scene *scene = scene_new("parallel backups", INGEST_WRITER, PLAN_SMALL, 1, 3);
    scene_play(scene, FAULT_DISK_DIE);
}

Test(crash, killed_in_a_copy, .timeout = 300)
{
    AUTO(scene) struct scene *scene = scene_new("copy", INGEST_COPY, PLAN_SMALL, 0, 1);
    scene_play(scene, FAULT_DISK_DIE);
}

/* At every `stride`th step of a backup, and then at every step of what opening the repository mends. */
static void stop_salvage(enum fault_disk_how how, int first, int stride)
{
    bool going = true;
    for (int at = first; going; at += stride) {
        AUTO(scene) struct scene *scene = scene_new("salvage", INGEST_WRITER, PLAN_SMALL, 0, 1);
        going = scene_leave_killed(scene, at);
        AUTO(free) char *name = xasprintf("salvage after a kill at step %d", at);
        scene->name = name;
        scene->only_opens = true;
        if (how == FAULT_DISK_READ) scene->stride = scene_stride(3);
        if (going) scene_play(scene, how);
    }
}

Test(crash, killed_while_mending_what_a_kill_left, .timeout = 1200)
{
    stop_salvage(FAULT_DISK_DIE, 4, scene_stride(12));
}

static struct scene *scene_of_lost_index(void)
{
    struct scene *scene = scene_new("index", INGEST_WRITER, PLAN_SMALL, 2, 2);
    shell("rm -rf '%s'/index* '%s'/*mdb*", scene->template->state, scene->template->state);
    scene->only_opens = true;
    return scene;
}

Test(crash, killed_while_the_index_is_built_anew, .timeout = 300)
{
    AUTO(scene) struct scene *scene = scene_of_lost_index();
    scene_play(scene, FAULT_DISK_DIE_READS);
}

Test(crash, killed_in_a_prune_and_a_sweep, .timeout = 300)
{
    AUTO(scene) struct scene *scene = scene_new("sweep", INGEST_WRITER, PLAN_SMALL, 2, 2);
    scene->sweeps = true;
    scene->stride = scene_stride(2);
    scene_play(scene, FAULT_DISK_DIE);
}

/* --- a disk that fails --- */

/* In a backup that builds on another one, and in a copy. Not every step where there are many; each time other
 * ones. */
static void fail_disk(enum fault_disk_how how)
{
    bool any = how == FAULT_DISK_EIO || how == FAULT_DISK_EIO_STAYS;
    AUTO(scene) struct scene *second = scene_new("second backup", INGEST_WRITER, PLAN_SMALL, 1, 2);
    second->stride = scene_stride(how == FAULT_DISK_READ ? 4 : any ? 2 : 1);
    second->shift = (int)how % second->stride;
    scene_play(second, how);
    AUTO(scene) struct scene *copy = scene_new("copy", INGEST_COPY, PLAN_SMALL, 0, 1);
    copy->stride = scene_stride(how == FAULT_DISK_READ ? 6 : any ? 3 : 1);
    copy->shift = (int)how % copy->stride;
    scene_play(copy, how);
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
    AUTO(scene) struct scene *scene = scene_new("sweep", INGEST_WRITER, PLAN_SMALL, 2, 2);
    scene->sweeps = true;
    scene->stride = scene_stride(stride);
    scene->shift = (int)how % scene->stride;
    scene_play(scene, how);
}

Test(crash, a_read_that_fails_in_a_sweep, .timeout = 300)
{
    fail_sweep(FAULT_DISK_READ, 10);
    fail_sweep(FAULT_DISK_READ_HALF, 5);
    fail_sweep(FAULT_DISK_READ_END, 3);
}

Test(crash, a_full_or_failing_disk_in_a_sweep, .timeout = 300)
{
    fail_sweep(FAULT_DISK_ENOSPC, 3);
    fail_sweep(FAULT_DISK_EIO, 6);
    fail_sweep(FAULT_DISK_SHORT, 4);
}

Test(crash, a_sync_that_fails_in_a_sweep, .timeout = 300)
{
    fail_sweep(FAULT_DISK_SYNC, 1);
    fail_sweep(FAULT_DISK_SYNC_DIE, 1);
}

Test(crash, a_sync_or_a_read_that_fails_while_mending_what_a_kill_left, .timeout = 1200)
{
    stop_salvage(FAULT_DISK_SYNC, 13, scene_stride(18));
    stop_salvage(FAULT_DISK_READ, 17, scene_stride(18));
}

/* --- every step of every scene, in every way --- */

/* All but a kill, which has its own test above. */
static void play_failures(struct scene *scene)
{
    for (enum fault_disk_how how = FAULT_DISK_EIO; how < FAULT_DISK_HOWS; how++)
        scene_play(scene, how);
}

Test(crash_all, in_the_first_backup, .timeout = 1200)
{
    if (!scene_is_long()) return;
    AUTO(scene) struct scene *scene = scene_new("first backup", INGEST_WRITER, PLAN_SMALL, 0, 1);
    play_failures(scene);
}

Test(crash_all, with_two_backups_at_the_same_time, .timeout = 1200)
{
    if (!scene_is_long()) return;
    AUTO(scene) struct scene *scene = scene_new("parallel backups", INGEST_WRITER, PLAN_SMALL, 1, 3);
    play_failures(scene);
}

Test(crash_all, while_the_index_is_built_anew, .timeout = 1200)
{
    if (!scene_is_long()) return;
    AUTO(scene) struct scene *scene = scene_of_lost_index();
    play_failures(scene);
}

Test(crash_all, in_a_prune_and_a_sweep, .timeout = 1200)
{
    if (!scene_is_long()) return;
    AUTO(scene) struct scene *scene = scene_new("sweep", INGEST_WRITER, PLAN_SMALL, 2, 2);
    scene->sweeps = true;
    scene_play(scene, FAULT_DISK_EIO_STAYS);
    scene_play(scene, FAULT_DISK_DIE_READS);
}

Test(crash_all, while_mending_what_a_kill_left, .timeout = 1200)
{
    if (!scene_is_long()) return;
    stop_salvage(FAULT_DISK_EIO, 1, 3);
    stop_salvage(FAULT_DISK_ENOSPC, 2, 3);
    stop_salvage(FAULT_DISK_SHORT, 3, 3);
    stop_salvage(FAULT_DISK_SYNC_DIE, 2, 3);
}

/* --- runs that fill packs --- */

/* Of some hundred steps: more than thirty samples. */
enum { LARGE_STRIDE = 3 };

static void sample_large(enum ingest_kind kind, enum fault_disk_how how)
{
    if (!scene_is_long()) return;
    AUTO(scene) struct scene *scene = scene_new("large run", kind, PLAN_LARGE, 1, 2);
    scene->stride = LARGE_STRIDE;
    scene->shift = (int)how % LARGE_STRIDE;
    scene_play(scene, how);
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
    if (!scene_is_long()) return;
    AUTO(scene) struct scene *scene = scene_new("large sweep", INGEST_WRITER, PLAN_LARGE, 2, 2);
    scene->sweeps = true;
    scene->stride = LARGE_STRIDE;
    scene_play(scene, FAULT_DISK_DIE);
}
