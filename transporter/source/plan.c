#include "transporter/source/plan.h"

#include "common/base/alloc.h"
#include "transporter/core/path.h"

#include <string.h>

bool plan_normalize(const char *path, struct buf *out, struct err *err)
{
    if (path[0] != '/') return err_set(err, ERR_USAGE, "'%s' is not an absolute path", path);
    AUTO(buf) struct buf normal = {0};
    for (const char *at = path; *at;) {
        size_t len = strcspn(at, "/");
        if (len > 0) {
            if (normal.len > 0) buf_put_u8(&normal, '/');
            buf_put(&normal, at, len);
        }
        at += len + (at[len] == '/');
    }
    if (normal.len > 0 && !path_valid(buf_span(&normal)))
        return err_set(err, ERR_USAGE, "'%s' has a component '.' or '..', or is too long", path);
    buf_clear(out);
    buf_put_span(out, buf_span(&normal));
    return true;
}

static void plan_deinit(struct plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        plan_deinit(&plan->children[i]);
        free((void *)(uintptr_t)plan->children[i].name.data);
    }
    free(plan->children);
}

void plan_free(struct plan *plan)
{
    if (!plan) return;
    plan_deinit(plan);
    free(plan);
}

/* Where the name is among the children, or would be. */
static size_t position(const struct plan *plan, struct span name, bool *found)
{
    size_t low = 0, high = plan->count;
    *found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = span_cmp(name, plan->children[middle].name);
        if (order == 0) *found = true;
        if (order <= 0)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

const struct plan *plan_find(const struct plan *plan, struct span name)
{
    if (!plan) return NULL;
    bool found;
    size_t at = position(plan, name, &found);
    return found ? &plan->children[at] : NULL;
}

static struct plan *child_of(struct plan *plan, struct span name)
{
    bool found;
    size_t at = position(plan, name, &found);
    if (found) return &plan->children[at];
    uint8_t *copy = xmalloc(name.len);
    memcpy(copy, name.data, name.len);
    plan->children = xreallocarray(plan->children, plan->count + 1, sizeof(*plan->children));
    memmove(&plan->children[at + 1], &plan->children[at], (plan->count - at) * sizeof(*plan->children));
    plan->children[at] = (struct plan){.name = span_of(copy, name.len)};
    plan->count++;
    return &plan->children[at];
}

static void choose(struct plan *plan, struct span path)
{
    while (path.len > 0) {
        const uint8_t *slash = memchr(path.data, '/', path.len);
        size_t len = slash ? (size_t)(slash - path.data) : path.len;
        plan = child_of(plan, span_of(path.data, len));
        path = slash ? span_of(slash + 1, path.len - len - 1) : span_of(NULL, 0);
    }
    plan->chosen = true;
}

bool plan_new(const char *const *paths, size_t count, struct plan **out, struct err *err)
{
    AUTO(plan) struct plan *plan = xcalloc(1, sizeof(*plan));
    AUTO(buf) struct buf normal = {0};
    if (count == 0) return err_set(err, ERR_USAGE, "no path to back up");
    for (size_t i = 0; i < count; i++) {
        if (!plan_normalize(paths[i], &normal, err)) return false;
        choose(plan, buf_span(&normal));
    }
    *out = plan;
    plan = NULL;
    return true;
}
