/* Copying recovery points as they are stored, without any key: frames, their envelopes and their signed
 * lists move as bytes. What the other repository has already is found by asking, from the top of each
 * point's tree of nodes down; chunks go before the nodes that name them, so that a copy that was
 * interrupted goes on where it stopped. The commit at the other side finds whatever is missing in spite of
 * that, and it is then sent. */
#ifndef SEALIFT_SESSION_COPY_H
#define SEALIFT_SESSION_COPY_H

#include "transporter/pipeline/outlet.h"
#include "transporter/repository/repository.h"

#include <stdatomic.h>

struct copy_options {
    struct repository *from;
    const char *job;      /* label; NULL or empty: points of all jobs */
    struct outlet outlet; /* also asked about points (asked.h) */
    _Atomic uint64_t *sent_bytes;
    _Atomic uint64_t *points;  /* copied so far */
    _Atomic uint64_t *skipped; /* points that were removed there */
    /* A point that could not be copied, while others are; or a remark. May be NULL. */
    void (*warning)(void *arg, const struct id *point, const struct err *what);
    void (*copied)(void *arg, const struct id *point, const struct commit_receipt *receipt,
                   struct span point_file);
    void *arg;
    /* what does not hinder the copy; may be NULL */
    void (*remark)(void *arg, const struct err *what);
    const _Atomic bool *cancelled;
};

/* copy_unlocks.c. Hands over what was kept beside the points of these jobs: unlock sections of their keys.
 * One that the other side does not believe is a remark. */
bool copy_unlocks(const struct copy_options *options, struct err *err) MUST_CHECK;

/* copy_rewraps.c. Hands over the rewraps of this repository, after the points: those whose seals the other
 * side has are kept there. */
bool copy_rewraps(const struct copy_options *options, struct err *err) MUST_CHECK;

/* Copies what is lacking, oldest first. A point that is damaged here is named, and fails the whole in the
 * end: the others are copied. Other errors end it at once. */
bool copy_points(const struct copy_options *options, struct err *err) MUST_CHECK;

#endif
