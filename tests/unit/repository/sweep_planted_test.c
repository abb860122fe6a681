/* Whoever writes in a domain may store one chunk as often as it likes: what that costs a sweep, or a check of
 * one point, grows with the copies that lie there, and not with each of them times each other. */
#include "sweeping.h"

#include "common/base/alloc.h"
#include "tests/support/cpu_time.h"
#include "transporter/repository/mark.h"

#include <criterion/criterion.h>

enum { COPIES = 1500, COPY_LEN = 100, A_BATCH = 500, READS_MOST = 20 * COPIES };

static void plant(struct writer *writer, struct ingest *ingest, size_t garbage)
{
    if (garbage) (void)writer_data(writer, 77, garbage);
    for (int i = 0; i < COPIES; i++) {
        (void)writer_data(writer, 0, COPY_LEN);
        if (i % A_BATCH == A_BATCH - 1) session_send(ingest, writer, PACK_DATA);
    }
}

/* Two packs of copies of one chunk, one of them with so much garbage that a sweep writes it anew; and a point
 * that needs the chunk. */
static struct hash planted(struct place *place)
{
    struct hash root;
    for (uint8_t seed = 1; seed < 3; seed++) {
        AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, seed);
        AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, seed);
        struct hash chunk = writer_id(writer, FRAME_DATA, 0, COPY_LEN);
        plant(writer, ingest, seed == 1 ? 600000 : 0);
        root = writer_node(writer, seed, NULL, 0, &chunk, 1);
        session_send(ingest, writer, PACK_META);
        (void)session_commit(ingest, writer, seed, &root);
    }
    return root;
}

static size_t copies_of(struct place *place)
{
    struct err err;
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 9);
    struct hash chunk = writer_id(writer, FRAME_DATA, 0, COPY_LEN);
    AUTO(buf) struct buf places = {0};
    AUTO(index_view) struct index_view *view = NULL;
    cr_assert(index_view_open(place->repository->index, &view, &err), "%s", err.text);
    cr_assert(index_locate_all(view, &chunk, INDEX_ANY_DOMAIN, INDEX_FOR_KEEPING, &places, &err), "%s",
              err.text);
    return places.len / sizeof(struct index_location);
}

Test(sweep, reads_each_copy_of_a_chunk_that_was_planted_very_often_a_few_times_only, .timeout = 120)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    struct hash root = planted(place);
    place_close(place);
    struct fault *fault = place_open_faulty(place);
    fault->reads = 0;
    struct sweep_result result = sweep(place);
    cr_assert_eq(result.outcome, SWEEP_DONE);
    cr_assert_eq(result.swept_packs, 1);
    cr_assert_lt(fault->reads, READS_MOST, "%d reads", fault->reads);
    cr_assert_eq(copies_of(place), 2 * COPIES, "none is taken: any may be the good one");
    cr_assert(restores(place->repository, &root, NULL));
    cr_assert_eq(sweep(place).outcome, SWEEP_CLEAN);
}

/* The pack with nothing but copies gets a damaged one; the others are moved, found again, and it goes. */
Test(sweep, heals_a_damaged_pack_full_of_copies_of_one_chunk, .timeout = 120)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    struct hash root = planted(place);
    shell("flip 800 $(ls -S '%s'/packs/*/* | sed -n 2p)", place->path);
    cr_assert_eq(findings_of(place->repository), 1);
    place_close(place);
    struct fault *fault = place_open_faulty(place);
    cr_assert_eq(packs_in(place, INDEX_DAMAGED), 1);
    fault->reads = 0;
    cr_assert_eq(sweep(place).outcome, SWEEP_DONE);
    cr_assert_lt(fault->reads, READS_MOST, "%d reads", fault->reads);
    cr_assert_eq(packs_in(place, INDEX_DAMAGED), 0);
    cr_assert_eq(copies_of(place), 2 * COPIES - 1);
    cr_assert_eq(findings_of(place->repository), 0);
    cr_assert(restores(place->repository, &root, NULL));
    cr_assert_eq(sweep(place).outcome, SWEEP_CLEAN);
}

/* ... and where it was lost, one other copy will do for all. */
Test(sweep, forgets_a_lost_pack_full_of_copies_of_one_chunk, .timeout = 120)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    struct hash root = planted(place);
    place_close(place);
    shell("rm $(ls -S '%s'/packs/*/* | sed -n 2p)", place->path);
    struct fault *fault = place_open_faulty(place);
    cr_assert_eq(packs_in(place, INDEX_LOST), 1);
    fault->reads = 0;
    cr_assert_eq(sweep(place).outcome, SWEEP_DONE, "the one with garbage is written anew");
    cr_assert_lt(fault->reads, READS_MOST, "%d reads", fault->reads);
    cr_assert_eq(packs_in(place, INDEX_LOST), 0);
    cr_assert(restores(place->repository, &root, NULL));
}

