#include "common/base/log_gate.h"

#include "common/base/log.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all gates: it is held for a moment only */

/* The number of this question in its minute, from 1; *left_out: how many lines the minute before lacked. */
static uint64_t ask(struct log_gate *gate, uint64_t now_ms, uint64_t *left_out)
{
    (void)pthread_mutex_lock(&lock);
    *left_out = 0;
    if (now_ms >= gate->until_ms) {
        if (gate->asked > LOG_GATE_LINES) *left_out = gate->asked - LOG_GATE_LINES;
        *gate = (struct log_gate){.until_ms = now_ms + LOG_GATE_MS};
    }
    uint64_t number = ++gate->asked;
    (void)pthread_mutex_unlock(&lock);
    return number;
}

bool log_gate_pass(struct log_gate *gate, const char *event, uint64_t now_ms)
{
    uint64_t left_out;
    uint64_t number = ask(gate, now_ms, &left_out);
    if (left_out > 0) {
        char count[24];
        (void)snprintf(count, sizeof(count), "%" PRIu64, left_out);
        log_event(LOG_WARN, "lines_left_out", "of", event, "count", count, NULL);
    }
    if (number == LOG_GATE_LINES + 1)
        log_event(LOG_WARN, "lines_left_out", "of", event, "next", "no more of these for up to a minute",
                  NULL);
    return number <= LOG_GATE_LINES;
}
