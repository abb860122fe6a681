/* The backup engine for file trees: walk, read, cut, hash, deduplicate, compress, seal, send, manifest,
 * commit. Worker threads do everything from reading to batches; each owns its buffers, compressor,
 * sealer and open batch. The calling thread orders the work and builds the manifest. Memory is bounded
 * by threads x (chunk + batch) and the walk's read-ahead, whatever the number or size of files. */
#ifndef SEALIFT_PIPELINE_BACKUP_H
#define SEALIFT_PIPELINE_BACKUP_H

#include "common/chunk/compress.h"
#include "common/crypto/seal/envelope_key.h"
#include "common/crypto/seal/frame_key.h"
#include "transporter/pipeline/outlet.h"
#include "transporter/pipeline/point.h"
#include "transporter/source/stat_cache.h"
#include "transporter/source/walk.h"

#include <stdatomic.h>

/* Read by a progress display while the run goes on. */
struct backup_progress {
    _Atomic uint64_t entries, files, content_bytes; /* walked */
    _Atomic uint64_t total_bytes;                   /* of an image, whose size is known; else 0 */
    _Atomic uint64_t read_bytes;                    /* read from the source */
    _Atomic uint64_t unread_bytes;                  /* of files that were not, or not wholly, read */
    _Atomic uint64_t hole_bytes;                    /* of what is read: neither read nor sent */
    _Atomic uint64_t deduplicated_bytes;            /* unchanged, or found by content hash, or "have" */
    _Atomic uint64_t sent_bytes;                    /* in batches */
    _Atomic uint64_t warnings;
};

struct backup_options {
    struct walk_options walk;
    const char *host;
    enum seal_place place;
    const struct sign_pair *writer; /* SEAL_HERE */
    const struct run_key *run;      /* SEAL_HERE: new for this attempt; the outlet was told its seal id */
    const struct write_half *half;  /* SEAL_HERE; NULL for a plaintext repository */
    enum cipher cipher;             /* CIPHER_NONE goes with half == NULL only */
    enum padding padding;
    struct compress_spec compress;
    unsigned threads;         /* 0: twice the cores, at least 4 */
    struct stat_cache *cache; /* may be NULL */
    struct outlet outlet;
    struct backup_identity identity;
    struct backup_progress *progress;
    /* A file that could not be read, vanished, changed while read, or was skipped. Any thread, serialised. */
    void (*warning)(void *arg, struct span path, const struct err *what);
    void *arg;
    const _Atomic bool *cancelled;
    size_t lost_links_most; /* see lost_links.h; 0: LOST_LINKS_MOST */
};

struct backup_result {
    struct commit_receipt receipt;
    struct point_counts counts;
    uint64_t read_bytes, deduplicated_bytes, sent_bytes;
};

/* Runs to the commit receipt. ERR_CANCELLED; ERR_NOT_FOUND when the repository lacks references that the
 * cache named (the cache is then reset: run again). */
bool backup_tree(const struct backup_options *options, struct backup_result *result,
                 struct err *err) MUST_CHECK;
/* After a success of backup_tree with this cache, which may be NULL: makes it current. It takes a while and
 * nobody has to wait for it: without it the cache stays that of the run before. What cannot be made
 * current is emptied, and false: the next run reads everything. */
bool backup_renew_cache(struct stat_cache *cache, struct err *err) MUST_CHECK;

#endif
