/* Copying recovery points by sealing them anew: each becomes a point of its own under the job's key, signed
 * by the side that sealed it, and says which point it was made from. Its id follows from that one's
 * (sealing_point_of), so that asking tells which points have been copied already, from whatever host. */
#ifndef SEALIFT_SESSION_COPY_ANEW_H
#define SEALIFT_SESSION_COPY_ANEW_H

#include "transporter/pipeline/inlet.h"
#include "transporter/pipeline/point.h"
#include "transporter/pipeline/reencrypt.h"

/* Where the points come from: a repository in this process or at the other end of a connection. */
struct copy_anew_from {
    /* Appends their ids, ID_LEN each, oldest first. */
    bool (*points)(void *self, struct buf *ids, struct err *err);
    /* Appends a point file. ERR_NOT_FOUND, ERR_DAMAGED: only this one cannot be had. */
    bool (*read)(void *self, const struct id *point, struct buf *file, struct err *err);
    /* The frames of the point that was read last; good until the next one. */
    struct inlet (*inlet)(void *self, const struct point *point);
    void *self;
};

struct copy_anew_options {
    struct copy_anew_from from;
    const char *job;                 /* label; NULL or empty: points of all jobs */
    struct sealing_options sealing;  /* all of it; the outlet is also asked about points (asked.h) */
    struct backup_identity identity; /* but for point and job */
    /* Whether the point is to be believed; only this one is left out if not. */
    bool (*check)(void *arg, const struct point *point, struct err *err);
    /* The key that opens an encrypted point, at once checked against its dedup domain. */
    bool (*open_key)(void *arg, const struct point *point, struct read_half **out, struct err *err);
    /* A point that could not be copied, while others are. */
    void (*warning)(void *arg, const struct id *point, const struct err *what);
    void (*copied)(void *arg, const struct id *point, const struct commit_receipt *receipt,
                   struct span point_file);
    void *arg;
    _Atomic uint64_t *opened_bytes;
    _Atomic uint64_t *points;  /* copied so far */
    _Atomic uint64_t *skipped; /* points that were removed there */
    const _Atomic bool *cancelled;
};

/* As copy_points: oldest first; what concerns one point fails the whole in the end. */
bool copy_anew(const struct copy_anew_options *options, struct err *err) MUST_CHECK;

#endif
