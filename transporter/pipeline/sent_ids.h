/* The ids that this run has taken charge of, so that equal chunks of one run are stored once. A cache of
 * bounded size, not a record: an id may be forgotten, and its chunk is then asked for or stored again. Full
 * ids are compared, so a chunk is never left out by mistake. Any thread. */
#ifndef SEALIFT_PIPELINE_SENT_IDS_H
#define SEALIFT_PIPELINE_SENT_IDS_H

#include "common/base/auto.h"
#include "common/crypto/hash.h"

struct sent_ids;

enum { SENT_IDS_DEFAULT = 64 * 1024 }; /* 2 MiB: a run of 12 GB of small files, or 64 GB of large ones */

/* `capacity` is rounded up to a power of two. */
struct sent_ids *sent_ids_new(size_t capacity);
void sent_ids_free(struct sent_ids *sent);
DEFINE_AUTO(sent_ids, struct sent_ids *, sent_ids_free)

/* true for the first caller with this id (as far as remembered): the chunk is his to deliver. */
bool sent_ids_claim(struct sent_ids *sent, const struct hash *id) __attribute__((warn_unused_result));

#endif
