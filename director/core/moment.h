/* The time of an event, as the loop saw it: cores have no clock. */
#ifndef SEALIFT_DIRECTOR_MOMENT_H
#define SEALIFT_DIRECTOR_MOMENT_H

#include <stdint.h>

struct moment {
    uint64_t mono_ms; /* never steps back; for waiting. Means nothing to another process */
    uint64_t wall_ns; /* since 1970; for people */
};

#endif
