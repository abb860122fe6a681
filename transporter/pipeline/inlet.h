/* Where a restore's contents come from: a repository in this process, or a session with a remote
 * repository side (which sends frames for an opener here, or, by an order that says so, opened
 * contents). */
#ifndef SEALIFT_PIPELINE_INLET_H
#define SEALIFT_PIPELINE_INLET_H

#include "common/base/bytes.h"
#include "common/base/err.h"
#include "common/crypto/hash.h"

#define INLET_MAX_IDS 4096
#define INLET_PLACES 256 /* copies of one id that can be asked for */

struct opener;

struct inlet_sink {
    /* Bytes are borrowed for the call; may be called from another thread, one call at a time. */
    bool (*envelope)(void *arg, struct span envelope, struct err *err);
    bool (*frame)(void *arg, const struct hash *id, struct span frame, struct err *err);
    bool (*missing)(void *arg, const struct hash *id, const struct err *why, struct err *err);
    void *arg;
    /* Is offered what else leads to the key of a seal, before the envelope is told; NULL: nobody */
    struct opener *opener;
    /* Below INLET_PLACES: how many copies of each id are passed over. Anybody who writes in a domain can
     * store a frame under any id of it, and the repository cannot tell: whose frame does not open asks for
     * the next copy, until one is told as missing. */
    unsigned skip;
};

struct inlet_ops {
    /* Frames of a window of ids, in the repository's order, each once; returns when all were told. */
    bool (*fetch)(void *self, const struct hash *ids, size_t count, const struct inlet_sink *sink,
                  struct err *err);
    void (*cancel)(void *self); /* any thread */
};

struct inlet {
    const struct inlet_ops *ops;
    void *self;
    unsigned fetches; /* worth having under way at once, where each has a round trip; 0: one */
};

#endif
