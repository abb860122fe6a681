#include "fetching.h"

#include "common/base/alloc.h"
#include "common/crypto/seal_list.h"
#include "tests/support/flip.h"
#include "tests/support/one_frame.h"

#include <criterion/criterion.h>
#include <string.h>

Test(fetch, answers_in_pack_order_with_each_envelope_once_before_its_frames)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    (void)back_up(place->repository, 1, 0, 30);
    (void)back_up(place->repository, 2, 100, 30);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 3);
    struct hash ids[60];
    for (uint32_t i = 0; i < 60; i++) /* asked for in another order, from two runs */
        ids[i] = writer_id(writer, FRAME_DATA, i % 2 ? 100 + (i * 7) % 30 : (i * 11) % 30, 1000);
    AUTO(told) struct told told = {0};
    fetch_all(place->repository, ids, 60, FETCH_FRAMES, &told);
    cr_assert_eq(told.frame_count, 60);
    size_t envelopes = 0;
    for (const char *at = order(&told); *at; at++)
        envelopes += *at == 'E';
    cr_assert_eq(envelopes, 2, "%s", order(&told));
    cr_assert_eq(order(&told)[0], 'E');
    uint32_t last_pack = 0;
    uint32_t last_offset = 0;
    for (size_t i = 0; i < told.frame_count; i++) {
        AUTO(free) char *path = NULL;
        struct index_location at;
        locate(place, &told.frames[i], 0, &path, &at);
        cr_assert(at.pack > last_pack || (at.pack == last_pack && at.offset >= last_offset));
        last_pack = at.pack;
        last_offset = at.offset;
    }
}

Test(fetch, with_lists_each_list_follows_the_frames_that_it_names)
{
    for (int kind = REPOSITORY_ENCRYPTED; kind <= REPOSITORY_PLAINTEXT; kind++) {
        AUTO(place) struct place *place = place_new((enum repository_kind)kind);
        AUTO(writer) struct writer *writer = writer_new((enum repository_kind)kind, 1);
        struct hash ids[9];
        {
            AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 1);
            for (uint32_t batch = 0; batch < 3; batch++) {
                for (uint32_t i = 0; i < 3; i++)
                    ids[3 * batch + i] = writer_data(writer, 3 * batch + i, 100);
                session_send(ingest, writer, PACK_DATA);
            }
        }
        struct hash wanted[4] = {ids[0], ids[1], ids[7], ids[8]};
        AUTO(told) struct told told = {0};
        fetch_all(place->repository, wanted, 4, FETCH_WITH_LISTS, &told);
        cr_assert_str_eq(order(&told), kind == REPOSITORY_ENCRYPTED ? "EFFLFFL" : "FFLFFL");
        for (size_t i = 0; i < told.frame_count; i++) {
            struct hash hash = hash_of(buf_span(&told.bytes[i]));
            bool named = false;
            for (size_t at = 0; at < told.list_hashes.len; at += HASH_LEN)
                named = named || memcmp(told.list_hashes.data + at, hash.bytes, HASH_LEN) == 0;
            cr_assert(named);
        }
    }
}

