/* Checking with a key (level `restore`): a recovery point is restored whole, into nothing. Every content is
 * opened, put together and compared with its file's size and hash; hard links lead to files of the point.
 * Nothing is written. Levels below are check_decrypt.h and transporter/repository/check.h. */
#ifndef SEALIFT_PIPELINE_CHECK_RESTORE_H
#define SEALIFT_PIPELINE_CHECK_RESTORE_H

#include "common/base/pace.h"
#include "transporter/pipeline/opener.h"

struct check_restore_sink {
    /* One file that would not come back as it was backed up. An empty path: the list of files itself, of
     * which everything behind the damage is lost. */
    void (*finding)(void *arg, struct span path, const struct err *what);
    void (*progress)(void *arg, uint64_t files, uint64_t bytes); /* may be NULL; both only rise */
    /* Both: one call at a time, in the order of the files, in a thread that has ended when the check returns.
     */
    void *arg;
    struct pace *pace;             /* how fast frames are taken; NULL: as they come */
    const _Atomic bool *cancelled; /* may be NULL; ends the check with ERR_CANCELLED, also within a file */
};

struct check_restore_result {
    uint64_t entries, files, bytes, findings;
    uint64_t links_unchecked; /* hard links whose files were not looked for: there were too many */
};

/* Reads one point from its root node (chunk id). Adds to *result. False only if it could not go on; damage is
 * told to the sink. Several threads. Memory: some 50 MiB for what our own backups write, and some 200 MiB at
 * the most, where somebody made every chunk as long as it can be. */
bool check_restore_point(struct opener *opener, const struct inlet *inlet, const struct hash *root,
                         const struct check_restore_sink *sink, struct check_restore_result *result,
                         struct err *err) MUST_CHECK;

#endif
