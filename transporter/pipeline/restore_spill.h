/* What a restore does last: directory metadata (deepest first) and hard links, kept in an unlinked
 * temporary file, because there may be millions. Private to the restore. One thread. */
#ifndef SEALIFT_PIPELINE_RESTORE_SPILL_H
#define SEALIFT_PIPELINE_RESTORE_SPILL_H

#include "transporter/pipeline/destination.h"

struct restore_spill;

bool restore_spill_new(struct restore_spill **out, struct err *err) MUST_CHECK;
void restore_spill_free(struct restore_spill *spill);
DEFINE_AUTO(restore_spill, struct restore_spill *, restore_spill_free)

/* Which inode a directory is: somebody may give its name to another one meanwhile. Of a link: zeros. */
struct spilled_inode {
    uint64_t device, inode;
};
bool restore_spill_put(struct restore_spill *spill, struct span path, const struct entry *entry,
                       const struct spilled_inode *own, struct err *err) MUST_CHECK;

struct spilled {
    struct span path, target; /* `target` is that of a hard link */
    struct inode_metadata metadata;
    struct spilled_inode own;
};
/* Spans are good during the call. */
typedef bool restore_spill_fn(void *arg, const struct spilled *spilled, struct err *err);
/* Tells all records, the last one first. */
bool restore_spill_each_backward(struct restore_spill *spill, restore_spill_fn *each, void *arg,
                                 struct err *err) MUST_CHECK;

#endif
