#include "chunks.h"

#include <string.h>

void chunk_fill(struct buf *out, uint64_t seed, size_t len)
{
    buf_clear(out);
    uint8_t *bytes = buf_grow(out, len);
    uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
    for (size_t i = 0; i < len; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        bytes[i] = (i / 64) % 2 ? (uint8_t)seed : (uint8_t)(state >> 56);
    }
}

struct hash chunk_content(uint64_t seed, size_t len)
{
    AUTO(buf) struct buf bytes = {0};
    chunk_fill(&bytes, seed, len);
    return hash_of(buf_span(&bytes));
}

bool chunk_put(struct packer *packer, uint64_t seed, size_t len, struct err *err)
{
    AUTO(buf) struct buf bytes = {0};
    chunk_fill(&bytes, seed, len);
    struct hash content = hash_of(buf_span(&bytes));
    return packer_put(packer, &bytes, &content, err);
}
