#include "transporter/pipeline/packer.h"

#include "common/base/alloc.h"
#include "common/crypto/record.h"
#include "transporter/pipeline/clear_list.h"

#include <string.h>

/* A chunk whose fate is open: everything about it but its place in a batch. */
struct parked {
    enum frame_type type;
    struct hash content;
    struct hash id;
    struct buf plain;
    struct clear_list clear;
};

struct packer {
    struct sealing *sealing;
    struct chunk_pool *pool;
    enum seal_place place;
    enum pack_class class_;
    enum frame_type type;
    size_t most; /* plaintext bytes of a chunk */
    struct compressor *compressor;
    struct frame_sealer *sealer; /* NULL: SEAL_THERE */

    struct parked *parked; /* PACKER_PARK_CHUNKS */
    size_t parked_count;
    size_t parked_bytes;

    struct buf batch;
    struct hash hashes[SEAL_LIST_MAX]; /* of the frames in the batch */
    size_t count;
    uint64_t last_number;
};

static void parked_clear(struct parked *chunk)
{
    buf_deinit(&chunk->plain);
    clear_list_deinit(&chunk->clear);
}

bool packer_new(struct sealing *sealing, struct chunk_pool *pool, enum pack_class class_, struct packer **out,
                struct err *err)
{
    const struct sealing_options *options = sealing_options(sealing);
    AUTO(packer) struct packer *packer = xcalloc(1, sizeof(*packer));
    packer->sealing = sealing;
    packer->pool = pool;
    packer->place = options->place;
    packer->class_ = class_;
    packer->type = class_ == PACK_META ? FRAME_NODE : FRAME_DATA;
    packer->most = class_ == PACK_META ? FRAME_MAX_RAW_NODE : FRAME_MAX_RAW_DATA;
    packer->parked = xcalloc(PACKER_PARK_CHUNKS, sizeof(*packer->parked));
    if (!compressor_new(&options->compress, &packer->compressor, err)) return false;
    if (packer->place == SEAL_HERE && !sealing_sealer(sealing, &packer->sealer, err)) return false;
    *out = packer;
    packer = NULL;
    return true;
}

void packer_free(struct packer *packer)
{
    if (!packer) return;
    for (size_t i = 0; i < PACKER_PARK_CHUNKS; i++)
        parked_clear(&packer->parked[i]);
    free(packer->parked);
    compressor_free(packer->compressor);
    frame_sealer_free(packer->sealer);
    buf_deinit(&packer->batch);
    free(packer);
}

static bool send_batch(struct packer *packer, struct err *err)
{
    if (packer->count == 0) return true;
    if (!sealing_send(packer->sealing, packer->class_, &packer->batch, packer->hashes, packer->count,
                      &packer->last_number, err))
        return false;
    packer->count = 0;
    buf_clear(&packer->batch);
    return true;
}

/* Room for a record of `len` bytes and, at the end, for the list. A batch that is not empty is sent
 * rather than grown. */
static bool make_room(struct packer *packer, size_t len, struct err *err)
{
    size_t list = RECORD_HEADER_LEN + SEAL_LIST_FIXED_LEN + (packer->count + 1) * HASH_LEN;
    if (packer->count > 0 && (packer->batch.len + len > PACKER_BATCH || packer->count == SEAL_LIST_MAX) &&
        !send_batch(packer, err))
        return false;
    size_t room = len + list;
    if (packer->batch.cap == 0 && room < PACKER_BATCH) room = PACKER_BATCH + PACKER_BATCH / 16;
    buf_reserve(&packer->batch, room);
    return true;
}

static bool add_frame(struct packer *packer, const struct frame_input *input, struct err *err)
{
    size_t len = frame_sealed_len(packer->sealer, input);
    if (!make_room(packer, RECORD_HEADER_LEN + len, err)) return false;
    size_t start = packer->batch.len;
    uint8_t *record = buf_grow(&packer->batch, RECORD_HEADER_LEN + len);
    uint8_t *frame = record + RECORD_HEADER_LEN;
    if (!frame_seal(packer->sealer, input, frame, err)) {
        packer->batch.len = start;
        return false;
    }
    struct hash hash = hash_of(span_of(frame, len));
    record_header(RECORD_FRAME, len, &hash, record);
    packer->hashes[packer->count++] = hash;
    return true;
}

static bool add_raw(struct packer *packer, const struct raw_chunk *chunk, struct err *err)
{
    if (!make_room(packer, RAW_CHUNK_HEADER_LEN + chunk->stored.len, err)) return false;
    raw_chunk_header(chunk, buf_grow(&packer->batch, RAW_CHUNK_HEADER_LEN));
    buf_put_span(&packer->batch, chunk->stored);
    packer->count++;
    return true;
}

/* A chunk that is compressed and certainly wanted goes into the batch. */
static bool add(struct packer *packer, const struct raw_chunk *chunk, const struct hash *id,
                const struct clear_list *clear, struct err *err)
{
    if (packer->place == SEAL_THERE) return add_raw(packer, chunk, err);
    struct frame_input input = {
        .type = chunk->type,
        .chunk = *id,
        .raw_len = chunk->raw_len,
        .compression = chunk->compression,
        .stored = chunk->stored,
        .nodes = clear_list_nodes(clear),
        .node_count = clear->node_count,
        .datas = clear_list_datas(clear),
        .data_count = clear->data_count,
    };
    return add_frame(packer, &input, err);
}

