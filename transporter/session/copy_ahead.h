/* What a copy asks about in advance: the tops of the next points' trees, in one question, where level by
 * level each would take a round trip. Private to
 * copy*.c. */
#ifndef SEALIFT_SESSION_COPY_AHEAD_H
#define SEALIFT_SESSION_COPY_AHEAD_H

#include "transporter/session/copy.h"
#include "transporter/session/copy_frames.h"

struct copy_ahead;

struct copy_ahead *copy_ahead_new(void);
void copy_ahead_free(struct copy_ahead *ahead);
DEFINE_AUTO(copy_ahead, struct copy_ahead *, copy_ahead_free)

/* Forgets what it knew, and asks about as many of these points as one question has room for; `*looked_at`:
 * how many, at least one. A point that is damaged here, or is none of the job's, is passed over. Begins
 * points of `frames`: none may be on its way. */
bool copy_ahead_ask(struct copy_ahead *ahead, const struct copy_options *options, struct copy_frames *frames,
                    const struct hash *points, size_t count, size_t *looked_at, struct err *err) MUST_CHECK;
void copy_ahead_forget(struct copy_ahead *ahead);
/* Whether the answer is known: an asked_have. Who hears that it is lacking takes charge of it, and whoever
 * asks later hears that it is there. */
bool copy_ahead_take(struct copy_ahead *ahead, enum frame_type type, const struct hash *id, uint8_t *have);

#endif
