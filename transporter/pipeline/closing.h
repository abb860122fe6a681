/* How every backup ends, of whatever kind of object: the point file and the commit. Private to the backup
 * engines; one thread. */
#ifndef SEALIFT_PIPELINE_CLOSING_H
#define SEALIFT_PIPELINE_CLOSING_H

#include "transporter/pipeline/attempt.h"

/* What is known when everything is sent. `counts.warnings` is filled in from the attempt. */
struct closing {
    enum object_kind object;
    struct hash root; /* content hash of the manifest's root node */
    struct point_counts counts;
    uint64_t started_ns;
};

/* Commits and fills *result. ERR_NOT_FOUND when the repository lacks references that the cache named: the
 * cache is then reset. */
bool closing_commit(struct attempt *attempt, const struct closing *closing, struct backup_result *result,
                    struct err *err) MUST_CHECK;

#endif
