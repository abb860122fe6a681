#include "transporter/repository/healed.h"

#include "common/base/alloc.h"
#include "transporter/repository/frame_reader.h"
#include "transporter/repository/id_set.h"

#include <stdlib.h>
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

/* Equal ones have the very same bytes under the same envelope. */
static struct id content_of(const struct reading *reading)
{
    struct hash parts[2] = {hash_of(buf_span(&reading->frame)), hash_of(buf_span(&reading->envelope))};
    struct hash both = hash_of(span_of(parts[0].bytes, sizeof(parts)));
    struct id content;
    memcpy(content.bytes, both.bytes, ID_LEN);
    return content;
}

/* --- all chunks of one id --- */

/* Whoever writes in a domain may store an id as often as it likes: each copy is read once, however many there
 * are to be compared with it. */
struct group {
    struct repository *repository;
    const struct healed *healed;
    const struct bad_chunk *chunks;
    size_t count;
    struct id *contents; /* as they read where they are; zero: they do not */
    struct id_set here;  /* those that do */
    struct id_set there; /* of these, which other packs have */
    bool readable;       /* there is another one that reads, whatever its bytes */
};

static void group_deinit(struct group *group)
{
    free(group->contents);
    id_set_deinit(&group->here);
    id_set_deinit(&group->there);
}
DEFINE_AUTO_IN_PLACE(group, struct group, group_deinit)

static int by_group(const void *a, const void *b)
{
    const struct bad_chunk *one = a, *other = b;
    int order = memcmp(one->id.bytes, other->id.bytes, ID_LEN);
    if (order == 0) order = (one->at.domain > other->at.domain) - (one->at.domain < other->at.domain);
    return order ? order : (one->at.type > other->at.type) - (one->at.type < other->at.type);
}

static void read_here(struct group *group)
{
    group->contents = xcalloc(group->count, sizeof(*group->contents));
    for (size_t i = 0; i < group->count; i++) {
        const struct bad_chunk *chunk = &group->chunks[i];
        AUTO(reading) struct reading reading = {0};
        if (!reads(group->repository, chunk, &chunk->at, &reading) || is_refuted(group->healed, &chunk->at))
            continue;
        group->contents[i] = content_of(&reading);
        (void)id_set_add(&group->here, group->contents[i].bytes);
    }
}

static bool next_places(const struct group *group, struct index_part *part, struct buf *places,
                        struct err *err)
{
    struct hash id = {{0}};
    AUTO(index_view) struct index_view *view = NULL;
    memcpy(id.bytes, group->chunks->id.bytes, ID_LEN);
    return index_view_open(group->repository->index, &view, err) &&
           index_locate_part(view, &id, group->chunks->at.domain, INDEX_FOR_KEEPING, part, places, err);
}

static bool knows_enough(const struct group *group)
{
    return group->readable && group->there.count == group->here.count;
}

static void look_there(struct group *group, const struct index_location *place)
{
    AUTO(reading) struct reading reading = {0};
    if (place->state != INDEX_PACK || !reads(group->repository, group->chunks, place, &reading)) return;
    struct id content = content_of(&reading);
    group->readable = true;
    if (id_set_has(&group->here, content.bytes)) (void)id_set_add(&group->there, content.bytes);
}

/* All places: whoever writes in the domain may put any number of others before the one that is wanted. */
static bool read_there(struct group *group, struct err *err)
{
    for (struct index_part part = {0}; !part.ended && !knows_enough(group);) {
        AUTO(buf) struct buf places = {0};
        if (!next_places(group, &part, &places, err)) return false;
        for (size_t at = 0; at < places.len && !knows_enough(group); at += sizeof(struct index_location)) {
            struct index_location place;
            memcpy(&place, places.data + at, sizeof(place));
            look_there(group, &place);
        }
    }
    return true;
}

static bool find_group(struct group *group, healed_fn *each, void *arg, struct err *err)
{
    read_here(group);
    if (!read_there(group, err)) return false;
    for (size_t i = 0; i < group->count; i++) {
        bool good = !id_is_zero(&group->contents[i]);
        bool elsewhere = good ? id_set_has(&group->there, group->contents[i].bytes) : group->readable;
        if (elsewhere || good) each(arg, &group->chunks[i].at, elsewhere ? HEALED_ELSEWHERE : HEALED_HERE);
    }
    return true;
}

bool healed_find(struct repository *repository, struct healed *healed, healed_fn *each, void *arg,
                 struct err *err)
{
    size_t count = healed->chunks.len / sizeof(struct bad_chunk);
    struct bad_chunk *chunks = (struct bad_chunk *)(void *)healed->chunks.data;
    if (count > 0) qsort(chunks, count, sizeof(*chunks), by_group);
    for (size_t at = 0; at < count;) {
        AUTO(group) struct group group = {.repository = repository, .healed = healed, .chunks = chunks + at};
        while (at < count && by_group(&chunks[at], group.chunks) == 0) {
            group.count++;
            at++;
        }
        if (!find_group(&group, each, arg, err)) return false;
    }
    return true;
}
