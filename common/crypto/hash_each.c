#include "common/crypto/hash_each.h"

#ifndef SEALIFT_BLAKE3_KERNELS

void hash_each(const struct span *contents, size_t count, struct hash *out)
{
    for (size_t i = 0; i < count; i++)
        out[i] = hash_of(contents[i]);
}

#else
/* The tree of section 2.1 of the BLAKE3 paper, of all contents at once, by the functions that the library's
 * own hasher stands on. */
#include "common/base/alloc.h"

#include <blake3.h>
#include <blake3_impl.h>
#include <string.h>

enum { LANES = 16, BLOCKS = BLAKE3_CHUNK_LEN / BLAKE3_BLOCK_LEN };

/* Equal steps, which are done when there are enough of them. */
struct lanes {
    size_t blocks;
    uint8_t flags, first, last; /* of every block, of the first and of the last */
    bool counts;                /* the counter is one more from lane to lane */
    uint64_t counter;
    size_t count;
    const uint8_t *in[LANES];
    uint8_t *out[LANES]; /* may lie where what was added before is read from */
};

/* 15 lanes take four times as long as 16: the kernels know powers of two. */
static size_t fill_up(struct lanes *lanes)
{
    size_t count = lanes->count;
    while ((count & (count - 1)) != 0)
        lanes->in[count++] = lanes->in[0];
    return count;
}

static void lanes_run(struct lanes *lanes)
{
    uint8_t done[LANES * BLAKE3_OUT_LEN];
    if (lanes->count == 0) return;
    blake3_hash_many(lanes->in, fill_up(lanes), lanes->blocks, IV, lanes->counter, lanes->counts,
                     lanes->flags, lanes->first, lanes->last, done);
    for (size_t i = 0; i < lanes->count; i++)
        memcpy(lanes->out[i], done + i * BLAKE3_OUT_LEN, BLAKE3_OUT_LEN);
    lanes->count = 0;
}

static void lanes_add(struct lanes *lanes, const uint8_t *in, uint8_t *out)
{
    lanes->in[lanes->count] = in;
    lanes->out[lanes->count++] = out;
    if (lanes->count == LANES) lanes_run(lanes);
}

/* One content: `nodes` chaining values at `values`, those of its chunks first, then of what is above them. */
struct tree {
    struct span bytes;
    uint8_t *values;
    size_t nodes;
    struct hash *out;
    /* the last chunk, if it is not a whole one or the only one */
    uint32_t tail[8];
    size_t tail_at; /* the next block; SIZE_MAX: none */
};

static size_t whole_chunks(const struct tree *tree)
{
    return tree->nodes == 1 ? 0 : tree->bytes.len / BLAKE3_CHUNK_LEN;
}

static void add_chunk(struct lanes *lanes, const struct tree *tree, size_t chunk)
{
    lanes_add(lanes, tree->bytes.data + chunk * BLAKE3_CHUNK_LEN, tree->values + chunk * BLAKE3_OUT_LEN);
}

/* Chunks of one content beside each other. */
static void hash_long(const struct tree *tree)
{
    struct lanes lanes = {.blocks = BLOCKS, .first = CHUNK_START, .last = CHUNK_END, .counts = true};
    for (size_t chunk = 0; chunk < whole_chunks(tree); chunk++) {
        if (lanes.count == 0) lanes.counter = chunk;
        add_chunk(&lanes, tree, chunk);
    }
    lanes_run(&lanes);
}

static void begin_tail(struct tree *tree)
{
    size_t at = whole_chunks(tree) * BLAKE3_CHUNK_LEN;
    tree->tail_at = at < tree->bytes.len || tree->nodes == 1 ? at : SIZE_MAX;
    memcpy(tree->tail, IV, sizeof(tree->tail));
}

/* The next block of it. */
static bool step_tail(struct tree *tree)
{
    size_t chunk = whole_chunks(tree), at = tree->tail_at;
    if (at == SIZE_MAX) return false;
    uint8_t block[BLAKE3_BLOCK_LEN] = {0};
    size_t left = tree->bytes.len - at;
    bool last = left <= sizeof(block);
    uint8_t flags = at == chunk * BLAKE3_CHUNK_LEN ? CHUNK_START : 0;
    if (last) flags |= tree->nodes == 1 ? CHUNK_END | ROOT : CHUNK_END;
    if (left > 0) memcpy(block, tree->bytes.data + at, last ? left : sizeof(block));
    blake3_compress_in_place(tree->tail, block, (uint8_t)(last ? left : sizeof(block)), chunk, flags);
    tree->tail_at = last ? SIZE_MAX : at + sizeof(block);
    if (last) store_cv_words(tree->values + chunk * BLAKE3_OUT_LEN, tree->tail);
    return !last;
}

