/* How far a backup has come while it runs. Pure. */
#ifndef SEALIFT_CORE_CONTENT_PROGRESS_H
#define SEALIFT_CORE_CONTENT_PROGRESS_H

#include <stdint.h>

/* Bytes. */
struct content_progress {
    uint64_t found;        /* content of the files that were walked */
    uint64_t read;         /* of it, read from the source */
    uint64_t unread;       /* of it, that needed no reading */
    uint64_t deduplicated; /* of the read and the unread: there already */
    uint64_t sent;         /* as stored, for the rest */
    uint64_t waiting;      /* of what was sent: not known to be durable */
};

/* How much content is in the repository, as far as can be told: what waits there counts for as much content
 * as what was sent so far has shown to be worth. Never more than was found. */
uint64_t content_done(const struct content_progress *progress);

#endif
