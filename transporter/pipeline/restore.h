/* The restore engine for file trees: reads the manifest ahead, fetches windows of chunks in pack order,
 * opens and writes with several threads. Nothing is ever written outside the destination. */
#ifndef SEALIFT_PIPELINE_RESTORE_H
#define SEALIFT_PIPELINE_RESTORE_H

#include "transporter/core/manifest.h"
#include "transporter/pipeline/inlet.h"
#include "transporter/pipeline/opener.h"

#include <stdatomic.h>

enum overwrite { OVERWRITE_NEVER, OVERWRITE_CHANGED, OVERWRITE_ALWAYS };

struct restore_progress {
    _Atomic uint64_t entries, files, content_bytes; /* written */
    _Atomic uint64_t total_entries, total_bytes;    /* of the point (0 until the root is read) */
    _Atomic uint64_t fetched_bytes;
    _Atomic uint64_t warnings;
};

struct restore_options {
    struct opener *opener;
    struct inlet inlet;
    struct hash root;             /* chunk id, from the point's body */
    const char *destination;      /* an absolute directory, made if absent */
    const char *destination_root; /* begins it: below this no symlink is followed; NULL: all may be */
    const struct span *paths;     /* chosen paths without leading '/', everything below them too; 0: all */
    size_t path_count;
    enum overwrite overwrite;
    unsigned threads; /* 0: the number of cores */
    struct restore_progress *progress;
    /* What could not be restored, or not wholly (ownership when not root, an xattr refused). Any thread,
     * serialised. */
    void (*warning)(void *arg, struct span path, const struct err *what);
    void *arg;
    const _Atomic bool *cancelled;
};

struct restore_result {
    uint64_t entries, files, content_bytes, warnings;
    uint64_t skipped; /* existing files left alone */
    uint64_t failed;  /* files not restored because of damage: named by warnings */
};

/* Ends with syncfs. A chosen path that is not in the point: ERR_NOT_FOUND, before anything is written.
 * Damage in some files does not stop the others: they are restored, then ERR_DAMAGED (or the first such
 * code). Damage of the list of files loses what comes behind it. When it fails or is cancelled, the inlet
 * is cancelled and good for nothing more. */
bool restore_tree(const struct restore_options *options, struct restore_result *result,
                  struct err *err) MUST_CHECK;

/* The one content of an image's or a stream's point, to `destination`: a block device; else, if it is a
 * directory or ends with '/' (which makes one), a file in it by the content's own name; else a file of that
 * path. `paths` must be none.
 *
 * A file is written beside its place, as NAME.sealift-part, and takes its place when it is whole: what an
 * interrupted restore left there is compared and kept as far as it is right. Zeros become holes.
 *
 * A device must be named by `destination_root` as it is (or that be NULL), must not be in use (ERR_FAILED)
 * and must be large enough (ERR_LIMIT): else nothing is written to it. Under `never` it is refused
 * (ERR_EXISTS); under `changed` what it holds is compared, and only what differs is written. What it has
 * beyond the content is left as it is, with a warning. */
bool restore_object(const struct restore_options *options, struct restore_result *result,
                    struct err *err) MUST_CHECK;

/* The content of one regular file (hard links followed) in order to `write`, by this thread; what comes next
 * is fetched meanwhile. An empty path: of the only one, in a point that is no tree. ERR_NOT_FOUND;
 * ERR_DAMAGED after what comes before the damage was written. When it fails while it writes, the inlet is
 * cancelled. */
typedef bool restore_write_fn(void *arg, struct span bytes, struct err *err);
bool restore_cat(struct opener *opener, const struct inlet *inlet, const struct hash *root, struct span path,
                 restore_write_fn *write, void *arg, struct err *err) MUST_CHECK;

/* Lists entries in path order. false from `each` stops (with *err set by it, or ERR_NONE for done). */
typedef bool restore_entry_fn(void *arg, struct span path, const struct entry *entry, struct err *err);
bool restore_list(struct opener *opener, const struct inlet *inlet, const struct hash *root, struct span from,
                  restore_entry_fn *each, void *arg, struct err *err) MUST_CHECK;

#endif
