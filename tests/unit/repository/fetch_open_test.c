/* Fetches for who opens what is told: the key finds what is damaged, the fetch what is no frame at all. */
#include "fetching.h"

#include "tests/support/flip.h"

#include <criterion/criterion.h>

static void fetch_to_open(struct repository *repository, const struct hash *id, struct told *told)
{
    struct fetch_sink sink = sink_of(told);
    struct err err;
    sink.verify = FETCH_TO_OPEN;
    cr_assert(repository_fetch(repository, id, 1, FETCH_FRAMES, &sink, &err), "%s", err.text);
}

/* Their bytes are the opener's business; what is no frame of the id, or none at all, would help nobody. */
Test(fetch, for_who_opens_an_only_copy_is_told_unhashed_but_never_one_of_another_id)
{
    static const struct {
        int64_t at; /* from the frame's start: in its record's header, its own, its body */
        const char *order;
    } cases[] = {{-RECORD_HEADER_LEN, "M"}, {-RECORD_HEADER_LEN + 4, "M"},
                 {FRAME_AT_VERSION, "M"},   {FRAME_AT_BODY_LEN, "M"},
                 {FRAME_AT_CHUNK + 5, "M"}, {FRAME_AT_SEAL, "M"},
                 {FRAME_AT_NONCE, "EF"},    {200, "EF"}};
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    (void)back_up(place->repository, 1, 0, 5);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 3);
    struct hash id = writer_id(writer, FRAME_DATA, 2, 1000);
    AUTO(free) char *path = NULL;
    struct index_location at;
    locate(place, &id, 0, &path, &at);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        AUTO(told) struct told told = {0};
        flip(path, (uint64_t)(at.offset + cases[i].at));
        fetch_to_open(place->repository, &id, &told);
        cr_assert_str_eq(order(&told), cases[i].order, "%zu", i);
        flip(path, (uint64_t)(at.offset + cases[i].at));
    }
}

/* A repository that was repaired keeps the damaged copy until its pack is swept: nobody is to hear of it. */
Test(fetch, for_who_opens_a_damaged_copy_is_passed_over_where_there_is_another)
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
        AUTO(told) struct told sound = {0};
        fetch_to_open(place->repository, &id, &told);
        fetch_all(place->repository, &id, 1, FETCH_FRAMES, &sound);
        cr_assert_str_eq(order(&told), nth == 0 ? "EF" : "M");
        cr_assert_str_eq(order(&sound), order(&told));
        if (nth == 0) cr_assert(span_eq(buf_span(&told.bytes[0]), buf_span(&sound.bytes[0])));
    }
}

/* Only who has the key sees that a copy does not open: he asks for the next one. */
Test(fetch, passes_over_as_many_copies_as_it_is_told)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    (void)back_up(place->repository, 1, 0, 5);
    (void)back_up(place->repository, 2, 0, 5);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 3);
    struct hash id = writer_id(writer, FRAME_DATA, 2, 1000);
    AUTO(told) struct told told = {0};
    struct fetch_sink sink = sink_of(&told);
    struct err err = {0};
    for (sink.skip = 0; sink.skip < 5; sink.skip++)
        cr_assert(repository_fetch(place->repository, &id, 1, FETCH_FRAMES, &sink, &err), "%s", err.text);
    cr_assert_str_eq(order(&told), "EFEFMMM");
    sink.skip = FETCH_PLACES;
    cr_assert_not(span_eq(buf_span(&told.bytes[0]), buf_span(&told.bytes[1])), "two runs sealed them");
    cr_assert_not(repository_fetch(place->repository, &id, 1, FETCH_FRAMES, &sink, &err));
    cr_assert_eq(err.code, ERR_LIMIT);
}