Test(fetch, a_copy_of_some_frames_with_their_lists_is_taken_by_another_repository)
{
    struct err err;
    AUTO(place) struct place *from = place_new(REPOSITORY_ENCRYPTED);
    AUTO(place) struct place *to = place_new(REPOSITORY_ENCRYPTED);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 1);
    struct hash root;
    struct hash later;
    {
        AUTO(ingest) struct ingest *source = session_open(from->repository, writer, 1);
        root = session_tree(source, writer, 0, 20, 1000);
        later = writer_data(writer, 500, 100);
        session_send(source, writer, PACK_DATA);
        (void)session_commit(source, writer, 1, &root);
    }
    AUTO(ingest) struct ingest *ingest = NULL;
    struct ingest_options options = {.session = id_of(5), .kind = INGEST_COPY, .min_free_bytes = 1};
    cr_assert(ingest_open(to->repository, &options, &ingest, &err), "%s", err.text);
    struct hash datas[10];
    struct hash nodes[2] = {root, writer_id(writer, FRAME_NODE, 1000000, 40)};
    for (uint32_t i = 0; i < 10; i++) /* every second one */
        datas[i] = writer_id(writer, FRAME_DATA, 2 * i, 1000);
    AUTO(told) struct told data_part = {0};
    AUTO(told) struct told node_part = {0};
    fetch_all(from->repository, datas, 10, FETCH_WITH_LISTS, &data_part);
    fetch_all(from->repository, nodes, 2, FETCH_WITH_LISTS, &node_part);
    cr_assert(ingest_batch(ingest, 1, buf_span(&data_part.batch), &err), "%s", err.text);
    cr_assert(ingest_batch(ingest, 2, buf_span(&node_part.batch), &err), "%s", err.text);
    /* a frame under a list that does not name it, though seal, writer and class are right */
    AUTO(buf) struct buf wrong = {0};
    AUTO(told) struct told later_part = {0};
    fetch_all(from->repository, &later, 1, FETCH_WITH_LISTS, &later_part);
    buf_put_span(&wrong, buf_span(&later_part.batch));
    wrong.len -= RECORD_HEADER_LEN + SEAL_LIST_FIXED_LEN + HASH_LEN;
    size_t list_len = RECORD_HEADER_LEN + SEAL_LIST_FIXED_LEN + 20 * HASH_LEN;
    buf_put(&wrong, data_part.batch.data + data_part.batch.len - list_len, list_len);
    cr_assert_not(ingest_batch(ingest, 3, buf_span(&wrong), &err));
    cr_assert_eq(err.code, ERR_NOT_AUTHENTIC, "%s", err.text);
    /* the point is not whole yet, and the missing ids are just those that were not copied */
    struct id point = id_of(1);
    struct ingest_receipt receipt;
    AUTO(buf) struct buf file = {0};
    AUTO(buf) struct buf missing = {0};
    cr_assert(repository_point_read(from->repository, &point, &file, &err), "%s", err.text);
    cr_assert_not(ingest_commit(ingest, &point, &root, buf_span(&file), &receipt, &missing, &err));
    cr_assert_eq(err.code, ERR_NOT_FOUND, "%s", err.text);
    cr_assert_eq(missing.len, 10 * HASH_LEN);
    AUTO(told) struct told rest = {0};
    fetch_all(from->repository, (const struct hash *)(const void *)missing.data, 10, FETCH_WITH_LISTS, &rest);
    cr_assert(ingest_batch(ingest, 3, buf_span(&rest.batch), &err), "%s", err.text);
    cr_assert(ingest_commit(ingest, &point, &root, buf_span(&file), &receipt, &missing, &err), "%s",
              err.text);
    place_close(from);
    cr_assert(restores(to->repository, &root, NULL));
}

Test(fetch, what_is_nowhere_is_missing_and_the_rest_still_comes)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    (void)back_up(place->repository, 1, 0, 5);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 3);
    struct hash ids[3] = {writer_id(writer, FRAME_DATA, 1, 1000), writer_id(writer, FRAME_DATA, 99, 1000),
                          writer_id(writer, FRAME_DATA, 3, 1000)};
    AUTO(told) struct told told = {0};
    fetch_all(place->repository, ids, 3, FETCH_FRAMES, &told);
    cr_assert_str_eq(order(&told), "MEFF");
    cr_assert_eq(told.missing_code, ERR_NOT_FOUND);
    struct err err;
    AUTO(buf) struct buf frame = {0};
    AUTO(buf) struct buf envelope = {0};
    cr_assert_not(one_frame(place->repository, &ids[1], &frame, &envelope, &err));
    cr_assert_eq(err.code, ERR_NOT_FOUND);
    cr_assert(one_frame(place->repository, &ids[0], &frame, &envelope, &err));
    cr_assert_eq(envelope.len, ENVELOPE_LEN);
}

