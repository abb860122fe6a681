/* Checking with a key (level `decrypt`): everything that a recovery point refers to opens to its id, and
 * every node's clear list is what its content says. Levels below are transporter/repository/check.h. */
#ifndef SEALIFT_PIPELINE_CHECK_DECRYPT_H
#define SEALIFT_PIPELINE_CHECK_DECRYPT_H

#include "common/base/pace.h"
#include "transporter/pipeline/checked_set.h"
#include "transporter/pipeline/opener.h"

struct check_decrypt_sink {
    /* One thing that is wrong; `what` names the chunk. One call at a time, any thread, in an order that
     * follows from the point. */
    void (*finding)(void *arg, const struct err *what);
    void (*progress)(void *arg, uint64_t frames, uint64_t bytes); /* may be NULL */
    /* Was this data chunk found good by an earlier check? It is not fetched then. Walking thread; may be
     * NULL. */
    bool (*known)(void *arg, const struct hash *id);
    /* These data chunks all opened, each at the first try. One call at a time, any thread; may be NULL. */
    void (*sound)(void *arg, const struct hash *ids, size_t count);
    void *arg;
    struct pace *pace; /* how fast frames are taken; NULL: as they come */
};

struct check_decrypt_result {
    uint64_t nodes, chunks, bytes, findings;
    uint64_t known; /* chunks that were not fetched: an earlier check found them good */
};

enum check_decrypt_scope {
    CHECK_DECRYPT_ALL,
    CHECK_DECRYPT_NODES /* for who reads the contents himself; not with the same set as the other */
};
/* Checks one point from its root node (chunk id). A chunk that is in `checked` needs no second look: one set
 * for many points. A point with findings empties it, so that damage is told for every point that it kills.
 * Adds to *result. False only if the check could not go on; damage is told to the sink. `threads` 0: the
 * number of cores. */
bool check_decrypt_point(struct opener *opener, const struct inlet *inlet, const struct hash *root,
                         enum check_decrypt_scope scope, unsigned threads, struct checked_set *checked,
                         const struct check_decrypt_sink *sink, struct check_decrypt_result *result,
                         struct err *err) MUST_CHECK;

#endif
