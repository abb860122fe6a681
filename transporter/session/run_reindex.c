/* Builds the chunk index of a repository of ours anew, as an operator asks who does not trust it. It is a
 * cache of the packs: nothing can be lost by it, and nobody uses the repository meanwhile. No key. */
#include "common/base/text.h"
#include "transporter/repository/check.h"
#include "transporter/session/run_inside.h"

#include <inttypes.h>
#include <stdio.h>

static bool on_passed(void *arg, uint64_t done_bytes, uint64_t total_bytes)
{
    struct run *run = arg;
    atomic_store(&run->restore.content_bytes, done_bytes);
    atomic_store(&run->restore.total_bytes, total_bytes);
    return !atomic_load(&run->cancelled);
}

static void summarise(struct run *run, struct repository *repository)
{
    struct repository_info info;
    char size[16];
    repository_info(repository, &info);
    uint64_t packs = repository_pack_count(repository);
    size_format(info.pack_bytes, size);
    (void)snprintf(run->summary, sizeof(run->summary),
                   "indexed anew: %" PRIu64 " %s in %" PRIu64 " %s with %s, %" PRIu64 " %s", info.chunks,
                   plural(info.chunks, "chunk", "chunks"), packs, plural(packs, "pack", "packs"), size,
                   info.points, plural(info.points, "point", "points"));
}

bool run_reindex(struct run *run, struct err *err)
{
    const struct repository_progress progress = {.passed = on_passed, .arg = run};
    struct repository *repository = NULL;
    bool done = stores_reindex(run->environment.stores, run->repository, &progress, err);
    run->environment.hooks.changed(run->environment.hooks.arg);
    if (!done) {
        struct err cancelled;
        if (err->code == ERR_CANCELLED && !run_going_on(run, &cancelled)) *err = cancelled;
        return false;
    }
    if (!run_repository(run, run->repository, &repository, err)) return false;
    summarise(run, repository);
    return true;
}
