#include "common/base/backoff.h"

#include "common/base/secret.h"

uint64_t backoff_step(struct backoff *backoff)
{
    uint64_t next_ms = backoff->last_ms == 0                     ? backoff->first_ms
                       : backoff->last_ms < backoff->most_ms / 2 ? 2 * backoff->last_ms
                                                                 : backoff->most_ms;
    return backoff->last_ms = next_ms;
}

uint64_t backoff_blur(uint64_t pause_ms, uint32_t noise)
{
    return pause_ms - noise % (pause_ms / 2 + 1);
}

uint64_t backoff_pause(struct backoff *backoff)
{
    uint32_t noise;
    random_bytes(&noise, sizeof(noise));
    return backoff_blur(backoff_step(backoff), noise);
}
