/* One question of inlet_remote for frames, or for a point's file: what is still to be asked, and what its
 * answer may bring. Private to inlet_remote.c. What comes is the other side's: it is told to the sink only if
 * it was asked for and not told before. No lock and no connection; one thread. */
#ifndef SEALIFT_SESSION_INLET_QUESTION_H
#define SEALIFT_SESSION_INLET_QUESTION_H

#include "transporter/pipeline/inlet.h"
#include "transporter/session/data_message.h"

struct inlet_question {
    struct buf *file; /* of a point: what comes is its file, appended; NULL: records */

    const struct hash **sorted; /* ids in ascending order */
    uint8_t *told;              /* for each of them */
    size_t count, told_count;
    struct buf rewraps; /* records that stand before an envelope */
};

/* `ids` must stay. `file`: as above; one id then. */
void inlet_question_init(struct inlet_question *question, const struct hash *ids, size_t count,
                         struct buf *file);
void inlet_question_deinit(struct inlet_question *question);

/* Appends what was not told yet, as the payload of a Want; returns how many ids that are. A part of an answer
 * that was cut off is forgotten. */
uint32_t inlet_question_encode(struct inlet_question *question, struct buf *out);
/* Each id was told. */
bool inlet_question_is_answered(const struct inlet_question *question);

/* Frames: tells what it brings. ERR_PROTOCOL: it is not of an answer to this; or the sink's error. */
bool inlet_question_part(struct inlet_question *question, const struct inlet_sink *sink, struct span bytes,
                         struct err *err) MUST_CHECK;
/* FetchEnd: tells what is missing, and that nothing was told of what is left. */
bool inlet_question_end(struct inlet_question *question, const struct inlet_sink *sink,
                        const struct data_message *message, struct err *err) MUST_CHECK;

#endif
