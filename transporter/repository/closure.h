/* Whether everything that a point reaches is in the repository: the clear lists of its nodes, walked
 * from the root, without any key. Subtrees that were whole at an earlier commit are not walked again. */
#ifndef SEALIFT_REPOSITORY_CLOSURE_H
#define SEALIFT_REPOSITORY_CLOSURE_H

#include "transporter/repository/id_set.h"
#include "transporter/repository/inside.h"

#include <stdatomic.h>

#define CLOSURE_MAX_MISSING 4096
#define CLOSURE_MAX_JOURNALS 64
/* Half a gigabyte of memory. The nodes of four thousand million files, or of an image of 160 TB in chunks of
 * 64 KiB, are no more; who makes them as small as they can be has many for little. */
#define CLOSURE_MAX_NODES ((size_t)1 << 23)

struct closure {
    const _Atomic bool *cancelled; /* the caller's; or NULL */
    size_t most_nodes;             /* the caller's; 0: CLOSURE_MAX_NODES */
    struct hash *nodes;            /* reached and not known as whole before, in the order met */
    size_t node_count, node_cap;
    struct id_set met;
    struct buf missing; /* struct hash each, at most CLOSURE_MAX_MISSING */
    struct id_set missing_met;
    /* journals of live sessions that the point relies on: they must be published first */
    uint32_t journals[CLOSURE_MAX_JOURNALS];
    size_t journal_count;
};
void closure_deinit(struct closure *closure);
DEFINE_AUTO_IN_PLACE(closure, struct closure, closure_deinit)

/* Walks; `closure` must be zero but for what is the caller's; `use` is INDEX_FOR_KEEPING or INDEX_FOR_PINNED.
 * Success with missing.len == 0 and journal_count == 0 means whole. ERR_CANCELLED; ERR_LIMIT: too many nodes
 * that are there and were not known as whole. */
bool closure_walk(struct repository *repository, const struct hash *root, uint32_t domain, enum index_use use,
                  struct closure *closure, struct err *err) MUST_CHECK;

#endif
