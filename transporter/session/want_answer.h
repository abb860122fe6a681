/* The answer to one Want of a target: parts, then the end with what is missing. A lost connection ends it:
 * what was wanted comes again. */
#ifndef SEALIFT_SESSION_WANT_ANSWER_H
#define SEALIFT_SESSION_WANT_ANSWER_H

#include "transporter/session/dialler.h"

struct want_answer {
    struct dialler *dialler;
    _Atomic uint64_t *sent_bytes; /* counted up */
    uint64_t connection, want;
    bool stale; /* the connection is another by now: what fails does so for nothing else */
};

/* dialler and sent_bytes are set and stay. */
void want_answer_begin(struct want_answer *answer, const struct data_message *want);
/* Both take the bytes. Of an empty part nothing is sent. */
bool want_answer_part(struct want_answer *answer, struct buf *part, struct err *err) MUST_CHECK;
/* `missing`: struct hash each. */
bool want_answer_end(struct want_answer *answer, struct buf *missing, struct err *err) MUST_CHECK;

#endif
