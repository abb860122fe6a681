/* What restores and browses have in common on the side that opens: where frames come from, the point that
 * the order means, and the key. Private to run*.c. */
#ifndef SEALIFT_SESSION_RUN_RECOVERY_H
#define SEALIFT_SESSION_RUN_RECOVERY_H

#include "transporter/pipeline/inlet_repository.h"
#include "transporter/session/inlet_remote.h"
#include "transporter/session/run_inside.h"

struct recovery {
    struct run *run;
    struct listener_session *session; /* NULL: our own repository */
    struct inlet_remote *remote;
    struct inlet_repository *local;
    struct repository *repository; /* local: borrowed */
    struct inlet inlet;
    struct point *point;
    struct hash root;       /* as the opener wants it */
    struct read_half *half; /* NULL: a plaintext repository, or the other side opens */
    struct opener *opener;
};

/* Waits for the repository side, verifies the point, gets the key, and marks the order as executed. `out`
 * must be {0}. ERR_NOT_AUTHENTIC, ERR_NO_KEY, ERR_WRONG_KEY, ERR_EXISTS. */
bool recovery_open(struct run *run, struct recovery *out, struct err *err) MUST_CHECK;
/* The same without a key: there is no opener, and nothing is read. */
bool recovery_find(struct run *run, struct recovery *out, struct err *err) MUST_CHECK;
/* Tells the repository side that it is over: why is NULL when all went well. */
void recovery_close(struct recovery *recovery, const struct err *why);

/* The plan that the order carries for us, as bytes. */
bool recovery_plan(struct run *run, struct secret **out, struct err *err) MUST_CHECK;

#endif
