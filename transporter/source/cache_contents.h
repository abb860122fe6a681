/* Where small contents lie, and how many records use each. A content is told only while a record of the
 * last committed run uses it, or that run itself staged it: so what is told is in the last point, and
 * never something that has been pruned since. Private to stat_cache*.c. */
#ifndef SEALIFT_SOURCE_CACHE_CONTENTS_H
#define SEALIFT_SOURCE_CACHE_CONTENTS_H

#include "transporter/source/cache_bundles.h"

#include <lmdb.h>

/* A content's value: uses (4), run that staged it last (4), encoded reference. False: not to be told. */
bool cache_content_read(struct span value, uint32_t last_run, struct ref *out);

/* Changes are gathered and made in the order of the hashes, which a tree of pages likes far better than
 * that of the files. */
#define CONTENT_CHANGES_MAX 131072u

struct content_change {
    struct hash hash;
    int32_t uses; /* more, or less */
    bool placed;  /* at `ref`, by this run */
    uint8_t ref[REF_LEN];
};
/* {0} is empty */
struct content_changes {
    struct content_change *list;
    size_t count, cap;
};
void content_changes_deinit(struct content_changes *changes);
/* `hash` and `ref` have their lengths. */
void content_changes_place(struct content_changes *changes, struct span hash, struct span ref);
/* A part of a record takes the place of another; either may be empty. */
void content_changes_replace(struct content_changes *changes, struct span old_part, struct span new_part);
/* By hash, each once. */
void content_changes_sort(struct content_changes *changes);
/* Tells `bundles` what it means for them. */
bool content_change_apply(const struct content_change *change, MDB_txn *txn, MDB_dbi dbi, uint32_t run,
                          struct bundle_changes *bundles, struct err *err) MUST_CHECK;

/* Looks at `most` contents from the key *from on, and deletes those that nothing uses and that an earlier
 * run staged. *from as cache_db_page has it. */
bool cache_contents_sweep(MDB_txn *txn, MDB_dbi dbi, uint32_t run, struct buf *from, size_t most,
                          struct err *err) MUST_CHECK;

#endif
