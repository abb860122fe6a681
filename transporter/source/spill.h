/* Memory that may grow large, in an unlinked temporary file instead of the process's own: the kernel
 * writes it out when memory is short, and it is gone with its descriptor. */
#ifndef SEALIFT_SOURCE_SPILL_H
#define SEALIFT_SOURCE_SPILL_H

#include "common/base/err.h"

#include <stddef.h>
#include <stdint.h>

/* An unlinked file in `dir` (NULL: /var/tmp), open for reading and writing. */
bool spill_open(const char *dir, int *fd, struct err *err) MUST_CHECK;

/* A mapped region that only grows. {.fd = -1} is empty. Small ones live in anonymous memory. */
struct spill_region {
    uint8_t *data;
    size_t len;
    int fd; /* -1: anonymous */
};
/* At least `len` bytes, the new ones zero; the data may move. Up to `memory_max` bytes without a file. The
 * file's blocks are reserved, so that touching them cannot fail later: ERR_NO_SPACE comes here. */
bool spill_region_grow(struct spill_region *region, size_t len, size_t memory_max, const char *dir,
                       struct err *err) MUST_CHECK;
void spill_region_deinit(struct spill_region *region);

#endif
