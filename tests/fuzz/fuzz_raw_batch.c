/* What a source sends where the target seals: batches of compressed chunks, and questions about ids. The
 * first byte chooses; of a question the second one and the third are how many ids it is said to have. */
#include "common/chunk/compress.h"
#include "transporter/pipeline/raw_batch.h"
#include "transporter/session/asked.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds) abort();
}

static void read_batch(struct span bytes)
{
    struct reader reader = reader_of(bytes);
    struct raw_chunk chunk;
    struct err err;
    bool found = true;
    while (raw_chunk_next(&reader, &chunk, &found, &err) && found) {
        check(chunk.type == FRAME_DATA || chunk.type == FRAME_NODE);
        check(chunk.stored.data >= bytes.data &&
              chunk.stored.data + chunk.stored.len <= bytes.data + bytes.len);
    }
}

static void read_question(struct span bytes, uint32_t count)
{
    static enum frame_type types[ASKED_MAX];
    static struct hash ids[ASKED_MAX];
    struct err err;
    AUTO(buf) struct buf again = {0}, listed = {0};
    if (asked_decode(bytes, count, ASKED_POINT, types, ids, &err)) {
        asked_encode(types, ids, count, &again);
        check(span_eq(buf_span(&again), bytes));
    }
    if (asked_ids_decode(bytes, 1, &listed, &err)) check(span_eq(buf_span(&listed), bytes));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3) return 0;
    if (data[0] == 0)
        read_batch(span_of(data + 1, size - 1));
    else
        read_question(span_of(data + 3, size - 3), (uint32_t)data[1] << 8 | data[2]);
    return 0;
}
