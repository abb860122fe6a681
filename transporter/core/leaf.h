/* Leaves of a manifest: the entries themselves, with the path of each. Pure. */
#ifndef SEALIFT_TCORE_LEAF_H
#define SEALIFT_TCORE_LEAF_H

#include "transporter/core/entry.h"
#include "transporter/core/path.h"

/* {0} before its first use. The node must stay while the cursor is used. */
struct leaf_cursor {
    struct span path; /* of the current entry, without a leading '/'; good until the next call */
    struct reader reader;
    uint32_t left;
    unsigned first_depth; /* of the leaf's first entry; 0 once it was read */
    struct trail trail;
};
/* Starts with any leaf of a manifest. */
bool leaf_cursor_init(struct leaf_cursor *cursor, struct span node, struct err *err) MUST_CHECK;
/* Goes on with the leaf that follows the one just read: ERR_DAMAGED unless it starts in a directory that
 * stands open there, so that no entry is ever taken for a child of something that is no directory. */
bool leaf_cursor_continue(struct leaf_cursor *cursor, struct span node, struct err *err) MUST_CHECK;
void leaf_cursor_deinit(struct leaf_cursor *cursor);
DEFINE_AUTO_IN_PLACE(leaf_cursor, struct leaf_cursor, leaf_cursor_deinit)
/* *found = false at the end, where the leaf was seen to hold nothing else. Spans of `out` are borrowed
 * from the node. */
bool leaf_next(struct leaf_cursor *cursor, struct entry *out, bool *found, struct err *err) MUST_CHECK;

#endif
