/* The stat cache against a real repository: a process killed while it makes the cache current, and a cache
 * that knows of runs which the repository has lost. */
#include "local_site.h"
#include "rig.h"

#include "common/base/alloc.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <lmdb.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHILD_DIED = 40, CHILD_FINISHED, CHILD_FAILED };

/* The process ends before the commit that makes it zero. Negative: never. */
static int commits_left = -1;

int __real_mdb_txn_commit(MDB_txn *txn);
int __wrap_mdb_txn_commit(MDB_txn *txn);
int __wrap_mdb_txn_commit(MDB_txn *txn)
{
    if (commits_left == 0) _exit(CHILD_DIED);
    if (commits_left > 0) commits_left--;
    return __real_mdb_txn_commit(txn);
}

static void call(const char *program, const char *option, const char *one, const char *other)
{
    const char *const argv[] = {program, option, one, other, NULL};
    int status = -1;
    pid_t child;
    cr_assert_eq(posix_spawnp(&child, program, NULL, NULL, (char *const *)(uintptr_t)argv, environ), 0);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0, "%s", program);
}

struct scene {
    struct rig *rig;
    struct local_site *site;
};

static void scene_deinit(struct scene *scene)
{
    rig_free(scene->rig);
    local_site_free(scene->site);
}
DEFINE_AUTO_IN_PLACE(scene, struct scene, scene_deinit)

static struct scene scene_make(void)
{
    struct scene scene = {.rig = rig_make(), .site = local_site_make(REPOSITORY_ENCRYPTED)};
    rig_use_cache(scene.rig);
    return scene;
}

/* One backup into the repository. */
static bool back_up(struct scene *scene, uint8_t run)
{
    struct outlet outlet = local_site_begin(scene->site, run);
    scene->rig->sealing = keys_sealing(&scene->site->keys, outlet);
    scene->rig->point.bytes[0] = run;
    bool done = rig_try(scene->rig);
    local_site_end(scene->site);
    return done;
}

/* In a process of its own: a second backup is committed, and its renewal of the cache killed before the nth
 * transaction. */
static void renew_and_die(struct scene *scene, int nth)
{
    local_site_open(scene->site);
    rig_reopen_cache(scene->rig);
    scene->rig->killed_before_renewal = true;
    if (!back_up(scene, 2)) _exit(CHILD_FAILED);
    commits_left = nth;
    struct err err;
    bool renewed = backup_renew_cache(scene->rig->cache, &err);
    _exit(renewed ? CHILD_FINISHED : CHILD_FAILED);
}

static int killed_at(struct scene *scene, int nth)
{
    int status = 0;
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) renew_and_die(scene, nth);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    cr_assert(WIFEXITED(status), "%d", status);
    return WEXITSTATUS(status);
}

Test(cache_crash, killed_at_any_transaction_it_claims_nothing_that_the_repository_lacks, .timeout = 120)
{
    int code = CHILD_DIED;
    for (int nth = 0; code == CHILD_DIED; nth++) {
        AUTO(scene) struct scene scene = scene_make();
        tree_file(&scene.rig->tree, "early", 1, 5000);
        cr_assert(back_up(&scene, 1), "%s", scene.rig->err.text);
        tree_many(&scene.rig->tree, 4, 1300, 60); /* more than one transaction holds */
        tree_file(&scene.rig->tree, "early", 2, 6000);
        local_site_close(scene.site);
        rig_close_cache(scene.rig);
        code = killed_at(&scene, nth);
        cr_assert(code == CHILD_DIED || code == CHILD_FINISHED, "%d", code);
        if (code == CHILD_FINISHED) cr_assert_gt(nth, 2, "%d transactions", nth);
        local_site_open(scene.site);
        rig_reopen_cache(scene.rig);
        cr_assert(back_up(&scene, 3), "after %d: %s", nth, scene.rig->err.text);
    }
}

Test(cache_crash, ahead_of_the_repository_it_is_emptied_and_the_next_run_reads_all, .timeout = 120)
{
    AUTO(scene) struct scene scene = scene_make();
    struct rig *rig = scene.rig;
    tree_file(&rig->tree, "early", 1, 5000);
    cr_assert(back_up(&scene, 1), "%s", rig->err.text);
    local_site_close(scene.site);
    AUTO(free) char *old = xasprintf("%s.old", scene.site->dir);
    call("cp", "-a", scene.site->dir, old);
    local_site_open(scene.site);
    tree_many(&rig->tree, 3, 100, 3000);
    cr_assert(back_up(&scene, 2), "%s", rig->err.text);
    local_site_close(scene.site);
    call("rm", "-r", scene.site->dir, NULL);
    call("mv", "-T", old, scene.site->dir);
    local_site_open(scene.site);
    cr_assert_not(back_up(&scene, 3));
    cr_assert_eq(rig->err.code, ERR_NOT_FOUND, "%s", rig->err.text);
    cr_assert(back_up(&scene, 4), "%s", rig->err.text);
    cr_assert_eq(rig->result.read_bytes, rig->result.counts.content_bytes);
}
