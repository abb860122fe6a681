/* What a repository goes through in the crash tests, again and again: each step of it is once the one at
 * which the process is killed or the disk fails, and what must hold is checked behind each. */
#ifndef SEALIFT_TESTS_REPOSITORY_CRASH_SCENE_H
#define SEALIFT_TESTS_REPOSITORY_CRASH_SCENE_H

#include "crash_plan.h"

enum { SCENE_MOST_PLANS = 3 };

/* What is done, until every step of it has been the last one. */
struct scene {
    const char *name;
    struct place *template; /* what is there before */
    struct place *place;
    struct plan *plans[SCENE_MOST_PLANS];
    size_t count, done; /* the first `done` of them are committed in the template */
    bool creates;
    bool only_opens;
    bool sweeps; /* takes away the first point, whose chunks the second uses in part */
    int stride;  /* every how manieth step: 1 = all */
    int shift;   /* the first one */
};

/* Whether SEALIFT_LONG is in the environment, and the stride there: every step everywhere. */
bool scene_is_long(void);
int scene_stride(int normally);

/* The first `done` plans are run for the template. */
struct scene *scene_new(const char *name, enum ingest_kind kind, enum plan_size size, size_t done,
                        size_t count);
void scene_free(struct scene *scene);
DEFINE_AUTO(scene, struct scene *, scene_free)

/* Asserts what holds at each `stride`th step. */
void scene_play(struct scene *scene, enum fault_disk_how how);
/* What a run that was killed at this step left is the next template; false: no such step. */
bool scene_leave_killed(struct scene *scene, int at);

#endif
