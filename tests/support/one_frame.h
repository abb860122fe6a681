/* One frame of a repository, for tests. */
#ifndef SEALIFT_TESTS_ONE_FRAME_H
#define SEALIFT_TESTS_ONE_FRAME_H

#include "transporter/repository/repository.h"

/* Appended to `frame`, and its envelope's bytes to `envelope` (nothing for cipher none). The errors of what
 * is missing: ERR_NOT_FOUND, ERR_DAMAGED. */
bool one_frame(struct repository *repository, const struct hash *id, struct buf *frame, struct buf *envelope,
               struct err *err) MUST_CHECK;

#endif
