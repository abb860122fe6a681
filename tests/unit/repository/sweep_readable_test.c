/* What still reads in a damaged pack is moved, and nothing that somebody put in its place. */
#include "sweeping.h"

#include "common/base/alloc.h"
#include "tests/support/flip.h"
#include "transporter/repository/fetch.h"
#include "transporter/repository/frame_reader.h"

#include <criterion/criterion.h>
#include <string.h>

/* --- what still reads in a damaged pack --- */

/* Under the ids of a backup, in the same domain and under another seal. */
static void plant(struct place *place, uint32_t content, size_t chunks)
{
    (void)back_up(place->repository, 2, content, chunks);
}

static void name_of(struct place *place, uint32_t pack, char out[static BYTES_NAME_LEN])
{
    struct index_pack row;
    struct err err;
    cr_assert(index_pack_get(place->repository->index, pack, &row, &err), "%s", err.text);
    bytes_name(&row, out);
}

/* One bit of the first record of that kind in the first pack, which holds data. */
static void flip_first(struct place *place, enum record_kind kind)
{
    const struct storage *storage = &place->repository->storage;
    struct err err;
    struct index_pack pack;
    char name[BYTES_NAME_LEN];
    uint64_t size = 0;
    size_t at = 0;
    AUTO(pack_toc) struct pack_toc toc;
    pack_toc_init(&toc);
    cr_assert(index_pack_from(place->repository->index, 0, &pack, &err), "%s", err.text);
    bytes_name(&pack, name);
    cr_assert(storage->ops->size(storage->self, name, &size, &err), "%s", err.text);
    cr_assert(pack_toc_read_tail(storage, name, size, &toc, &err), "%s", err.text);
    while (at < toc.count && toc.entries[at].kind != kind)
        at++;
    cr_assert_lt(at, toc.count);
    AUTO(free) char *path = xasprintf("%s/%s", place->path, name);
    flip(path, toc.entries[at].offset + 100);
}

/* The record at `from` in the place of the one at `to`, which is as long. */
static void substitute(struct place *place, const struct index_location *from,
                       const struct index_location *to)
{
    char source[BYTES_NAME_LEN];
    char target[BYTES_NAME_LEN];
    cr_assert_eq(from->len, to->len);
    name_of(place, from->pack, source);
    name_of(place, to->pack, target);
    shell(
        "chmod u+w '%s/%s' && dd if='%s/%s' of='%s/%s' iflag=skip_bytes,count_bytes oflag=seek_bytes skip=%u "
        "seek=%u count=%u bs=64K conv=notrunc status=none",
        place->path, target, place->path, source, place->path, target, from->offset - RECORD_HEADER_LEN,
        to->offset - RECORD_HEADER_LEN, from->len + RECORD_HEADER_LEN);
}

/* Data frames by the hash of their bytes. */
struct originals {
    struct hash ids[32], frames[32];
    size_t count;
};

static bool frame_at(struct place *place, const struct index_location *at, struct hash *out)
{
    struct index_pack pack;
    struct err err;
    AUTO(buf) struct buf bytes = {0};
    if (!index_pack_get(place->repository->index, at->pack, &pack, &err) ||
        !frame_reader_record(place->repository, &pack, RECORD_FRAME, at->offset, at->len, &bytes, &err))
        return false;
    *out = hash_of(buf_span(&bytes));
    return true;
}

static void places_of(struct place *place, const struct hash *id, struct buf *out)
{
    struct err err;
    AUTO(index_view) struct index_view *view = NULL;
    cr_assert(index_view_open(place->repository->index, &view, &err), "%s", err.text);
    cr_assert(index_locate_all(view, id, INDEX_ANY_DOMAIN, INDEX_FOR_READING, out, &err), "%s", err.text);
}

static struct originals note_originals(struct place *place, uint32_t content, size_t chunks)
{
    struct originals originals = {0};
    AUTO(writer) struct writer *writer = writer_new(place->repository->kind, 9);
    for (size_t i = 0; i < chunks; i++) {
        struct index_location at;
        AUTO(buf) struct buf places = {0};
        originals.ids[i] = writer_id(writer, FRAME_DATA, content + (uint32_t)i, 1000);
        places_of(place, &originals.ids[i], &places);
        cr_assert_eq(places.len, sizeof(at));
        memcpy(&at, places.data, sizeof(at));
        cr_assert(frame_at(place, &at, &originals.frames[i]));
    }
    originals.count = chunks;
    return originals;
}

static size_t originals_left(struct place *place, const struct originals *originals)
{
    size_t left = 0;
    for (size_t i = 0; i < originals->count; i++) {
        AUTO(buf) struct buf places = {0};
        bool found = false;
        places_of(place, &originals->ids[i], &places);
        for (size_t at = 0; at < places.len; at += sizeof(struct index_location)) {
            struct index_location location;
            struct hash hash;
            memcpy(&location, places.data + at, sizeof(location));
            found = found || (frame_at(place, &location, &hash) && hash_eq(&hash, &originals->frames[i]));
        }
        left += found;
    }
    return left;
}

/* Who has the write half of our domain may send anything under our ids: without a key it looks like what
 * another run has brought again. */
