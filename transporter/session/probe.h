/* A probe: one side of a way between two transporters tried as a run would go it, and why it does not work
 * (`sealift link test`). Open, Opened and Done under an id and a ticket of its own; no repository is opened,
 * no slot taken, no statement needed: what is told is whether and how the other transporter of the roster can
 * be met. */
#ifndef SEALIFT_SESSION_PROBE_H
#define SEALIFT_SESSION_PROBE_H

#include "transporter/session/run.h"

struct probe;

/* Both are called from the probe's thread. */
struct probe_hooks {
    /* a target: its source may come. `endpoint` is empty where the target dials */
    void (*ready)(void *arg, const struct id *id, const char *endpoint);
    /* Last, once. Borrowed. */
    void (*ended)(void *arg, const Sealift__ProbeEnd *end);
    void *arg;
};

/* Takes some seconds at most. Nothing of the environment's hooks is called. */
bool probe_start(const struct run_environment *environment, const struct probe_hooks *hooks,
                 const Sealift__Probe *message, struct probe **out, struct err *err) MUST_CHECK;
/* It has ended, or does at once now: probe_free will not wait for long. */
bool probe_is_over(const struct probe *probe);
/* Makes it end, and waits for that. NULL is allowed. */
void probe_free(struct probe *probe);
const struct id *probe_id(const struct probe *probe);

#endif
