/* Inner nodes of a manifest: which child holds the entries from which path on. Pure. */
#ifndef SEALIFT_TCORE_TREE_H
#define SEALIFT_TCORE_TREE_H

#include "common/base/bytes.h"
#include "common/base/err.h"
#include "common/crypto/hash.h"

#define TREE_CHILD_FIXED_LEN 50
#define TREE_CHILDREN_MAX 1024u

struct tree_child {
    struct hash content;
    uint64_t entries;       /* below it */
    uint64_t content_bytes; /* below it */
    struct span first_path;
};
/* `first_path` is at most PATH_LEN_MAX */
void tree_child_encode(const struct tree_child *child, struct buf *out);

/* The node must stay while the cursor is used. A value: copy it to come back to a place. */
struct tree_cursor {
    struct reader reader;
    uint32_t left;
    unsigned level; /* of the node; the children's is one less, 0 being leaves */
    struct span last_path;
};
bool tree_cursor_init(struct tree_cursor *cursor, struct span node, struct err *err) MUST_CHECK;
/* *found = false at the end, where the node was seen to hold nothing else. Checks that first paths
 * rise and that no child is empty. */
bool tree_next(struct tree_cursor *cursor, struct tree_child *out, bool *found, struct err *err) MUST_CHECK;

#endif
