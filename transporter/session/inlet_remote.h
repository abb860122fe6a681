/* An inlet from the repository at the other end of a data connection, which dials us. A thread takes what
 * arrives and deals it out to the callers of fetch; a caller whose question was under way when the
 * connection was lost asks again for what it has not got. What waits here is bounded by the credit. */
#ifndef SEALIFT_SESSION_INLET_REMOTE_H
#define SEALIFT_SESSION_INLET_REMOTE_H

#include "transporter/pipeline/inlet.h"
#include "transporter/session/listener.h"

enum { INLET_REMOTE_CREDIT = 96 << 20 };

struct inlet_remote;

/* The session must outlive it. */
bool inlet_remote_new(struct listener_session *session, struct inlet_remote **out,
                      struct err *err) MUST_CHECK;
/* Ends the session for this side. No fetch may be going on. */
void inlet_remote_free(struct inlet_remote *inlet);
DEFINE_AUTO(inlet_remote, struct inlet_remote *, inlet_remote_free)

/* What came with the first Open: a point file, or of copies that are sealed here the ids of the points that
 * there are. The other side waits until it is accepted. Appended. */
bool inlet_remote_point(struct inlet_remote *inlet, struct buf *point_file, struct err *err) MUST_CHECK;
void inlet_remote_accept(struct inlet_remote *inlet);
/* Of copies that are sealed here: the file of one of the points, appended. From then on frames are asked for
 * in its dedup domain; no fetch may be going on. ERR_NOT_FOUND: this one cannot be had. */
bool inlet_remote_read_point(struct inlet_remote *inlet, const struct id *point, struct buf *file,
                             struct err *err) MUST_CHECK;
struct inlet inlet_remote_inlet(struct inlet_remote *inlet);
/* All was fetched: says so and waits a little for the good-bye. */
void inlet_remote_finish(struct inlet_remote *inlet);
/* Tells the other side why there will be no more questions. */
void inlet_remote_refuse(struct inlet_remote *inlet, const struct err *why);

#endif
