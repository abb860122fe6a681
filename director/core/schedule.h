/* When something is to be done again and again, as people write it:
 *
 *     hourly · daily [HH:MM] · weekly [sun … sat] [HH:MM] · every 6h · none
 *
 * All times are UTC: a schedule means the same moments wherever it is read, and no hour comes twice or not at
 * all. What the text leaves open (the minute of the hour, the hour of the day) is chosen by the `spread`, so
 * that not everything starts at once. Pure. */
#ifndef SEALIFT_DIRECTOR_SCHEDULE_H
#define SEALIFT_DIRECTOR_SCHEDULE_H

#include "common/base/err.h"
#include "common/crypto/hash.h"

#define SCHEDULE_TEXT_MAX 63

/* The moments that lie `phase_s` behind a multiple of `period_s` since 1970. */
struct schedule {
    uint64_t period_s; /* 0: never */
    uint64_t phase_s;  /* below the period */
};

/* ERR_USAGE says what can be written. */
bool schedule_parse(const char *text, const struct id *spread, struct schedule *out,
                    struct err *err) MUST_CHECK;
/* The first moment after `now_ns`; UINT64_MAX: never. */
uint64_t schedule_next(const struct schedule *schedule, uint64_t now_ns);

#endif