Test(fetch, a_damaged_frame_is_named_with_its_pack_and_its_neighbours_still_come)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    (void)back_up(place->repository, 1, 0, 5);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 3);
    struct hash ids[5];
    for (uint32_t i = 0; i < 5; i++)
        ids[i] = writer_id(writer, FRAME_DATA, i, 1000);
    AUTO(free) char *path = NULL;
    struct index_location at;
    locate(place, &ids[2], 0, &path, &at);
    flip(path, at.offset + 200);
    AUTO(told) struct told told = {0};
    fetch_all(place->repository, ids, 5, FETCH_FRAMES, &told);
    cr_assert_str_eq(order(&told), "EFFFFM");
    cr_assert_eq(told.missing_code, ERR_DAMAGED);
    cr_assert(strstr(told.missing_text, "'packs/"), "%s", told.missing_text);
}

static void fetch_within(struct repository *repository, const struct hash *id, const struct hash *domain,
                         struct told *told)
{
    struct fetch_sink sink = sink_of(told);
    struct err err;
    sink.domain = domain;
    cr_assert(repository_fetch(repository, id, 1, FETCH_FRAMES, &sink, &err), "%s", err.text);
}

Test(fetch, within_a_domain_a_planted_frame_is_not_seen)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    AUTO(writer) struct writer *mine = writer_new(REPOSITORY_ENCRYPTED, 1);
    AUTO(writer) struct writer *thief = writer_new_in(REPOSITORY_ENCRYPTED, 2, "t:thief");
    struct hash target = writer_id(mine, FRAME_DATA, 7, 200);
    memcpy(thief->dedup, mine->dedup, HASH_LEN);
    {
        AUTO(ingest) struct ingest *ingest = session_open(place->repository, thief, 2);
        (void)writer_data(thief, 7, 200);
        session_send(ingest, thief, PACK_DATA);
    }
    AUTO(told) struct told any = {0};
    AUTO(told) struct told own = {0};
    fetch_all(place->repository, &target, 1, FETCH_FRAMES, &any);
    cr_assert_str_eq(order(&any), "EF");
    fetch_within(place->repository, &target, &mine->domain, &own);
    cr_assert_str_eq(order(&own), "M");
    AUTO(told) struct told theirs = {0};
    fetch_within(place->repository, &target, &thief->domain, &theirs);
    cr_assert_str_eq(order(&theirs), "EF");
}

Test(fetch, a_frame_of_another_id_than_the_index_says_is_not_told)
{
    struct err err;
    AUTO(place) struct place *place = place_new(REPOSITORY_PLAINTEXT);
    (void)back_up(place->repository, 1, 0, 5);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_PLAINTEXT, 3);
    struct hash real = writer_id(writer, FRAME_DATA, 1, 1000);
    AUTO(free) char *path = NULL;
    struct index_location at;
    locate(place, &real, 0, &path, &at);
    struct pack_entry entry = {.kind = RECORD_FRAME, .type = FRAME_DATA, .len = at.len, .offset = at.offset};
    entry.id = writer_id(writer, FRAME_DATA, 99, 1000);
    uint32_t domains[1] = {0};
    cr_assert(index_add(place->repository->index, at.pack, &entry, 1, domains, 0, &err));
    AUTO(told) struct told told = {0};
    fetch_all(place->repository, &entry.id, 1, FETCH_FRAMES, &told);
    cr_assert_str_eq(order(&told), "M");
    cr_assert_eq(told.missing_code, ERR_DAMAGED);
}