Test(sweep, garbage_under_the_ids_of_a_damaged_pack_costs_none_of_its_good_frames)
{
    static const enum record_kind kinds[] = {RECORD_FRAME, RECORD_ENVELOPE};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
        struct hash root = back_up(place->repository, 1, 0, 20);
        struct originals originals = note_originals(place, 0, 20);
        flip_first(place, kinds[i]);
        cr_assert_gt(findings_of(place->repository), 0);
        size_t good = kinds[i] == RECORD_FRAME ? 19 : 20;
        cr_assert_eq(originals_left(place, &originals), good);
        plant(place, 0, 20);
        cr_assert_eq(sweep(place).outcome, SWEEP_DONE);
        cr_assert_eq(packs_in(place, INDEX_DAMAGED), 0);
        for (int start = 0; start < 3; start++) {
            if (start) reopen(place, start - 1);
            cr_assert_eq(originals_left(place, &originals), good);
            cr_assert(restores(place->repository, &root, NULL));
            cr_assert_eq(findings_of(place->repository), 0);
        }
        cr_assert_eq(sweep(place).outcome, SWEEP_CLEAN);
        cr_assert_eq(originals_left(place, &originals), good);
    }
}

/* A copy brings the very same bytes. */
static void copy_in(struct place *place, const struct writer *writer, struct span batch)
{
    struct err err;
    struct ingest_options options = {.session = id_of(3), .kind = INGEST_COPY, .min_free_bytes = 1};
    AUTO(ingest) struct ingest *ingest = NULL;
    cr_assert(ingest_open(place->repository, &options, &ingest, &err), "%s", err.text);
    cr_assert(ingest_envelope(ingest, span_of(writer->envelope, ENVELOPE_LEN), &err), "%s", err.text);
    cr_assert(ingest_batch(ingest, 1, batch, &err), "%s", err.text);
    session_wait(ingest, 1);
}

/* What moves, moves under its list. */
Test(sweep, keeps_a_damaged_pack_whose_frames_cannot_be_moved_until_they_are_elsewhere_as_they_are)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 1);
    AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 1);
    AUTO(buf) struct buf batch = {0};
    struct hash ids[20];
    for (uint32_t i = 0; i < 20; i++)
        ids[i] = writer_data(writer, i, 1000);
    uint64_t number = writer_batch(writer, PACK_DATA, &batch);
    cr_assert_eq(session_send_code(ingest, number, buf_span(&batch)), ERR_NONE);
    session_wait(ingest, number);
    struct hash root = writer_node(writer, 4000000, NULL, 0, ids, 20);
    session_send(ingest, writer, PACK_META);
    (void)session_commit(ingest, writer, 1, &root);
    ingest_close(ingest);
    ingest = NULL;
    struct originals originals = note_originals(place, 0, 20);
    flip_first(place, RECORD_LIST);
    cr_assert_gt(findings_of(place->repository), 0);
    plant(place, 0, 20);
    for (int round = 0; round < 2; round++) {
        struct sweep_result result = sweep(place);
        cr_assert_eq(result.outcome, SWEEP_CLEAN);
        cr_assert_eq(result.moved_bytes, 0);
        cr_assert_eq(packs_in(place, INDEX_DAMAGED), 1);
        cr_assert_eq(originals_left(place, &originals), 20);
    }
    copy_in(place, writer, buf_span(&batch));
    cr_assert_eq(sweep(place).outcome, SWEEP_DONE);
    cr_assert_eq(packs_in(place, INDEX_DAMAGED), 0);
    cr_assert_eq(originals_left(place, &originals), 20);
    cr_assert_eq(findings_of(place->repository), 0);
}

/* Its own check is right, its signed list does not name it: not worth keeping, and it keeps no others back.
 */
Test(sweep, a_frame_put_in_the_place_of_another_is_not_moved)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    struct hash root = back_up(place->repository, 1, 0, 20);
    struct originals originals = note_originals(place, 0, 20);
    AUTO(buf) struct buf places = {0};
    struct index_location at[2];
    plant(place, 0, 20);
    places_of(place, &originals.ids[19], &places);
    cr_assert_eq(places.len, sizeof(at));
    memcpy(at, places.data, sizeof(at));
    cr_assert_lt(at[0].pack, at[1].pack);
    substitute(place, &at[1], &at[0]);
    char name[BYTES_NAME_LEN];
    name_of(place, at[1].pack, name);
    AUTO(free) char *path = xasprintf("%s/%s", place->path, name);
    flip(path, at[1].offset + 100); /* these bytes are nowhere else */
    (void)back_up(place->repository, 3, 0, 20);
    cr_assert_gt(findings_of(place->repository), 0);
    cr_assert_eq(originals_left(place, &originals), 19);
    cr_assert_eq(sweep(place).outcome, SWEEP_DONE);
    cr_assert_eq(packs_in(place, INDEX_DAMAGED), 0);
    cr_assert_eq(originals_left(place, &originals), 19);
    cr_assert(restores(place->repository, &root, NULL));
    cr_assert_eq(findings_of(place->repository), 0);
}
