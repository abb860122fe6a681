#include "common/base/log_gate.h"

#include "common/base/log.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all gates: it is held for a moment only */

/* What a minute lacked. */
struct left_out {
    uint64_t count;
    const char *event;
};

static const char *event_of_both(const char *one, const char *other)
{
    return !one || strcmp(one, other) == 0 ? other : "several";
}

/* The number of this question in its minute, from 1; *before: of the minute before. */
static uint64_t ask(struct log_gate *gate, const char *event, uint64_t now_ms, struct left_out *before)
{
    (void)pthread_mutex_lock(&lock);
    *before = (struct left_out){0};
    if (now_ms >= gate->until_ms) {
        if (gate->asked > LOG_GATE_LINES)
            *before = (struct left_out){.count = gate->asked - LOG_GATE_LINES, .event = gate->left_out};
        *gate = (struct log_gate){.until_ms = now_ms + LOG_GATE_MS};
    }
    uint64_t number = ++gate->asked;
    if (number > LOG_GATE_LINES) gate->left_out = event_of_both(gate->left_out, event);
    (void)pthread_mutex_unlock(&lock);
    return number;
}

bool log_gate_pass(struct log_gate *gate, const char *event, uint64_t now_ms)
{
    struct left_out before;
    uint64_t number = ask(gate, event, now_ms, &before);
    if (before.count > 0) {
        char count[24];
        (void)snprintf(count, sizeof(count), "%" PRIu64, before.count);
        log_event(LOG_WARN, "lines_left_out", "of", before.event, "count", count, NULL);
    }
    if (number == LOG_GATE_LINES + 1)
        log_event(LOG_WARN, "lines_left_out", "of", event, "next", "no more of these for up to a minute",
                  NULL);
    return number <= LOG_GATE_LINES;
}
