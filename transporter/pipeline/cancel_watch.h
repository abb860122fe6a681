/* A thread that turns the caller's `cancelled` flag into the end of an attempt, whatever the attempt's
 * threads are blocked in. Private to the backup engine. */
#ifndef SEALIFT_PIPELINE_CANCEL_WATCH_H
#define SEALIFT_PIPELINE_CANCEL_WATCH_H

#include "transporter/pipeline/attempt.h"

struct cancel_watch;

/* `flag` NULL: nothing to watch, *out = NULL. The attempt must outlive the watch. */
bool cancel_watch_new(struct attempt *attempt, const _Atomic bool *flag, struct cancel_watch **out,
                      struct err *err) MUST_CHECK;
void cancel_watch_free(struct cancel_watch *watch);
DEFINE_AUTO(cancel_watch, struct cancel_watch *, cancel_watch_free)

#endif
