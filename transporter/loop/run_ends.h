/* Ends of runs that the director has not acknowledged: kept in local state (`ends/`), so that no crash
 * and no outage loses one; told again after every reconnect. Control loop's thread, except run_ends_add. */
#ifndef SEALIFT_TLOOP_RUN_ENDS_H
#define SEALIFT_TLOOP_RUN_ENDS_H

#include "common/wire/head.h"

struct run_ends;

bool run_ends_open(const char *state_dir, struct run_ends **out, struct err *err) MUST_CHECK;
void run_ends_close(struct run_ends *ends);
DEFINE_AUTO(run_ends, struct run_ends *, run_ends_close)

#define RUN_ENDS_MOST 1024
#define RUN_ENDS_MOST_BYTES (64 << 20)
/* Keeps it with its payload (sealed warnings); durable on return. ERR_LIMIT: there are so many that nobody
 * has heard that this one is dropped. Any thread. */
bool run_ends_add(struct run_ends *ends, const Sealift__RunEnd *end, struct span warnings,
                  struct err *err) MUST_CHECK;
/* Tells each with the serial that the director's Done will quote. */
typedef void run_ends_fn(void *arg, uint64_t serial, Sealift__RunEnd *end, struct span warnings);
void run_ends_each(struct run_ends *ends, run_ends_fn *each, void *arg);
/* The director has it: forgotten. False for a serial that is none of ours. */
bool run_ends_acknowledge(struct run_ends *ends, uint64_t serial);

#endif
