/* Runs that are made before they are sent, so that they can be sent again after a crash: the same sealed
 * bytes; and what must hold of them afterwards. */
#ifndef SEALIFT_TESTS_REPOSITORY_CRASH_PLAN_H
#define SEALIFT_TESTS_REPOSITORY_CRASH_PLAN_H

#include "builder.h"
#include "fault_storage.h"

enum { PLAN_MOST_BATCHES = 24, PLAN_FRAMES = 2 };

enum plan_size {
    PLAN_SMALL, /* three batches */
    PLAN_LARGE  /* as many as fill a pack and begin the next */
};

/* Batches of two frames, the last one of nodes, and the point. */
struct plan {
    unsigned number; /* of its marks */
    /* promised before the trace that is watched began: */
    bool committed;
    uint64_t acknowledged;
    enum ingest_kind kind;
    struct writer *writer;
    size_t count;
    struct buf batches[PLAN_MOST_BATCHES];
    struct hash ids[PLAN_MOST_BATCHES][PLAN_FRAMES];
    struct hash root;
    struct id point;
    struct buf file;
};

/* `number` is below 7 and makes seal, contents and point its own; `basis`: a plan whose data its nodes name
 * too, or NULL. */
struct plan *plan_new(unsigned number, enum ingest_kind kind, enum plan_size size, const struct plan *basis);
void plan_free(struct plan *plan);
DEFINE_AUTO(plan, struct plan *, plan_free)

/* One attempt: goes on behind what is acknowledged, commits, and marks what it was promised. */
bool plan_run(const struct plan *plan, struct repository *repository, struct err *err) MUST_CHECK;

/* What is marked counts as promised for good. */
void plan_remember(struct plan *plan);

/* Asserts that the repository in `place`, not open now, opens; that it has what was promised of each plan, of
 * the rest nothing or all; that a check of every byte finds nothing; that each plan can be run again to its
 * end, and then is there. `what` stands in messages. */
void plans_hold(struct place *place, struct plan *const plans[], size_t count, const char *what);

#endif
