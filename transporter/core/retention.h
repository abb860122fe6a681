/* Which points of a job stay. Pure: times are the repository's own, from its log, and so is `now`; no clock
 * of a writer, a director or an operator counts. Points are counted by the line that each belongs to, so that
 * whoever may write points of a job's name pushes out no others than those that he answers for himself. */
#ifndef SEALIFT_TCORE_RETENTION_H
#define SEALIFT_TCORE_RETENTION_H

#include "common/base/err.h"

#include <stddef.h>
#include <stdint.h>

/* What the signed job statement says. Each count keeps the newest point of so many newest days, ISO weeks,
 * months or years (UTC) that have points; `last` the newest points themselves. All zero: everything stays. */
struct retention {
    uint32_t last, daily, weekly, monthly, yearly;
    uint64_t immutable_s; /* a younger point is not removed, whoever asks */
};

/* The least that stays, whatever a job or an order says. */
struct retention_floor {
    uint32_t keep_least; /* points of each line of a job */
    uint64_t keep_age_s; /* a younger point is not removed */
};
/* The stricter of both in each part: a repository's statement and its host's own configuration. */
struct retention_floor retention_stricter(const struct retention_floor *a, const struct retention_floor *b);

enum retention_hold { RETENTION_FREE, RETENTION_HELD };

struct retention_point {
    uint64_t time_ns;
    enum retention_hold hold;
    uint32_t line; /* whose points it is counted with: a number of the caller's */
    uint32_t heir; /* the same for all of a line: the line that took over from it, or its own */
};

/* Why a point stays: the first reason that holds, in this order. */
enum retention_reason {
    RETENTION_REMOVE, /* nothing keeps it */
    RETENTION_KEEP_NEWEST,
    RETENTION_KEEP_HELD,
    RETENTION_KEEP_IMMUTABLE,
    RETENTION_KEEP_LEAST, /* the floor's count */
    RETENTION_KEEP_AGE,   /* the floor's age */
    RETENTION_KEEP_LAST,
    RETENTION_KEEP_DAILY,
    RETENTION_KEEP_WEEKLY,
    RETENTION_KEEP_MONTHLY,
    RETENTION_KEEP_YEARLY,
    RETENTION_KEEP_ALL /* the job has no rule */
};
/* "held", "immutable", …: for tables and messages */
const char *retention_reason_text(enum retention_reason reason);

/* Judges all points that one job has in a repository, in the order of the log (times never step back): the
 * points of each line by themselves, but for a line that another took over from. Those are counted together
 * with the points of its heir, and go as more of these come; the heir's are not counted with them, nor are
 * the points of two lines that have the same heir. now_ns: see retention_now. */
void retention_judge(const struct retention_point *points, size_t count, const struct retention *rule,
                     const struct retention_floor *floor, uint64_t now_ns, enum retention_reason *out);

/* Whether one point may be removed by an order although a rule would keep it: ERR_POLICY names what forbids
 * it (hold, immutability, the floor, the last point of the job). `points` as above; `at` one of them. Here
 * the points of all lines count: an order means this one point, and the last false one of a line must go,
 * too. */
bool retention_may_delete(const struct retention_point *points, size_t count, size_t at,
                          const struct retention *rule, const struct retention_floor *floor, uint64_t now_ns,
                          struct err *err) MUST_CHECK;

/* The moment from which ages are measured: the repository side's clock, but never before its newest entry. */
static inline uint64_t retention_now(uint64_t clock_ns, uint64_t newest_ns)
{
    return clock_ns > newest_ns ? clock_ns : newest_ns;
}

#endif
