#include "tests/unit/chunk/sample.h"

#include <string.h>

static uint64_t next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

uint64_t sample_noise(uint8_t *out, size_t len, uint64_t seed)
{
    uint64_t number = 0;

    for (size_t i = 0; i < len; i++) {
        if (i % 8 == 0) number = next(&seed);
        out[i] = (uint8_t)(number >> 8 * (i % 8));
    }
    return seed;
}

void sample_words(uint8_t *out, size_t len, uint64_t seed)
{
    static const char *const words[] = {"tide ", "anchor ",   "the ",   "mast ",
                                        "of ",   "harbour\n", "rope, ", "a "};

    for (size_t i = 0; i < len;) {
        const char *word = words[next(&seed) >> 61];
        size_t take = strlen(word) < len - i ? strlen(word) : len - i;
        memcpy(out + i, word, take);
        i += take;
    }
}

void sample_nibbles(uint8_t *out, size_t len, uint64_t seed)
{
    sample_noise(out, len, seed);
    for (size_t i = 0; i < len; i++)
        out[i] &= 0x0f;
}
