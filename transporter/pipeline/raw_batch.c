#include "transporter/pipeline/raw_batch.h"

#include "common/chunk/compress.h"

#include <string.h>

void raw_chunk_header(const struct raw_chunk *chunk, uint8_t out[static RAW_CHUNK_HEADER_LEN])
{
    memset(out, 0, RAW_CHUNK_HEADER_LEN);
    out[0] = (uint8_t)chunk->type;
    out[1] = chunk->compression;
    le32_put(out + 4, chunk->raw_len);
    le32_put(out + 8, (uint32_t)chunk->stored.len);
    memcpy(out + 12, chunk->content.bytes, HASH_LEN);
}

/* Lengths that no honest writer sends: empty chunks, chunks over the format's limits, and compression that
 * did not make anything smaller. */
static bool lengths_ok(const struct raw_chunk *chunk, uint32_t stored_len)
{
    uint32_t most = chunk->type == FRAME_NODE ? FRAME_MAX_RAW_NODE : FRAME_MAX_RAW_DATA;
    if (chunk->raw_len == 0 || chunk->raw_len > most) return false;
    if (chunk->compression == COMPRESS_NONE) return stored_len == chunk->raw_len;
    return stored_len > 0 && stored_len < chunk->raw_len;
}

bool raw_chunk_next(struct reader *batch, struct raw_chunk *out, bool *found, struct err *err)
{
    if (reader_ok(batch) && reader_left(batch) == 0) {
        *found = false;
        return true;
    }
    struct raw_chunk chunk = {0};
    size_t start = batch->pos;
    uint8_t type = reader_u8(batch);
    chunk.compression = reader_u8(batch);
    uint16_t reserved = reader_u16(batch);
    chunk.raw_len = reader_u32(batch);
    uint32_t stored_len = reader_u32(batch);
    reader_copy(batch, chunk.content.bytes, HASH_LEN);
    if (!reader_ok(batch)) return err_set(err, ERR_PROTOCOL, "raw batch ends inside a chunk's header");
    if ((type != FRAME_DATA && type != FRAME_NODE) || chunk.compression > COMPRESS_ZSTD || reserved != 0)
        return err_set(err, ERR_PROTOCOL, "raw batch: unknown kind of chunk at byte %zu", start);
    chunk.type = type;
    if (!lengths_ok(&chunk, stored_len))
        return err_set(err, ERR_PROTOCOL, "raw batch: lengths of the chunk at byte %zu are impossible",
                       start);
    chunk.stored = reader_bytes(batch, stored_len);
    if (!reader_ok(batch)) return err_set(err, ERR_PROTOCOL, "raw batch ends inside a chunk");
    *out = chunk;
    *found = true;
    return true;
}
