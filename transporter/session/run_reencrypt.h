/* A copy that seals: which side does it, and what the other one does meanwhile. Private to run*.c. */
#ifndef SEALIFT_SESSION_RUN_REENCRYPT_H
#define SEALIFT_SESSION_RUN_REENCRYPT_H

#include "transporter/session/run_inside.h"

/* What happens when a point has been copied; arg is the run. */
typedef void run_copied_fn(void *run, const struct id *point, const struct commit_receipt *receipt,
                           struct span point_file);

/* This side seals: at the source it sends what it sealed, at the target it fetches what it seals, alone it
 * does both. */
bool run_seal_copies(struct run *run, run_copied_fn *copied, struct err *err) MUST_CHECK;
/* The source of a copy that the target seals: shows its points and their frames as they are stored. */
bool run_show_points(struct run *run, struct err *err) MUST_CHECK;

#endif