/* --- one point --- */

Test(mark, looks_up_a_chunk_that_is_there_very_often_once_for_a_point)
{
    struct err err;
    AUTO(place) struct place *place = place_new(REPOSITORY_PLAINTEXT);
    struct index *index = place->repository->index;
    enum { MANY = 100000, NAMED = 2000 };
    AUTO(free) struct pack_entry *entries = xcalloc(MANY, sizeof(*entries));
    AUTO(free) struct hash *nodes = xcalloc(NAMED, sizeof(*nodes));
    struct index_pack pack = {0}, far = {.state = INDEX_PACK, .class_ = PACK_DATA, .size = 1};
    struct repository_point point;
    uint32_t domains[1] = {0};
    {
        AUTO(writer) struct writer *writer = writer_new(REPOSITORY_PLAINTEXT, 1);
        AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 1);
        const struct hash id = writer_data(writer, 5, COPY_LEN);
        session_send(ingest, writer, PACK_DATA);
        for (uint32_t i = 0; i < NAMED; i++)
            nodes[i] = writer_node(writer, i, NULL, 0, &id, 1);
        struct hash root = writer_node(writer, NAMED, nodes, NAMED, NULL, 0);
        session_send(ingest, writer, PACK_META);
        (void)session_commit(ingest, writer, 1, &root);
        for (uint32_t i = 0; i < MANY; i++)
            entries[i] = (struct pack_entry){
                .kind = RECORD_FRAME, .type = FRAME_DATA, .len = 1, .offset = 1 << 24 | i, .id = id};
    }
    cr_assert(index_pack_from(index, 0, &pack, &err), "%s", err.text);
    cr_assert(index_add(index, pack.no, entries, MANY, domains, 0, &err), "%s", err.text);
    cr_assert(index_pack_add(index, &far, &err), "%s", err.text);
    cr_assert(index_add(index, far.no, entries, 1, domains, 0, &err), "%s", err.text);
    cr_assert(index_point_from(index, 0, &point, &err), "%s", err.text);
    bool wanted[8] = {false};
    double before = cpu_seconds();
    cr_assert(mark_point_packs(place->repository, &point, wanted, 8, &err), "%s", err.text);
    cr_assert_lt(cpu_seconds() - before, 5);
    cr_assert(wanted[pack.no] && wanted[far.no], "no copy is passed over");
}

/* --- parts --- */

Test(index, tells_each_copy_once_in_whatever_parts)
{
    struct err err;
    AUTO(place) struct place *place = place_new(REPOSITORY_PLAINTEXT);
    struct index *index = place->repository->index;
    enum { MOST = 3 * INDEX_PART_MOST };
    static const uint32_t counts[] = {0, 1, INDEX_PART_MOST - 1, INDEX_PART_MOST, INDEX_PART_MOST + 1, MOST};
    AUTO(free) struct pack_entry *entries = xcalloc(MOST, sizeof(*entries));
    struct index_pack pack = {.state = INDEX_PACK, .class_ = PACK_DATA, .size = 1};
    uint32_t domains[1] = {0};
    cr_assert(index_pack_add(index, &pack, &err), "%s", err.text);
    for (size_t n = 0; n < sizeof(counts) / sizeof(counts[0]); n++) {
        const struct hash id = hash_of(span_of(&counts[n], sizeof(counts[n])));
        for (uint32_t i = 0; i < counts[n]; i++)
            entries[i] = (struct pack_entry){
                .kind = RECORD_FRAME, .type = FRAME_DATA, .len = 1, .offset = i + 1, .id = id};
        cr_assert(index_add(index, pack.no, entries, counts[n], domains, 0, &err), "%s", err.text);
        bool told[MOST + 1] = {false};
        size_t parts = 0, total = 0;
        for (struct index_part part = {0}; !part.ended; parts++) {
            AUTO(buf) struct buf places = {0};
            AUTO(index_view) struct index_view *view = NULL;
            cr_assert(index_view_open(index, &view, &err), "%s", err.text);
            cr_assert(index_locate_part(view, &id, 0, INDEX_FOR_KEEPING, &part, &places, &err), "%s",
                      err.text);
            for (size_t at = 0; at < places.len; at += sizeof(struct index_location), total++) {
                struct index_location copy;
                memcpy(&copy, places.data + at, sizeof(copy));
                cr_assert_not(told[copy.offset], "%u of %u", copy.offset, counts[n]);
                told[copy.offset] = true;
            }
        }
        cr_assert_eq(total, counts[n]);
        cr_assert_leq(parts, counts[n] / INDEX_PART_MOST + 1);
    }
}
