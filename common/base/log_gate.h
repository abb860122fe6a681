/* A bound on lines that others can cause as often as they like, so that nobody fills a log's disk: of one
 * gate some lines a minute pass. Where lines are left out, one says so, and a later one how many. Any thread.
 */
#ifndef SEALIFT_BASE_LOG_GATE_H
#define SEALIFT_BASE_LOG_GATE_H

#include <stdbool.h>
#include <stdint.h>

enum { LOG_GATE_LINES = 60, LOG_GATE_MS = 60000 };

/* {0} is one through which nothing went. */
struct log_gate {
    uint64_t until_ms;    /* the end of this minute */
    uint64_t asked;       /* in it */
    const char *left_out; /* the event of the lines left out in it, or "several" */
};

/* Whether a line with this event, which is a literal, may be logged now (clock_steady_ms); it is the caller's
 * to do so. */
bool log_gate_pass(struct log_gate *gate, const char *event, uint64_t now_ms);

#endif