/* Block by block in turn: a processor works on the next one while the one before is on its way. */
static void hash_tails(struct tree *trees, size_t count)
{
    for (size_t i = 0; i < count; i++)
        begin_tail(&trees[i]);
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < count; i++)
            more = step_tail(&trees[i]) || more;
    }
}

/* So many chunks have the longest of the contents whose chunks are hashed beside those of others. A step
 * takes as long for few lanes as for all: better one for each content that is longer than most than many for
 * its sake. */
static size_t longest_short(const struct tree *trees, size_t count)
{
    size_t with[LANES] = {0}, longer = 0, longest = 0, least = SIZE_MAX;
    for (size_t i = 0; i < count; i++)
        if (whole_chunks(&trees[i]) < LANES) with[whole_chunks(&trees[i])]++;
    for (size_t chunks = LANES; chunks-- > 0;) {
        size_t steps = chunks + longer;
        if (steps < least) longest = chunks;
        if (steps < least) least = steps;
        longer += with[chunks];
    }
    return longest;
}

/* All first chunks, all second ones, … */
static void hash_short(const struct tree *trees, size_t count, size_t longest)
{
    struct lanes lanes = {.blocks = BLOCKS, .first = CHUNK_START, .last = CHUNK_END};
    for (; lanes.counter < longest; lanes.counter++) {
        size_t chunk = lanes.counter;
        for (size_t i = 0; i < count; i++)
            if (chunk < whole_chunks(&trees[i]) && whole_chunks(&trees[i]) <= longest)
                add_chunk(&lanes, &trees[i], chunk);
        lanes_run(&lanes);
    }
}

static void hash_chunks(struct tree *trees, size_t count)
{
    size_t longest = longest_short(trees, count);
    hash_short(trees, count, longest);
    for (size_t i = 0; i < count; i++)
        if (whole_chunks(&trees[i]) > longest) hash_long(&trees[i]);
    hash_tails(trees, count);
}

/* Each two neighbours become one, and who has none goes on as it is: the tree that BLAKE3 builds. */
static void add_parents(struct tree *tree, struct lanes *lanes)
{
    for (size_t i = 0; i + 1 < tree->nodes; i += 2)
        lanes_add(lanes, tree->values + i * BLAKE3_OUT_LEN, tree->values + i / 2 * BLAKE3_OUT_LEN);
}

static bool end_level(struct tree *tree)
{
    if (tree->nodes <= 2) return false;
    size_t half = tree->nodes / 2;
    if (tree->nodes % 2 > 0)
        memmove(tree->values + half * BLAKE3_OUT_LEN, tree->values + (tree->nodes - 1) * BLAKE3_OUT_LEN,
                BLAKE3_OUT_LEN);
    tree->nodes = half + tree->nodes % 2;
    return tree->nodes > 2;
}

static void hash_parents(struct tree *trees, size_t count)
{
    struct lanes lanes = {.blocks = 1, .flags = PARENT};
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < count; i++)
            if (trees[i].nodes > 2) add_parents(&trees[i], &lanes);
        lanes_run(&lanes);
        for (size_t i = 0; i < count; i++)
            more = end_level(&trees[i]) || more;
    }
    lanes.flags |= ROOT;
    for (size_t i = 0; i < count; i++) {
        if (trees[i].nodes == 1)
            memcpy(trees[i].out->bytes, trees[i].values, BLAKE3_OUT_LEN);
        else
            lanes_add(&lanes, trees[i].values, trees[i].out->bytes);
    }
    lanes_run(&lanes);
}

static size_t chunks_of(struct span bytes)
{
    size_t chunks = bytes.len / BLAKE3_CHUNK_LEN + (bytes.len % BLAKE3_CHUNK_LEN > 0);
    return chunks > 0 ? chunks : 1;
}

void hash_each(const struct span *contents, size_t count, struct hash *out)
{
    size_t chunks = 0;
    for (size_t i = 0; i < count; i++)
        chunks += chunks_of(contents[i]);
    if (count == 0) return;
    AUTO(free) uint8_t *values = xreallocarray(NULL, chunks, BLAKE3_OUT_LEN);
    AUTO(free) struct tree *trees = xreallocarray(NULL, count, sizeof(*trees));
    uint8_t *next = values;
    for (size_t i = 0; i < count; i++) {
        size_t nodes = chunks_of(contents[i]);
        trees[i] = (struct tree){.bytes = contents[i], .values = next, .nodes = nodes, .out = &out[i]};
        next += nodes * BLAKE3_OUT_LEN;
    }
    hash_chunks(trees, count);
    hash_parents(trees, count);
}
#endif
