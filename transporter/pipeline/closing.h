/* How every backup ends, of whatever kind of object: the point file and the commit. Private to the backup
 * engines; one thread. */
#ifndef SEALIFT_PIPELINE_CLOSING_H
#define SEALIFT_PIPELINE_CLOSING_H

#include "common/chunk/chunker.h"
#include "transporter/pipeline/attempt.h"

/* What is known when everything is sent. `counts.warnings` is filled in from the attempt. */
struct closing {
    enum object_kind object;
    struct hash root; /* content hash of the manifest's root node */
    struct point_counts counts;
    uint64_t started_ns;
    bool crash_consistent;
};

/* The manifest of an object of one entry, which is given encoded; `name` is its path in it. Fills in `root`;
 * nodes may still be on their way. */
bool closing_describe(struct attempt *attempt, const struct chunker_params *chunker, struct span name,
                      struct span entry, struct closing *closing, struct err *err) MUST_CHECK;

/* Commits and fills *result. ERR_NOT_FOUND when the repository lacks references that the cache named: the
 * cache is then reset. */
bool closing_commit(struct attempt *attempt, const struct closing *closing, struct backup_result *result,
                    struct err *err) MUST_CHECK;

#endif
