/* How much of each bundle the last committed run still uses. Files of a bundle that is less than half alive
 * are stored anew: otherwise one file in it would keep all of it for ever, and a year in which one file in
 * a hundred changes each day would keep nearly three times what is referred to. Private to stat_cache*.c. */
#ifndef SEALIFT_SOURCE_CACHE_BUNDLES_H
#define SEALIFT_SOURCE_CACHE_BUNDLES_H

#include "transporter/source/cache_record.h"

#include <lmdb.h>

/* A bundle's key: of its chunk's content hash. Its value: bytes alive (4), in all (4), run that made it
 * last (4), 1 if its files were to be stored anew before (4). */
#define BUNDLE_KEY_LEN 16

/* What is to be stored anew by one run, at most: so many bundles. The others have their turn later. */
#define BUNDLES_SPARSE_MAX 65536u

struct bundle_change {
    uint8_t key[BUNDLE_KEY_LEN];
    int64_t alive; /* more, or less */
    uint32_t end;  /* a content was placed up to here, by this run; 0: none was */
};
/* {0} is empty */
struct bundle_changes {
    struct bundle_change *list;
    size_t count, cap;
};
void bundle_changes_deinit(struct bundle_changes *changes);
/* `ref` is encoded. A content in the bundle is in use from now on, or not any more. */
void bundle_changes_use(struct bundle_changes *changes, const uint8_t ref[REF_LEN], int sign);
void bundle_changes_place(struct bundle_changes *changes, const uint8_t ref[REF_LEN]);
/* By key, each once. */
void bundle_changes_sort(struct bundle_changes *changes);
bool bundle_change_apply(const struct bundle_change *change, MDB_txn *txn, MDB_dbi dbi, uint32_t run,
                         struct err *err) MUST_CHECK;

/* Looks at `most` bundles from the key *from on: appends the keys of the sparse ones to `sparse`, in order,
 * and deletes those that nothing uses. What was made by this very run is left alone for once, even if not
 * all of it is in use. *from as cache_db_page has it. */
bool cache_bundles_survey(MDB_txn *txn, MDB_dbi dbi, uint32_t run, struct buf *from, size_t most,
                          struct buf *sparse, struct err *err) MUST_CHECK;
/* Whether a bundle is among the keys, which are in order. */
bool cache_bundles_among(struct span sparse, const uint8_t *content_hash);

#endif
