/* Pauses between tries that fail: the first, then doubled up to the longest, and blurred, so that those who
 * lost the same thing do not come back together. A value. */
#ifndef SEALIFT_BASE_BACKOFF_H
#define SEALIFT_BASE_BACKOFF_H

#include <stdint.h>

struct backoff {
    uint64_t first_ms, most_ms;
    uint64_t last_ms; /* the last pause, not blurred; 0: there was none since the last success */
};

static inline void backoff_reset(struct backoff *backoff)
{
    backoff->last_ms = 0;
}

/* The next pause. */
uint64_t backoff_step(struct backoff *backoff);
/* Of a pause: between half of it and all of it, as `noise` says. */
uint64_t backoff_blur(uint64_t pause_ms, uint32_t noise);
/* The next pause, blurred by chance. */
uint64_t backoff_pause(struct backoff *backoff);

#endif
