/* The questions of a run that rewraps to the repository side, which dials us: which seals are there, and to
 * keep rewraps. One after the other; one whose connection was lost is asked again, which changes nothing. One
 * thread. */
#ifndef SEALIFT_SESSION_REWRAP_REMOTE_H
#define SEALIFT_SESSION_REWRAP_REMOTE_H

#include "transporter/session/listener.h"

enum { REWRAP_REMOTE_CREDIT = 16 << 20, REWRAP_REMOTE_SEALS = 256 /* in one answer */ };

/* {.session = …}; the session outlives it. */
struct rewrap_remote {
    struct listener_session *session;
    uint64_t connection; /* 0: none stands */
    uint64_t serial;
};

/* The next seals behind `after`: for each the records of its rewraps, and then that of its envelope, as the
 * other side sent them; and the ids, followed by zeros, of seals of which no envelope reads. Both appended.
 * ERR_PROTOCOL, ERR_LIMIT, ERR_UNREACHABLE. */
bool rewrap_remote_seals(struct rewrap_remote *remote, const struct id *after, struct buf *records,
                         struct buf *unreadable, struct err *err) MUST_CHECK;
/* `count` records of rewraps, to be kept; the ids of those that were not are appended. */
bool rewrap_remote_keep(struct rewrap_remote *remote, struct span records, size_t count, struct buf *refused,
                        struct err *err) MUST_CHECK;
/* Says that it is over and waits a little for the good-bye. */
void rewrap_remote_finish(struct rewrap_remote *remote);

#endif
