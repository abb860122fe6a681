/* An outlet straight into an ingest session of a repository in this process, without a thread of its own:
 * a batch is written by whoever sends it. It also answers whether the repository has a point
 * (ASKED_POINT), for copies. */
#ifndef SEALIFT_SESSION_OUTLET_INGEST_H
#define SEALIFT_SESSION_OUTLET_INGEST_H

#include "transporter/pipeline/outlet.h"
#include "transporter/repository/ingest.h"

#include <stdatomic.h>

struct outlet_ingest {
    struct repository *repository;
    struct ingest *ingest;
    /* copies: whether an operator has this key */
    bool (*is_operator)(void *arg, const uint8_t signer[SIGN_PK_LEN]);
    /* copies: whether what this key signed as a rewrap is kept */
    bool (*is_rewrapper)(void *arg, const uint8_t signer[SIGN_PK_LEN]);
    void *arg;
    const _Atomic bool
        *cancelled; /* copies: looked at between points, each of which may take long; or NULL */
};

/* Both must outlive the outlet, as must the struct. send: one thread at a time. */
struct outlet outlet_ingest(struct outlet_ingest *self);

#endif
