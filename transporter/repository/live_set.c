#include "transporter/repository/live_set.h"

#include "common/base/alloc.h"
#include "common/base/secret.h"

enum { BITS_AN_ID = 16, BLOCK_BITS = 512, BLOCK_WORDS = BLOCK_BITS / 64, PROBES = 7, PROBE_BITS = 9 };
#define LEAST_BLOCKS 1024u
#define MOST_BLOCKS (LIVE_SET_MOST_BYTES / (BLOCK_BITS / 8))

void live_set_init(struct live_set *set, uint64_t expected)
{
    size_t blocks = LEAST_BLOCKS;
    while (blocks < expected / (BLOCK_BITS / BITS_AN_ID) && blocks < MOST_BLOCKS)
        blocks *= 2;
    *set = (struct live_set){.block_mask = blocks - 1};
    set->words = xcalloc(blocks * BLOCK_WORDS, sizeof(*set->words));
    random_bytes(set->secret, sizeof(set->secret));
}

void live_set_deinit(struct live_set *set)
{
    free(set->words);
    *set = (struct live_set){0};
}

static uint64_t mix(const uint8_t *id, const uint64_t *secret)
{
    __extension__ unsigned __int128 product = le64_get(id) ^ secret[0];
    product *= le64_get(id + 8) ^ secret[1];
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t *block_of(const struct live_set *set, const uint8_t *id)
{
    return set->words + (mix(id, set->secret) & set->block_mask) * BLOCK_WORDS;
}

void live_set_add(struct live_set *set, const uint8_t id[static ID_LEN])
{
    uint64_t *block = block_of(set, id);
    uint64_t probes = mix(id, set->secret + 2);
    for (int i = 0; i < PROBES; i++, probes >>= PROBE_BITS)
        block[probes % BLOCK_BITS / 64] |= UINT64_C(1) << probes % 64;
}

bool live_set_has(const struct live_set *set, const uint8_t id[static ID_LEN])
{
    const uint64_t *block = block_of(set, id);
    uint64_t probes = mix(id, set->secret + 2);
    bool found = true;
    for (int i = 0; i < PROBES; i++, probes >>= PROBE_BITS)
        found = found && block[probes % BLOCK_BITS / 64] >> probes % 64 & 1;
    return found;
}
