/* How many browse answers may be under way to the director, across all runs. A run that would send one more
 * waits. Any thread. */
#ifndef SEALIFT_TLOOP_ANSWER_WINDOW_H
#define SEALIFT_TLOOP_ANSWER_WINDOW_H

#include "common/base/auto.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct answer_window;

struct answer_window *answer_window_new(unsigned size);
void answer_window_free(struct answer_window *window);
DEFINE_AUTO(answer_window, struct answer_window *, answer_window_free)

/* Waits for room; the serial of the answer that may go now. False once the window is closed. */
bool answer_window_enter(struct answer_window *window, uint64_t *serial);
/* Whether a serial that came back is an answer's; RunEnds have others. */
bool answer_window_is_answer(uint64_t serial);
/* One has arrived. */
void answer_window_leave(struct answer_window *window);
/* Whatever is under way is lost: the browse is asked again by its operator. */
void answer_window_reset(struct answer_window *window);
/* For good: nobody waits from now on. */
void answer_window_close(struct answer_window *window);

#endif
