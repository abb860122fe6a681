/* A chunk or an envelope that is there more than once. */
#include "fetching.h"

#include "common/base/alloc.h"
#include "tests/support/cpu_time.h"
#include "tests/support/flip.h"

#include <criterion/criterion.h>
#include <unistd.h>

Test(fetch, when_one_copy_is_bad_the_next_is_taken)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    (void)back_up(place->repository, 1, 0, 5);
    (void)back_up(place->repository, 2, 0, 5);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 3);
    struct hash id = writer_id(writer, FRAME_DATA, 2, 1000);
    for (size_t nth = 0; nth < 2; nth++) {
        AUTO(free) char *path = NULL;
        struct index_location at;
        locate(place, &id, nth, &path, &at);
        flip(path, at.offset + 200);
        AUTO(told) struct told told = {0};
        fetch_all(place->repository, &id, 1, FETCH_FRAMES, &told);
        cr_assert_str_eq(order(&told), nth == 0 ? "EF" : "M");
        flip(path, at.offset + 200);
        cr_assert_eq(unlink(path), 0); /* and when a whole pack is gone, for the second round too */
        AUTO(told) struct told again = {0};
        fetch_all(place->repository, &id, 1, FETCH_FRAMES, &again);
        cr_assert_str_eq(order(&again), nth == 0 ? "EF" : "M");
    }
}

Test(fetch, a_damaged_envelope_is_replaced_by_the_one_in_another_pack)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    (void)back_up(place->repository, 1, 0, 5); /* data pack and metadata pack, one seal */
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 3);
    struct hash id = writer_id(writer, FRAME_DATA, 2, 1000);
    AUTO(free) char *path = NULL;
    struct index_location at;
    locate(place, &id, 0, &path, &at);
    flip(path, 150);
    AUTO(told) struct told told = {0};
    fetch_all(place->repository, &id, 1, FETCH_FRAMES, &told);
    cr_assert_str_eq(order(&told), "EF");
    struct hash node = writer_id(writer, FRAME_NODE, 2000000, 40);
    AUTO(free) char *other = NULL;
    locate(place, &node, 0, &other, &at);
    cr_assert_str_neq(path, other);
    flip(other, 150);
    AUTO(told) struct told none = {0};
    fetch_all(place->repository, &id, 1, FETCH_FRAMES, &none);
    cr_assert_str_eq(order(&none), "M", "a frame without its envelope is as good as missing");
}

static bool count_frame(void *arg, const struct hash *id, struct span frame, struct err *err)
{
    size_t *count = arg;
    ++*count;
    return true;
}

/* Who planted a chunk very often does not hold the index for as long as it likes by asking for it. */
Test(fetch, a_chunk_with_many_copies_is_looked_up_once_for_all_who_ask)
{
    struct err err;
    enum { COPIES = 100000, ASKED = 4096 };
    AUTO(place) struct place *place = place_new(REPOSITORY_PLAINTEXT);
    (void)back_up(place->repository, 1, 0, 5);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_PLAINTEXT, 3);
    const struct hash ids[2] = {writer_id(writer, FRAME_DATA, 1, 1000),
                                writer_id(writer, FRAME_DATA, 2, 1000)};
    AUTO(free) struct pack_entry *entries = xcalloc(COPIES, sizeof(*entries));
    AUTO(free) struct hash *asked = xcalloc(ASKED, sizeof(*asked));
    AUTO(free) char *path = NULL;
    struct index_location at;
    uint32_t domains[1] = {0};
    locate(place, &ids[0], 0, &path, &at);
    for (uint32_t i = 0; i < COPIES; i++)
        entries[i] = (struct pack_entry){
            .kind = RECORD_FRAME, .type = FRAME_DATA, .len = 1, .offset = 1000000 + i, .id = ids[0]};
    cr_assert(index_add(place->repository->index, at.pack, entries, COPIES, domains, 0, &err));
    for (uint32_t i = 0; i < ASKED; i++)
        asked[i] = ids[i % 2];
    size_t told = 0;
    const struct fetch_sink sink = {.frame = count_frame, .missing = no_missing, .arg = &told};
    double before = cpu_seconds();
    cr_assert(repository_fetch(place->repository, asked, ASKED, FETCH_FRAMES, &sink, &err), "%s", err.text);
    cr_assert_lt(cpu_seconds() - before, 5);
    cr_assert_eq(told, ASKED);
}

/* A session of its own stores each: who sends without asking may do so as often as he likes. */
Test(fetch, the_last_of_many_copies_is_found_when_all_others_are_damaged)
{
    enum { COPIES = 2 * INDEX_MAX_LOCATIONS + 3 };
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 1);
    struct hash id = writer_id(writer, FRAME_DATA, 2, 1000), root;
    for (uint8_t i = 1; i <= COPIES; i++) {
        AUTO(writer) struct writer *again = writer_new(REPOSITORY_ENCRYPTED, i);
        AUTO(ingest) struct ingest *ingest = session_open(place->repository, again, i);
        (void)writer_data(again, 2, 1000);
        session_send(ingest, again, PACK_DATA);
        root = writer_node(again, 100, NULL, 0, &id, 1);
        session_send(ingest, again, PACK_META);
        (void)session_commit(ingest, again, i, &root);
    }
    for (size_t nth = 0; nth < COPIES; nth++) {
        AUTO(free) char *path = NULL;
        AUTO(told) struct told told = {0};
        struct index_location at;
        struct err err;
        fetch_all(place->repository, &id, 1, FETCH_FRAMES, &told);
        cr_assert_str_eq(order(&told), "EF", "with %zu of %d damaged", nth, COPIES);
        locate(place, &id, nth, &path, &at);
        flip(path, at.offset + 200);
        struct fetch_sink sink = sink_of(&told);
        sink.skip = (unsigned)nth + 1;
        buf_clear(&told.order);
        cr_assert(repository_fetch(place->repository, &id, 1, FETCH_FRAMES, &sink, &err));
        cr_assert_str_eq(order(&told), nth + 1 < COPIES ? "EF" : "M");
    }
    AUTO(told) struct told none = {0};
    fetch_all(place->repository, &id, 1, FETCH_FRAMES, &none);
    cr_assert_str_eq(order(&none), "M");
}
