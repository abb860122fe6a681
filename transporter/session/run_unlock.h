/* The opener's part of the unlock order (transporter/kms/unlock.h): own key, read grant, the order's secret,
 * then every KMS entry of this host that fits a wrap. Private to run*.c. The run's thread. */
#ifndef SEALIFT_SESSION_RUN_UNLOCK_H
#define SEALIFT_SESSION_RUN_UNLOCK_H

#include "transporter/session/run_inside.h"

/* Opens the order's key. `repository`: the point's, where it is ours; ways to the key that operators had it
 * keep are tried too. NULL: it is elsewhere. What was tried is told to the operators unless a known key
 * opened it at once; a key that a KMS gave goes back to who ordered it. ERR_NO_KEY (nothing gives it; the
 * text says what was tried), ERR_WRONG_KEY, ERR_DAMAGED. */
bool run_unlock(struct run *run, struct repository *repository, struct span unlock_section,
                struct read_half **half, struct err *err) MUST_CHECK;

/* Tries each step and appends the encoded UnlockReport; opens nothing. */
bool run_unlock_report(struct run *run, struct repository *repository, struct span unlock_section,
                       struct buf *out, struct err *err) MUST_CHECK;

#endif
