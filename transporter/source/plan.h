/* The chosen paths of a walk as a tree of names: which directories lead to them. Read-only once made. */
#ifndef SEALIFT_SOURCE_PLAN_H
#define SEALIFT_SOURCE_PLAN_H

#include "common/base/bytes.h"
#include "common/base/err.h"

/* A directory that is chosen or leads to a chosen path. Children stand in bytewise order. */
struct plan {
    struct span name;
    bool chosen;
    struct plan *children;
    size_t count;
};

/* Paths are absolute; '/' that repeat or end them do not matter. ERR_USAGE for one that is not absolute, has
 * a component
 * "." or "..", or is too long. */
bool plan_new(const char *const *paths, size_t count, struct plan **out, struct err *err) MUST_CHECK;
void plan_free(struct plan *plan);
DEFINE_AUTO(plan, struct plan *, plan_free)
/* NULL if there is none; `plan` may be NULL */
const struct plan *plan_find(const struct plan *plan, struct span name);

/* An absolute path without its leading, repeated and trailing '/'. The same errors. */
bool plan_normalize(const char *path, struct buf *out, struct err *err) MUST_CHECK;

#endif
