/* A worker: takes segments and chunks of large files from the work queue, reads, hashes, encodes and packs.
 * The ordering thread has one too, for what it does by itself. Private to the backup engine; one thread. */
#ifndef SEALIFT_PIPELINE_WORKER_H
#define SEALIFT_PIPELINE_WORKER_H

#include "transporter/pipeline/attempt.h"
#include "transporter/pipeline/segment.h"

struct worker {
    struct attempt *attempt;
    struct packer *data;
    struct buf bundle;      /* small files of the segment at hand; memory from the pool */
    size_t bundle_first;    /* items before this one are in no open bundle */
    struct buf refs;        /* scratch */
    struct dir_handle *dir; /* of the item at hand, kept open for those that follow; NULL: none */
};

/* The attempt must outlive it. */
bool worker_init(struct worker *worker, struct attempt *attempt, struct err *err) MUST_CHECK;
void worker_deinit(struct worker *worker);
DEFINE_AUTO_IN_PLACE(worker, struct worker, worker_deinit)

/* Takes work until there is no more; then sends what its packer still holds. An error stops the attempt. */
void worker_run(struct worker *worker);

/* Reads and encodes all items. What concerns single files becomes warnings; false is for errors that end
 * the run. Small files that are too few for a chunk are left to the caller in `leftover`. */
bool worker_segment(struct worker *worker, struct segment *segment, struct err *err) MUST_CHECK;
/* Hashes a chunk if nobody has yet, tells its slot, and packs it. The job's buffer is left empty. */
bool worker_chunk(struct worker *worker, struct chunk_job *job, struct err *err) MUST_CHECK;

/* Makes the open bundle a chunk, and tells the items in it up to `end` where they are. */
/* Tells the bundled items first to end - 1 that they are in the chunk `content`, from `base` on. */
bool worker_place_all(struct worker *worker, struct segment *segment, size_t first, size_t end,
                      const struct hash *content, uint64_t base, struct err *err) MUST_CHECK;
bool worker_close_bundle(struct worker *worker, struct segment *segment, size_t end,
                         struct err *err) MUST_CHECK;

/* Encodes the item from `entry`; a failure leaves it out with a warning. `fd` and `content` as in
 * metadata_encode. */
bool worker_encode(struct worker *worker, struct segment *segment, struct item *item, int fd,
                   const struct walk_entry *entry, const struct metadata_content *content);
/* Leaves the item out, with a warning; or takes what is stored of it, if that is known and still good. */
void worker_lose(struct worker *worker, struct item *item, const struct err *why);
/* Whether an error of reading says something about the machine rather than the file: out of descriptors
 * or memory. Such a run must end instead of leaving files out. */
bool worker_is_fatal(const struct err *err);

#endif
