/* Where a backup's chunks go: a repository in this process, or a session with a remote target. The
 * pipeline knows only these functions. ask and send may be called from several threads; the rest from
 * the thread that runs the backup. */
#ifndef SEALIFT_PIPELINE_OUTLET_H
#define SEALIFT_PIPELINE_OUTLET_H

#include "common/base/bytes.h"
#include "common/base/err.h"
#include "common/crypto/hash.h"
#include "common/crypto/seal_list.h"
#include "transporter/core/node.h"

/* Who seals. SEAL_HERE also covers plaintext repositories (cipher none: frames are made here). With
 * SEAL_THERE the outlet takes raw batches (raw_batch.h) and asks by content hash. */
enum seal_place { SEAL_HERE, SEAL_THERE };

struct point_counts {
    uint64_t entries, files, directories, content_bytes, warnings;
};

struct commit_request {
    struct id point;
    struct hash root;       /* SEAL_HERE: chunk id of the root node; SEAL_THERE: its H */
    struct span point_file; /* SEAL_HERE: the finished PointFile; SEAL_THERE: empty, the target makes it */
    struct point_counts counts;
    uint64_t started_ns;
    enum object_kind object; /* SEAL_THERE; 0: a tree */
    bool crash_consistent;   /* SEAL_THERE; as struct point_draft has it */
};

struct commit_receipt {
    uint64_t number; /* of the log entry */
    struct hash log_hash;
    uint64_t time_ns;
    uint64_t stored_bytes; /* new bytes in the repository */
};

struct outlet_ops {
    /* have[i] = 1 when the target has it (ids, or content hashes with SEAL_THERE; types tell node from data)
     */
    bool (*ask)(void *self, const enum frame_type *types, const struct hash *ids, size_t count, uint8_t *have,
                struct err *err);
    /* Once, before the first send (so not at all when nothing is sent); not called with cipher none or
     * SEAL_THERE. */
    bool (*envelope)(void *self, struct span envelope, struct err *err);
    /* Takes the bytes (the buffer is left empty, perhaps with other memory to be filled). Numbers come in
     * order from 1. Blocks while the credit is used up. Success means accepted, not durable: the bytes
     * are kept until acknowledged. */
    bool (*send)(void *self, uint64_t number, struct buf *batch, struct err *err);
    /* Waits until everything sent is durable, then commits. ERR_NOT_FOUND with `missing` (struct hash
     * each) when the target lacks references. */
    bool (*commit)(void *self, const struct commit_request *request, struct commit_receipt *receipt,
                   struct buf *missing, struct err *err);
    /* Copies only, else NULL: an order to protect, as it lies in the repository that is copied from. *kept:
     * whether it is believed, and kept there now. */
    bool (*keep_unlock)(void *self, struct span order, bool *kept, struct err *err);
    /* Copies only, else NULL: `count` rewraps as records, of seals that were sent or are there. *kept: all of
     * them; one whose seal is not there, or whose signer is not believed, is left out. */
    bool (*keep_rewraps)(void *self, struct span records, uint32_t count, bool *kept, struct err *err);
    /* makes blocked calls return ERR_CANCELLED; any thread */
    void (*cancel)(void *self);
};

struct outlet {
    const struct outlet_ops *ops;
    void *self;
};

#endif
