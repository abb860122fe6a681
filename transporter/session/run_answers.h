/* Answers of a browse on their way to the operator who asked, each sealed to his box key (docs/protocol.md).
 * Private to run*.c. The run's thread. */
#ifndef SEALIFT_SESSION_RUN_ANSWERS_H
#define SEALIFT_SESSION_RUN_ANSWERS_H

#include "transporter/session/run_inside.h"

#define RUN_ANSWER_MAX (1024u * 1024) /* bytes of anything in one answer */

/* The last answer is marked, so one is always kept back in `pending`. */
struct run_answers {
    struct run *run;
    const Sealift__Member *operator;
    uint64_t number;
    struct buf pending;
};

enum run_answer { RUN_ANSWER_MORE, RUN_ANSWER_LAST };
/* Seals and sends what is pending, and empties it. Waits while too many are under way. */
bool run_answers_send(struct run_answers *answers, enum run_answer which, struct err *err) MUST_CHECK;

#endif
