/* What a disk holds after a power cut, by the trace of what was done to it and what of that was synced. */
#include "common/base/alloc.h"
#include "common/base/bytes.h"
#include "fault_trace.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum fate { PENDING, DURABLE, LOST };

struct remains {
    enum fault_remains which;
    uint64_t random;
    enum fate *fate; /* of each step */
    bool *kept;
    char **path; /* of each node where it was put first */
};

const char *fault_remains_name(enum fault_remains which)
{
    static const char *const names[FAULT_REMAINS_COUNT] = {
        [FAULT_REMAINS_ALL] = "all",
        [FAULT_REMAINS_SYNCED] = "only what was synced",
        [FAULT_REMAINS_PREFIX] = "a part of what was not synced",
        [FAULT_REMAINS_SOME] = "some of what was not synced",
    };
    return names[which];
}

static uint32_t draw(struct remains *remains, uint32_t below)
{
    remains->random = remains->random * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (uint32_t)(remains->random >> 33) % below;
}

/* The file or directory whose sync makes the step durable. */
static int subject(const struct trace_step *step)
{
    return step->kind == TRACE_ENTRY ? step->dir : step->node;
}

static void settle(struct remains *remains, int upto, const struct trace_step *sync)
{
    bool failed = sync->kind == TRACE_SYNC_FAILED;
    /* names are in the file system's own journal: they can still come through */
    if (failed && fault_trace->node[sync->node].is_dir) return;
    for (int i = 0; i < upto; i++)
        if (remains->fate[i] == PENDING && subject(&fault_trace->step[i]) == sync->node)
            remains->fate[i] = failed ? LOST : DURABLE;
}

static void decide_fates(struct remains *remains)
{
    for (int i = 0; i < fault_trace->count; i++) {
        const struct trace_step *step = &fault_trace->step[i];
        if (i < fault_trace->base)
            remains->fate[i] = DURABLE;
        else if (step->kind == TRACE_SYNC || step->kind == TRACE_SYNC_FAILED)
            settle(remains, i, step);
    }
}

/* Of the pending steps of one file or directory, the first few. */
static void keep_prefix(struct remains *remains, int node)
{
    uint32_t pending = 0;
    for (int i = 0; i < fault_trace->count; i++)
        if (remains->fate[i] == PENDING && subject(&fault_trace->step[i]) == node) pending++;
    uint32_t keep = draw(remains, pending + 1);
    for (int i = 0; i < fault_trace->count && keep > 0; i++)
        if (remains->fate[i] == PENDING && subject(&fault_trace->step[i]) == node) {
            remains->kept[i] = true;
            keep--;
        }
}

static void decide_kept(struct remains *remains)
{
    for (int i = 0; i < fault_trace->count; i++) {
        bool all = remains->which == FAULT_REMAINS_ALL;
        bool some = remains->which == FAULT_REMAINS_SOME && remains->fate[i] == PENDING;
        remains->kept[i] = all || remains->fate[i] == DURABLE || (some && draw(remains, 2) == 0);
    }
    if (remains->which != FAULT_REMAINS_PREFIX) return;
    for (int node = 0; node < fault_trace->nodes; node++)
        keep_prefix(remains, node);
}

/* --- building it --- */

/* Half of the last unsynced write may be there. */
static size_t kept_len(struct remains *remains, int at, const struct trace_step *step)
{
    if (remains->which != FAULT_REMAINS_PREFIX || remains->fate[at] != PENDING || step->len == 0)
        return step->len;
    for (int i = at + 1; i < fault_trace->count; i++)
        if (remains->kept[i] && fault_trace->step[i].kind == TRACE_WRITE &&
            fault_trace->step[i].node == step->node)
            return step->len;
    return draw(remains, 2) ? step->len : draw(remains, (uint32_t)step->len);
}

static void build_file(struct remains *remains, int node, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    cr_assert_geq(fd, 0, "%s", path);
    for (int i = 0; i < fault_trace->count; i++) {
        const struct trace_step *step = &fault_trace->step[i];
        if (!remains->kept[i] || step->node != node) continue;
        if (step->kind == TRACE_TRUNCATE) cr_assert_eq(ftruncate(fd, (off_t)step->offset), 0);
        if (step->kind != TRACE_WRITE) continue;
        size_t len = kept_len(remains, i, step);
        cr_assert_eq(pwrite(fd, fault_trace->bytes + step->data, len, (off_t)step->offset), (ssize_t)len);
    }
    (void)close(fd);
}

/* Whether a later kept step says something else of the name. */
static bool is_superseded(const struct remains *remains, int at)
{
    const struct trace_step *step = &fault_trace->step[at];
    for (int i = at + 1; i < fault_trace->count; i++) {
        const struct trace_step *later = &fault_trace->step[i];
        if (remains->kept[i] && later->kind == TRACE_ENTRY && later->dir == step->dir &&
            strcmp(later->name, step->name) == 0)
            return true;
    }
    return false;
}

static void build_dir(struct remains *remains, int node, const char *path);

static void build_entry(struct remains *remains, const struct trace_step *step, const char *dir)
{
    AUTO(free) char *path = xasprintf("%s/%s", dir, step->name);
    if (fault_trace->node[step->node].is_dir) {
        cr_assert_eq(mkdir(path, 0700), 0);
        build_dir(remains, step->node, path);
    } else if (remains->path[step->node]) {
        cr_assert_eq(link(remains->path[step->node], path), 0);
    } else {
        build_file(remains, step->node, path);
        remains->path[step->node] = path;
        path = NULL;
    }
}

static void build_dir(struct remains *remains, int node, const char *path)
{
    for (int i = 0; i < fault_trace->count; i++) {
        const struct trace_step *step = &fault_trace->step[i];
        if (remains->kept[i] && step->kind == TRACE_ENTRY && step->dir == node && step->node >= 0 &&
            !is_superseded(remains, i))
            build_entry(remains, step, path);
    }
}

void fault_disk_remains(enum fault_remains which, uint32_t seed, const char *into)
{
    struct remains remains = {.which = which, .random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1};
    remains.fate = xcalloc((size_t)fault_trace->count + 1, sizeof(*remains.fate));
    remains.kept = xcalloc((size_t)fault_trace->count + 1, sizeof(*remains.kept));
    remains.path = xcalloc((size_t)fault_trace->nodes + 1, sizeof(*remains.path));
    decide_fates(&remains);
    decide_kept(&remains);
    build_dir(&remains, 0, into);
    for (int i = 0; i < fault_trace->nodes; i++)
        free(remains.path[i]);
    free(remains.path);
    free(remains.kept);
    free(remains.fate);
}
