/* What the tests of copies share: a repository with recovery points, and what copies it to the other end. */
#ifndef SEALIFT_TEST_SESSION_ORIGIN_H
#define SEALIFT_TEST_SESSION_ORIGIN_H

#include "ends.h"
#include "transporter/session/copy.h"

/* A second repository, at the dialling end, with points 3 and 4 in it. */
struct origin {
    struct ends *ends; /* the other end, copied to */
    struct repository *repository;
    struct hash root; /* content of the last point's root */
    _Atomic uint64_t sent, points, skipped;
    _Atomic bool cancelled;
};

struct origin *origin_new(enum repository_kind kind);
void origin_free(struct origin *origin);
DEFINE_AUTO(origin, struct origin *, origin_free)

/* Of the same contents as the others. */
void origin_add_point(struct origin *origin, uint8_t number);

struct copy_options origin_copy_options(struct origin *origin, const struct outlet *outlet);

#endif
