#include "transporter/repository/healed.h"

#include "transporter/repository/frame_reader.h"

#include <string.h>

#define REFUTED_MAX 4096u

struct bad_chunk {
    struct id id;
    struct index_location at;
};

struct refuted {
    uint32_t pack, offset;
};

void healed_deinit(struct healed *healed)
{
    buf_deinit(&healed->chunks);
    buf_deinit(&healed->refuted);
}

void healed_clear(struct healed *healed)
{
    buf_clear(&healed->chunks);
}

bool healed_is_bad(struct repository *repository, const struct index_pack *pack)
{
    if (pack->state == INDEX_DAMAGED || pack->state == INDEX_LOST) return true;
    return pack->state == INDEX_CONDEMNED && damage_marks_has(repository->marks, &pack->name);
}

void healed_note(struct healed *healed, const uint8_t *id, const struct index_location *location)
{
    struct bad_chunk chunk = {.at = *location};
    if (healed->chunks.len >= HEALED_AT_ONCE * sizeof(chunk)) return;
    memcpy(chunk.id.bytes, id, ID_LEN);
    buf_put(&healed->chunks, &chunk, sizeof(chunk));
}

void healed_refute(struct healed *healed, uint32_t pack, uint32_t offset)
{
    struct refuted place = {.pack = pack, .offset = offset};
    if (healed->refuted.len < REFUTED_MAX * sizeof(place)) buf_put(&healed->refuted, &place, sizeof(place));
}

static bool is_refuted(const struct healed *healed, const struct index_location *at)
{
    for (size_t i = 0; i < healed->refuted.len; i += sizeof(struct refuted)) {
        struct refuted place;
        memcpy(&place, healed->refuted.data + i, sizeof(place));
        if (place.pack == at->pack && place.offset == at->offset) return true;
    }
    return false;
}

/* A frame as it reads at one place, with its envelope (empty: it needs none). */
struct reading {
    struct buf frame, envelope;
};

static void reading_deinit(struct reading *reading)
{
    buf_deinit(&reading->frame);
    buf_deinit(&reading->envelope);
}
DEFINE_AUTO_IN_PLACE(reading, struct reading, reading_deinit)

/* Whether the frame that the index names there is one of that id. */
static bool reads(struct repository *repository, const struct bad_chunk *chunk,
                  const struct index_location *place, struct reading *out)
{
    struct index_pack pack;
    struct frame_view frame;
    struct err ignored;
    return index_pack_get(repository->index, place->pack, &pack, &ignored) &&
           frame_reader_record(repository, &pack, RECORD_FRAME, place->offset, place->len, &out->frame,
                               &ignored) &&
           frame_parse(buf_span(&out->frame), &frame, &ignored) && frame.type == chunk->at.type &&
           memcmp(frame.chunk.bytes, chunk->id.bytes, ID_LEN) == 0 &&
           (id_is_zero(&frame.seal) ||
            frame_reader_envelope(repository, &pack, &frame.seal, &out->envelope, &ignored));
}

/* All places: whoever writes in the domain may put any number of others before the one that is wanted. */
static bool find_places(struct repository *repository, const struct bad_chunk *chunk, struct buf *places,
                        struct err *err)
{
    struct hash id = {{0}};
    AUTO(index_view) struct index_view *view = NULL;
    memcpy(id.bytes, chunk->id.bytes, ID_LEN);
    return index_view_open(repository->index, &view, err) &&
           index_locate_all(view, &id, chunk->at.domain, INDEX_FOR_KEEPING, places, err);
}

/* here: how it reads where it is; NULL: it does not. */
static bool is_elsewhere(struct repository *repository, const struct bad_chunk *chunk,
                         const struct reading *here, bool *out, struct err *err)
{
    AUTO(buf) struct buf places = {0};
    if (!find_places(repository, chunk, &places, err)) return false;
    *out = false;
    for (size_t at = 0; at < places.len && !*out; at += sizeof(struct index_location)) {
        struct index_location place;
        AUTO(reading) struct reading there = {0};
        memcpy(&place, places.data + at, sizeof(place));
        if (place.state != INDEX_PACK || (here && place.len != chunk->at.len)) continue;
        *out = reads(repository, chunk, &place, &there) &&
               (!here || (span_eq(buf_span(&there.frame), buf_span(&here->frame)) &&
                          span_eq(buf_span(&there.envelope), buf_span(&here->envelope))));
    }
    return true;
}

bool healed_find(struct repository *repository, struct healed *healed, healed_fn *each, void *arg,
                 struct err *err)
{
    for (size_t at = 0; at < healed->chunks.len; at += sizeof(struct bad_chunk)) {
        struct bad_chunk chunk;
        bool elsewhere = false;
        AUTO(reading) struct reading here = {0};
        memcpy(&chunk, healed->chunks.data + at, sizeof(chunk));
        bool good = reads(repository, &chunk, &chunk.at, &here) && !is_refuted(healed, &chunk.at);
        if (!is_elsewhere(repository, &chunk, good ? &here : NULL, &elsewhere, err)) return false;
        if (elsewhere || good) each(arg, &chunk.at, elsewhere ? HEALED_ELSEWHERE : HEALED_HERE);
    }
    return true;
}
