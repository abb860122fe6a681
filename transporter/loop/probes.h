/* The probes of ways to other transporters that are under way here. Control loop's thread. */
#ifndef SEALIFT_TLOOP_PROBES_H
#define SEALIFT_TLOOP_PROBES_H

#include "transporter/loop/outbox.h"
#include "transporter/session/probe.h"

struct probes;

/* `outbox` must stay. */
struct probes *probes_new(struct outbox *outbox);
/* Ends those that are under way. NULL is allowed. */
void probes_free(struct probes *probes);
DEFINE_AUTO(probes, struct probes *, probes_free)

/* Begins one; what cannot be begun is answered by its end. The same again is nothing new. */
void probes_take(struct probes *probes, const struct run_environment *environment,
                 const Sealift__Probe *message);
/* Lets go of those that have ended. */
void probes_reap(struct probes *probes);

#endif