static bool compress_into(struct packer *packer, const struct parked *chunk, struct span plain,
                          struct buf *scratch, struct err *err)
{
    struct compressed compressed;
    if (!compress_chunk(packer->compressor, plain, scratch->data, scratch->cap, &compressed, err))
        return false;
    struct raw_chunk raw = {
        .type = chunk->type,
        .compression = (uint8_t)compressed.method,
        .raw_len = (uint32_t)plain.len,
        .content = chunk->content,
        .stored = compressed.bytes,
    };
    return add(packer, &raw, &chunk->id, &chunk->clear, err);
}

static bool compress_and_add(struct packer *packer, const struct parked *chunk, struct span plain,
                             struct err *err)
{
    AUTO(buf) struct buf scratch = chunk_pool_get(packer->pool, compress_bound(plain.len));
    bool added = compress_into(packer, chunk, plain, &scratch, err);
    chunk_pool_put(packer->pool, &scratch);
    return added;
}

/* Nodes are not counted: nobody read them from the source. */
static void note_deduplicated(struct packer *packer, size_t len)
{
    if (packer->type == FRAME_DATA) sealing_note_deduplicated(packer->sealing, len);
}

static bool ask_parked(struct packer *packer, struct err *err)
{
    enum frame_type types[PACKER_PARK_CHUNKS];
    struct hash ids[PACKER_PARK_CHUNKS];
    uint8_t have[PACKER_PARK_CHUNKS] = {0};
    size_t count = packer->parked_count;
    if (count == 0) return true;
    for (size_t i = 0; i < count; i++) {
        types[i] = packer->parked[i].type;
        ids[i] = packer->parked[i].id;
    }
    if (!sealing_ask(packer->sealing, types, ids, count, have, err)) return false;
    packer->parked_count = 0;
    packer->parked_bytes = 0;
    for (size_t i = 0; i < count; i++) {
        if (have[i])
            note_deduplicated(packer, packer->parked[i].plain.len);
        else if (!compress_and_add(packer, &packer->parked[i], buf_span(&packer->parked[i].plain), err))
            return false;
        chunk_pool_put(packer->pool, &packer->parked[i].plain);
    }
    return true;
}

/* Moves the bytes, or copies them when they would keep a much larger buffer waiting. */
static void take(struct packer *packer, struct buf *chunk, struct buf *place)
{
    chunk_pool_put(packer->pool, place);
    if (chunk->len < chunk->cap / 2) {
        *place = chunk_pool_get(packer->pool, chunk->len);
        buf_put_span(place, buf_span(chunk));
        buf_clear(chunk);
        return;
    }
    *place = *chunk;
    *chunk = (struct buf){0};
}

static bool check_chunk(const struct packer *packer, size_t len, struct err *err)
{
    if (len > 0 && len <= packer->most) return true;
    return err_set(err, ERR_LIMIT, "a chunk of %zu bytes cannot be stored: 1 to %zu are allowed", len,
                   packer->most);
}

/* The next free place, filled but for the bytes. */
static bool describe(struct packer *packer, const struct hash *content, const struct hash *id,
                     struct span plain, struct parked *chunk, struct err *err)
{
    chunk->type = packer->type;
    chunk->content = *content;
    chunk->id = *id;
    clear_list_reset(&chunk->clear);
    if (packer->type != FRAME_NODE || packer->place == SEAL_THERE) return true;
    return clear_list_derive(&chunk->clear, packer->sealing, plain, err);
}

static bool add_at_once(struct packer *packer, const struct parked *described, struct buf *chunk,
                        struct err *err)
{
    if (!compress_and_add(packer, described, buf_span(chunk), err)) return false;
    buf_clear(chunk);
    return true;
}

static bool group_is_full(const struct packer *packer)
{
    size_t most = sealing_is_unasked(packer->sealing, packer->type) ? PACKER_PROBE_BYTES : PACKER_PARK_BYTES;
    return packer->parked_count == PACKER_PARK_CHUNKS || packer->parked_bytes >= most;
}

bool packer_put(struct packer *packer, struct buf *chunk, const struct hash *content, struct err *err)
{
    if (!check_chunk(packer, chunk->len, err)) return false;
    struct hash id = sealing_id(packer->sealing, packer->type, content);
    if (!sealing_claim(packer->sealing, packer->type, &id)) {
        note_deduplicated(packer, chunk->len);
        buf_clear(chunk);
        return true;
    }
    struct parked *place = &packer->parked[packer->parked_count];
    if (!describe(packer, content, &id, buf_span(chunk), place, err)) return false;
    if (!sealing_should_ask(packer->sealing, packer->type)) return add_at_once(packer, place, chunk, err);
    take(packer, chunk, &place->plain);
    packer->parked_count++;
    packer->parked_bytes += place->plain.len;
    return !group_is_full(packer) || ask_parked(packer, err);
}

bool packer_put_stored(struct packer *packer, const struct raw_chunk *chunk, struct span plain,
                       struct err *err)
{
    if (!check_chunk(packer, plain.len, err)) return false;
    struct hash id = sealing_id(packer->sealing, packer->type, &chunk->content);
    if (!sealing_claim(packer->sealing, packer->type, &id)) {
        note_deduplicated(packer, plain.len);
        return true;
    }
    struct parked *place = &packer->parked[packer->parked_count];
    if (!describe(packer, &chunk->content, &id, plain, place, err)) return false;
    return add(packer, chunk, &id, &place->clear, err);
}

bool packer_flush(struct packer *packer, uint64_t *last, struct err *err)
{
    if (!ask_parked(packer, err) || !send_batch(packer, err)) return false;
    if (last) *last = packer->last_number;
    return true;
}
