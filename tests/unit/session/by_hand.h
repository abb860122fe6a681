/* A listening end that answers by hand, whatever a test makes it say. */
#ifndef SEALIFT_TEST_SESSION_BY_HAND_H
#define SEALIFT_TEST_SESSION_BY_HAND_H

#include "ends.h"

/* Answers the first Open, with a credit of 1 MiB; the connection. The ends have admitted it. */
uint64_t open_by_hand(struct ends *ends, struct dialler *dialler);
/* The kind and what belongs to it are in the head. */
void answer_by_hand(struct ends *ends, uint64_t connection, Sealift__Head *head, struct span payload);

#endif
