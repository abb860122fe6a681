/* Whether everything that a point reaches is in the repository: the clear lists of its nodes, walked
 * from the root, without any key. Subtrees that were whole at an earlier commit are not walked again. */
#ifndef SEALIFT_REPOSITORY_CLOSURE_H
#define SEALIFT_REPOSITORY_CLOSURE_H

#include "transporter/repository/id_set.h"
#include "transporter/repository/inside.h"

#define CLOSURE_MAX_MISSING 4096
#define CLOSURE_MAX_JOURNALS 64

struct closure {
    struct hash *nodes; /* reached and not known as whole before, in the order met */
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

/* Walks; `closure` must be {0}; `use` is INDEX_FOR_KEEPING or INDEX_FOR_PINNED. Success with missing.len == 0
 * and journal_count == 0 means whole. */
bool closure_walk(struct repository *repository, const struct hash *root, uint32_t domain, enum index_use use,
                  struct closure *closure, struct err *err) MUST_CHECK;

#endif
