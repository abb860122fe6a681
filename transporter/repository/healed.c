#include "transporter/repository/healed.h"

#include "transporter/repository/frame_reader.h"

#include <string.h>

#define CHUNKS_MAX (4u * 1024 * 1024)

struct bad_chunk {
    struct id id;
    struct index_location at;
};

void healed_deinit(struct healed *healed)
{
    buf_deinit(&healed->chunks);
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
    if (healed->chunks.len >= CHUNKS_MAX * sizeof(chunk)) return;
    memcpy(chunk.id.bytes, id, ID_LEN);
    buf_put(&healed->chunks, &chunk, sizeof(chunk));
}

/* Whether the frame that the index names there is one of that id. */
static bool reads(struct repository *repository, const struct bad_chunk *chunk,
                  const struct index_location *place)
{
    struct index_pack pack;
    struct frame_view frame;
    struct err ignored;
    AUTO(buf) struct buf bytes = {0};
    AUTO(buf) struct buf envelope = {0};
    return index_pack_get(repository->index, place->pack, &pack, &ignored) &&
           frame_reader_record(repository, &pack, RECORD_FRAME, place->offset, place->len, &bytes,
                               &ignored) &&
           frame_parse(buf_span(&bytes), &frame, &ignored) && frame.type == chunk->at.type &&
           memcmp(frame.chunk.bytes, chunk->id.bytes, ID_LEN) == 0 &&
           (id_is_zero(&frame.seal) ||
            frame_reader_envelope(repository, &pack, &frame.seal, &envelope, &ignored));
}

static bool is_healed(struct repository *repository, const struct bad_chunk *chunk, bool *out,
                      struct err *err)
{
    struct index_location places[INDEX_MAX_LOCATIONS];
    struct hash id = {{0}};
    AUTO(index_view) struct index_view *view = NULL;
    memcpy(id.bytes, chunk->id.bytes, ID_LEN);
    if (!index_view_open(repository->index, &view, err)) return false;
    size_t count = index_locate(view, &id, chunk->at.domain, INDEX_FOR_KEEPING, places);
    index_view_close(view);
    view = NULL;
    *out = false;
    for (size_t i = 0; i < count && !*out; i++)
        *out = places[i].state == INDEX_PACK && reads(repository, chunk, &places[i]);
    return true;
}

bool healed_find(struct repository *repository, struct healed *healed, healed_fn *each, void *arg,
                 struct err *err)
{
    for (size_t at = 0; at < healed->chunks.len; at += sizeof(struct bad_chunk)) {
        struct bad_chunk chunk;
        bool found = false;
        memcpy(&chunk, healed->chunks.data + at, sizeof(chunk));
        if (!is_healed(repository, &chunk, &found, err)) return false;
        if (found) each(arg, &chunk.at);
    }
    return true;
}
