/* What a function writes to stderr, as text. */
#ifndef SEALIFT_TEST_CAPTURE_H
#define SEALIFT_TEST_CAPTURE_H

#include "common/base/bytes.h"

struct capture {
    int saved;
    int file;
};

struct capture capture_start(void);
/* puts stderr back; the text is good until `out` is released */
const char *capture_stop(struct capture *capture, struct buf *out);

#endif
