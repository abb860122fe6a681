/* How a run gets from queued to its end: the one table of states, names and allowed successors. Every
 * move of a run goes through it. */
#ifndef SEALIFT_DIRECTOR_RUN_STATE_H
#define SEALIFT_DIRECTOR_RUN_STATE_H

#include "proto/message.pb-c.h"

#include <stdbool.h>

/* "queued", "assigned", …; "none" for RUN_NONE and for numbers that are no state */
const char *run_state_name(Sealift__RunState state);
bool run_state_may_follow(Sealift__RunState from, Sealift__RunState to);
/* Queued to committing: something is still to be done, and the job is busy. */
bool run_state_active(Sealift__RunState state);
/* No successor. RUN_UNKNOWN is neither active nor final: it waits for the repository's log. */
bool run_state_final(Sealift__RunState state);

#endif
