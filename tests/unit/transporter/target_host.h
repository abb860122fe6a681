/* A host that a director has told all it needs to be the target of a run of a backup. */
#ifndef SEALIFT_TESTS_TARGET_HOST_H
#define SEALIFT_TESTS_TARGET_HOST_H

#include "fake_director.h"

struct target_host {
    struct fake_director director;
    char *root; /* of its repository, which is open */
};
extern const struct id target_host_job;

void target_host_start(struct target_host *host);
void target_host_stop(struct target_host *host);

/* An assignment of the job, to be encoded; points into the arguments and to `body`. */
struct target_assignment {
    struct id run;
    Sealift__RunSide side;
    uint64_t version;    /* of the job */
    const uint8_t *peer; /* signing key */
};
Sealift__Head target_host_assign(const struct target_assignment *assignment, Sealift__Assign *body);

#endif
