/* How fast runs may send and receive: the transporter's own limit, which all of its runs share, and each
 * job's. Whatever passes waits for both. Runs that want to pass at the same time take turns, a message each,
 * so that shares are equal and what one does not use is the others'. Limits may change at any time; all
 * functions from any thread. */
#ifndef SEALIFT_SESSION_BANDWIDTH_H
#define SEALIFT_SESSION_BANDWIDTH_H

#include "common/base/auto.h"
#include "common/wire/bandwidth_rule.h"

#include <stdatomic.h>

struct bandwidth;       /* a transporter's */
struct bandwidth_share; /* a run's */

struct bandwidth *bandwidth_new(const struct bandwidth_rule *rule);
/* All shares must be gone. NULL is allowed. */
void bandwidth_free(struct bandwidth *bandwidth);
DEFINE_AUTO(bandwidth, struct bandwidth *, bandwidth_free)
void bandwidth_set(struct bandwidth *bandwidth, const struct bandwidth_rule *rule);

/* NULL: the run is not limited by itself. */
struct bandwidth_share *bandwidth_join(struct bandwidth *bandwidth, const struct bandwidth_rule *own);
void bandwidth_leave(struct bandwidth_share *share);
void bandwidth_share_set(struct bandwidth_share *share, const struct bandwidth_rule *own);

/* Waits until so many bytes may pass, or *given_up. One thread for each share. NULL: at once. */
void bandwidth_take(struct bandwidth_share *share, uint64_t bytes, const _Atomic bool *given_up);
/* How many bytes may be under way at a time, at most `most`: what is sent in some seconds, so that a limit of
 * this side holds up the other one soon. */
uint64_t bandwidth_window(struct bandwidth_share *share, uint64_t most);

#endif
