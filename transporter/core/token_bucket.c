#include "transporter/core/token_bucket.h"

enum { PAUSE_MOST_MS = 10000, BURST_PER_S = 10, S_MS = 1000 };
#define RATE_MOST (UINT64_C(1) << 40)
#define OWED_MOST (INT64_C(1) << 40)

uint64_t token_bucket_wait(struct token_bucket *bucket, uint64_t bytes_per_s, uint64_t now_ms)
{
    uint64_t passed_ms = now_ms > bucket->at_ms ? now_ms - bucket->at_ms : 0;
    bucket->at_ms = now_ms;
    if (bytes_per_s == 0) {
        bucket->bytes = 0;
        return 0;
    }
    if (bytes_per_s > RATE_MOST) bytes_per_s = RATE_MOST;
    if (passed_ms > PAUSE_MOST_MS) passed_ms = PAUSE_MOST_MS;
    int64_t burst = (int64_t)(bytes_per_s / BURST_PER_S) + 1;
    bucket->bytes += (int64_t)(passed_ms * bytes_per_s / S_MS);
    if (bucket->bytes > burst) bucket->bytes = burst;
    if (bucket->bytes > 0) return 0;
    return (uint64_t)-bucket->bytes * S_MS / bytes_per_s + 1;
}

void token_bucket_take(struct token_bucket *bucket, uint64_t bytes)
{
    int64_t taken = bytes > (uint64_t)OWED_MOST ? OWED_MOST : (int64_t)bytes;
    bucket->bytes -= taken;
    if (bucket->bytes < -OWED_MOST) bucket->bytes = -OWED_MOST;
}
