#include "transporter/pipeline/reseal.h"

#include "common/base/alloc.h"
#include "common/chunk/compress.h"

struct resealer {
    struct packer *data;
    struct packer *nodes;
    struct decompressor *decompressor;
    struct buf plain;
};

bool resealer_new(struct sealing *sealing, struct chunk_pool *pool, struct resealer **out, struct err *err)
{
    AUTO(resealer) struct resealer *resealer = xcalloc(1, sizeof(*resealer));
    if (!packer_new(sealing, pool, PACK_DATA, &resealer->data, err) ||
        !packer_new(sealing, pool, PACK_META, &resealer->nodes, err) ||
        !decompressor_new(&resealer->decompressor, err))
        return false;
    *out = resealer;
    resealer = NULL;
    return true;
}

void resealer_free(struct resealer *resealer)
{
    if (!resealer) return;
    packer_free(resealer->data);
    packer_free(resealer->nodes);
    decompressor_free(resealer->decompressor);
    buf_deinit(&resealer->plain);
    free(resealer);
}

/* What the peer got wrong is the peer's fault, whichever of our checks finds it. */
static bool blame_peer(struct err *err)
{
    if (err->code == ERR_DAMAGED || err->code == ERR_TRUNCATED || err->code == ERR_LIMIT)
        err->code = ERR_PROTOCOL;
    return err_wrap(err, "raw batch");
}

/* The plaintext, verified. */
static bool open_chunk(struct resealer *resealer, const struct raw_chunk *chunk, struct span *plain,
                       struct err *err)
{
    *plain = chunk->stored;
    if (chunk->compression != COMPRESS_NONE) {
        buf_clear(&resealer->plain);
        uint8_t *out = buf_grow(&resealer->plain, chunk->raw_len);
        if (!decompress_chunk(resealer->decompressor, chunk->compression, chunk->stored, out, chunk->raw_len,
                              err))
            return blame_peer(err);
        *plain = buf_span(&resealer->plain);
    }
    struct hash content = hash_of(*plain);
    if (hash_eq(&content, &chunk->content)) return true;
    return err_set(err, ERR_PROTOCOL, "raw batch: a chunk is not what its content hash says");
}

static bool reseal_chunk(struct resealer *resealer, const struct raw_chunk *chunk, struct err *err)
{
    struct span plain;
    if (!open_chunk(resealer, chunk, &plain, err)) return false;
    if (chunk->type == FRAME_DATA) return packer_put_stored(resealer->data, chunk, plain, err);
    if (packer_put_stored(resealer->nodes, chunk, plain, err)) return true;
    return blame_peer(err);
}

bool reseal_batch(struct resealer *resealer, struct span raw, uint64_t *last, struct err *err)
{
    struct reader reader = reader_of(raw);
    struct raw_chunk chunk;
    bool found = true;
    while (true) {
        if (!raw_chunk_next(&reader, &chunk, &found, err)) return false;
        if (!found) break;
        if (!reseal_chunk(resealer, &chunk, err)) return false;
    }
    uint64_t data = 0;
    uint64_t nodes = 0;
    if (!packer_flush(resealer->data, &data, err) || !packer_flush(resealer->nodes, &nodes, err))
        return false;
    *last = data > nodes ? data : nodes;
    return true;
}
