/* The repository side of a recovery: answers the target's questions with frames as they are stored. No
 * key is needed. */
#ifndef SEALIFT_SESSION_SERVE_FETCH_H
#define SEALIFT_SESSION_SERVE_FETCH_H

#include "transporter/pipeline/opener.h"
#include "transporter/repository/fetch.h"
#include "transporter/session/dialler.h"

#include <stdatomic.h>

/* A repository side that opens, by an order that says so: it answers questions by content hash with plain
 * frames that carry the content hash in the place of the chunk id; a hash of zeros is the root node. */
struct serve_open {
    struct opener *opener;
    struct hash root; /* chunk id */
};

/* A repository side that shows its points one after the other, to a target that seals them anew: whether this
 * one is shown. What is asked for after it is of its dedup domain. */
struct serve_points {
    bool (*may_show)(void *arg, struct span point_file, struct err *err);
    void *arg;
};

struct serve_fetch_options {
    struct dialler *dialler;
    struct repository *repository;
    const struct hash *domain;         /* of the point; NULL in a plaintext repository, or with `points` */
    const struct serve_open *open;     /* NULL: frames go out as they are stored */
    const struct serve_points *points; /* NULL: there is one point, which the target has */
    _Atomic uint64_t *sent_bytes;
};

/* Until the target has all that it wants. A lost connection is waited for; what it was asked is then asked
 * again. */
bool serve_fetch(const struct serve_fetch_options *options, struct err *err) MUST_CHECK;

#endif
