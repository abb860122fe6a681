#include "rig.h"

#include "common/base/alloc.h"
#include "tests/support/fast_folder.h"
#include "tests/support/remove_tree.h"

#include <criterion/criterion.h>
#include <sched.h>
#include <string.h>
#include <time.h>

struct rig *rig_make(void)
{
    struct rig *rig = xcalloc(1, sizeof(*rig));
    rig->tree = tree_make();
    rig->keys = keys_make();
    rig->path = rig->tree.path;
    rig->threads = 2;
    fake_outlet_init(&rig->fake, SEAL_HERE);
    rig->sealing = keys_sealing(&rig->keys, fake_outlet_outlet(&rig->fake));
    return rig;
}

void rig_free(struct rig *rig)
{
    stat_cache_close(rig->cache);
    if (rig->cache_dir[0]) (void)remove_tree(rig->cache_dir);
    fake_outlet_deinit(&rig->fake);
    keys_drop(&rig->keys);
    tree_remove(&rig->tree);
    free(rig);
}

void rig_close_cache(struct rig *rig)
{
    stat_cache_close(rig->cache);
    rig->cache = NULL;
}

void rig_reopen_cache(struct rig *rig)
{
    static const struct hash binding = {{1}};
    enum cache_found found;
    rig_close_cache(rig);
    cr_assert(stat_cache_open(rig->cache_dir, &binding, &rig->cache, &found, &rig->err), "%s", rig->err.text);
}

void rig_use_cache(struct rig *rig)
{
    (void)snprintf(rig->cache_dir, sizeof(rig->cache_dir), "%s/sealift-cache-XXXXXX", fast_folder());
    cr_assert_not_null(mkdtemp(rig->cache_dir));
    rig_reopen_cache(rig);
}

void rig_lose_cache(struct rig *rig)
{
    cr_assert(stat_cache_reset(rig->cache, &rig->err), "%s", rig->err.text);
}

static void note_warning(void *arg, struct span path, const struct err *what)
{
    struct rig *rig = arg;
    rig->warning_count++;
    rig->warned = *what;
    size_t len = path.len < sizeof(rig->warned_path) ? path.len : sizeof(rig->warned_path) - 1;
    memcpy(rig->warned_path, path.data, len);
    rig->warned_path[len] = '\0';
}

static uint64_t in_an_hour(void)
{
    return ((uint64_t)time(NULL) + 3600) * 1000000000u;
}

static void prepare(struct rig *rig)
{
    rig->warning_count = 0;
    rig->err = (struct err){0};
    memset(&rig->progress, 0, sizeof(rig->progress));
    rig->options = (struct backup_options){
        .lost_links_most = rig->lost_links_most,
        .walk = {.paths = &rig->path, .path_count = 1, .now_ns = rig->all_young ? 0 : in_an_hour()},
        .host = "host",
        .place = rig->sealing.place,
        .writer = rig->sealing.writer,
        .run = rig->sealing.run,
        .half = rig->sealing.half,
        .cipher = rig->sealing.cipher,
        .padding = rig->sealing.padding,
        .compress = rig->sealing.compress,
        .threads = rig->threads,
        .cache = rig->cache,
        .outlet = rig->sealing.outlet,
        .identity = keys_identity(&rig->keys),
        .progress = &rig->progress,
        .warning = note_warning,
        .arg = rig,
        .cancelled = &rig->cancelled,
    };
    static const struct id none;
    if (!id_eq(&rig->point, &none)) rig->options.identity.point = rig->point;
}

static bool back_up(struct rig *rig)
{
    if (rig->image.path) return backup_image(&rig->options, &rig->image, &rig->result, &rig->err);
    if (rig->stream.name) return backup_stream(&rig->options, &rig->stream, &rig->result, &rig->err);
    return backup_tree(&rig->options, &rig->result, &rig->err);
}

static void *run_thread(void *arg)
{
    struct rig *rig = arg;
    rig->done =
        back_up(rig) && (rig->killed_before_renewal || backup_renew_cache(rig->options.cache, &rig->err));
    return NULL;
}

void rig_start(struct rig *rig)
{
    prepare(rig);
    cr_assert_eq(pthread_create(&rig->thread, NULL, run_thread, rig), 0);
}

bool rig_join(struct rig *rig)
{
    pthread_join(rig->thread, NULL);
    cr_assert_eq(rig->fake.invalid.code, ERR_NONE, "%s", rig->fake.invalid.text);
    return rig->done;
}

bool rig_try(struct rig *rig)
{
    rig_start(rig);
    return rig_join(rig);
}

void rig_run(struct rig *rig)
{
    cr_assert(rig_try(rig), "%s", rig->err.text);
}

void rig_await_entries(struct rig *rig, uint64_t count)
{
    while (rig->progress.entries < count)
        sched_yield();
}

const struct view_entry *rig_find(const struct rig *rig, const struct view *view, const char *path)
{
    return view_find(view, tree_name(&rig->tree, path));
}

void rig_assert_same(const struct rig *rig, const struct view *view, const char *path)
{
    const struct view_entry *entry = rig_find(rig, view, path);
    struct hash now = tree_hash(&rig->tree, path);
    cr_assert_not_null(entry, "%s", path);
    cr_assert(hash_eq(&entry->content, &now), "%s", path);
    cr_assert(hash_eq(&entry->file_hash, &now), "%s", path);
}
