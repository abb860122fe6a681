/* A check with a key, by an order: every point of its plan is opened, or restored into nothing, here. What
 * was found goes sealed to the operator who asked; the director sees which points, how many, and the codes.
 * Private to run*.c. */
#ifndef SEALIFT_SESSION_RUN_VERIFY_H
#define SEALIFT_SESSION_RUN_VERIFY_H

#include "transporter/session/run_recovery.h"

#define RUN_VERIFY_POINTS_MAX 1000

/* True when the check came to its end, whatever it found: that is in run->findings. ERR_PROTOCOL, ERR_LIMIT:
 * a plan that asks for what there is not. */
bool run_verify(struct run *run, struct recovery *recovery, const Sealift__BrowsePlan *plan,
                const Sealift__Member *operator, struct err * err) MUST_CHECK;

#endif