Test(fetch, a_callback_that_refuses_ends_it_with_its_error)
{
    struct err err;
    AUTO(place) struct place *place = place_new(REPOSITORY_PLAINTEXT);
    (void)back_up(place->repository, 1, 0, 5);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_PLAINTEXT, 3);
    struct hash ids[5];
    for (uint32_t i = 0; i < 5; i++)
        ids[i] = writer_id(writer, FRAME_DATA, i, 1000);
    AUTO(told) struct told told = {.stop_after = 3};
    const struct fetch_sink sink = sink_of(&told);
    cr_assert_not(repository_fetch(place->repository, ids, 5, FETCH_FRAMES, &sink, &err));
    cr_assert_eq(err.code, ERR_CANCELLED);
    cr_assert_eq(told.frame_count, 3);
}

Test(fetch, too_many_ids_are_refused)
{
    struct err err;
    AUTO(place) struct place *place = place_new(REPOSITORY_PLAINTEXT);
    AUTO(free) struct hash *ids = xcalloc(FETCH_MAX_IDS + 1, sizeof(*ids));
    AUTO(told) struct told told = {0};
    const struct fetch_sink sink = sink_of(&told);
    cr_assert_not(repository_fetch(place->repository, ids, FETCH_MAX_IDS + 1, FETCH_FRAMES, &sink, &err));
    cr_assert_eq(err.code, ERR_LIMIT);
}

Test(fetch, large_and_many_frames_come_back_as_they_were_sent)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_PLAINTEXT);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_PLAINTEXT, 1);
    AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 1);
    struct hash root = session_tree(ingest, writer, 0, 12, 4 * 1024 * 1024 - 1);
    (void)session_commit(ingest, writer, 1, &root);
    struct hash many = session_tree(ingest, writer, 100, 6000, 30);
    (void)session_commit(ingest, writer, 2, &many);
    size_t frames;
    cr_assert(restores(place->repository, &root, &frames));
    cr_assert_eq(frames, 14);
    cr_assert(restores(place->repository, &many, &frames));
    cr_assert_eq(frames, 6002);
}

Test(fetch, frames_of_an_open_journal_are_read_while_it_becomes_a_pack)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 1);
    struct hash id = writer_data(writer, 1, 100);
    for (int closed = 0; closed < 2; closed++) {
        AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 1);
        if (!closed) {
            session_send(ingest, writer, PACK_DATA);
            session_wait(ingest, 1);
        }
        AUTO(told) struct told told = {0};
        fetch_all(place->repository, &id, 1, FETCH_WITH_LISTS, &told);
        cr_assert_str_eq(order(&told), "EFL");
    }
}

/* --- frames with their records --- */

struct recorded {
    struct buf records;
    size_t count;
};

static bool on_record(void *arg, const struct hash *id, struct span record, struct err *err)
{
    struct recorded *recorded = arg;
    struct record_view view;
    struct frame_view frame;
    cr_assert(record_parse(record, &view, err) && view.total_len == record.len, "%s", err->text);
    cr_assert_eq(view.kind, RECORD_FRAME);
    cr_assert(frame_parse(view.payload, &frame, err) && hash_eq(&frame.chunk, id), "%s", err->text);
    buf_put_span(&recorded->records, record);
    recorded->count++;
    return true;
}

static bool any_envelope(void *arg, struct span envelope, struct err *err)
{
    (void)arg, (void)envelope, (void)err;
    return true;
}

Test(fetch, tells_whole_records_to_who_wants_them)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    (void)back_up(place->repository, 1, 0, 30);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 3);
    struct hash ids[30];
    for (uint32_t i = 0; i < 30; i++)
        ids[i] = writer_id(writer, FRAME_DATA, i, 1000);
    struct recorded recorded = {0};
    const struct fetch_sink sink = {
        .envelope = any_envelope, .record = on_record, .missing = no_missing, .arg = &recorded};
    struct err err;
    cr_assert(repository_fetch(place->repository, ids, 30, FETCH_FRAMES, &sink, &err), "%s", err.text);
    cr_assert_eq(recorded.count, 30);
    buf_deinit(&recorded.records);
}
