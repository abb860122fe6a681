/* Opens repositories away from the control loop: opening may read a whole disk. One thread; statements
 * are taken in order; each outcome is told by the callback, on that thread. What cannot be opened is tried
 * again, ever more seldom: its disk may be mounted by then, or the other owner gone. Then the same reason is
 * not told a second time. */
#ifndef SEALIFT_TLOOP_ATTACH_H
#define SEALIFT_TLOOP_ATTACH_H

#include "transporter/session/stores.h"

struct attach;
/* `why` NULL: it is open now */
typedef void attach_fn(void *arg, const struct statement *repository, const struct err *why);

bool attach_start(struct stores *stores, attach_fn *done, void *arg, struct attach **out,
                  struct err *err) MUST_CHECK;
/* ends after the one that is being opened */
void attach_stop(struct attach *attach);
DEFINE_AUTO(attach, struct attach *, attach_stop)
/* Takes the statement: one of a repository that is not ours (any more) lets go of it. */
void attach_add(struct attach *attach, struct statement *repository);

#endif
