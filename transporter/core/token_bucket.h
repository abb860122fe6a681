/* A token bucket: so many bytes a second may pass, and a little at once after a pause. What passes is whole
 * messages: one may pass while there is any token, and what it takes too much is waited for by the next. The
 * rate may change at any time. Pure; the caller brings the time. */
#ifndef SEALIFT_CORE_TOKEN_BUCKET_H
#define SEALIFT_CORE_TOKEN_BUCKET_H

#include <stdint.h>

/* {0} is one that begins to fill with its first question. */
struct token_bucket {
    int64_t bytes; /* less than 0: owed */
    uint64_t at_ms;
};

/* For how long the next message has to wait: 0 is not at all. `bytes_per_s` 0: there is no limit. */
uint64_t token_bucket_wait(struct token_bucket *bucket, uint64_t bytes_per_s, uint64_t now_ms);
/* A message passes. */
void token_bucket_take(struct token_bucket *bucket, uint64_t bytes);

#endif
