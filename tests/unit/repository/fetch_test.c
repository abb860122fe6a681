#include "builder.h"

#include "common/base/alloc.h"
#include "common/crypto/seal_list.h"
#include "tests/support/cpu_time.h"
#include "tests/support/flip.h"
#include "tests/support/one_frame.h"
#include "transporter/repository/fetch.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* What a fetch told, in order: E envelope, F frame, L list, M missing. */
struct told {
    struct buf order;
    struct hash frames[256];
    struct buf bytes[256];
    size_t frame_count;
    struct buf list_hashes; /* of all lists */
    struct buf batch;       /* all of it as records, as a copy sends them */
    enum err_code missing_code;
    char missing_text[512];
    int stop_after;
};

static void told_deinit(struct told *told)
{
    buf_deinit(&told->order);
    buf_deinit(&told->list_hashes);
    buf_deinit(&told->batch);
    for (size_t i = 0; i < told->frame_count; i++)
        buf_deinit(&told->bytes[i]);
}
DEFINE_AUTO_IN_PLACE(told, struct told, told_deinit)

static bool on_envelope(void *arg, struct span envelope, struct err *err)
{
    struct told *told = arg;
    struct envelope_view view;
    buf_put_u8(&told->order, 'E');
    record_append(&told->batch, RECORD_ENVELOPE, envelope);
    return envelope_parse(envelope, &view, err);
}

static bool on_frame(void *arg, const struct hash *id, struct span frame, struct err *err)
{
    struct told *told = arg;
    struct frame_view view;
    cr_assert(frame_parse(frame, &view, err), "%s", err->text);
    cr_assert(hash_eq(&view.chunk, id));
    buf_put_u8(&told->order, 'F');
    record_append(&told->batch, RECORD_FRAME, frame);
    told->frames[told->frame_count] = *id;
    buf_put_span(&told->bytes[told->frame_count++], frame);
    if (told->stop_after && (int)told->frame_count == told->stop_after)
        return err_set(err, ERR_CANCELLED, "enough");
    return true;
}

static bool on_list(void *arg, struct span list, struct err *err)
{
    struct told *told = arg;
    struct seal_list_view view;
    cr_assert(seal_list_parse(list, &view, err), "%s", err->text);
    buf_put_u8(&told->order, 'L');
    record_append(&told->batch, RECORD_LIST, list);
    buf_put(&told->list_hashes, view.hashes, view.count * HASH_LEN);
    return true;
}

static bool on_missing(void *arg, const struct hash *id, const struct err *why, struct err *err)
{
    struct told *told = arg;
    buf_put_u8(&told->order, 'M');
    told->missing_code = why->code;
    (void)snprintf(told->missing_text, sizeof(told->missing_text), "%s", why->text);
    return true;
}

static bool fetch(struct repository *repository, const struct hash *ids, size_t count, enum fetch_proof proof,
                  const struct hash *domain, struct told *told, struct err *err)
{
    struct fetch_sink sink = {.envelope = on_envelope,
                              .frame = on_frame,
                              .list = on_list,
                              .missing = on_missing,
                              .arg = told,
                              .domain = domain};
    bool done = repository_fetch(repository, ids, count, proof, &sink, err);
    (void)buf_cstr(&told->order);
    return done;
}

static void fetch_all(struct repository *repository, const struct hash *ids, size_t count,
                      enum fetch_proof proof, struct told *told)
{
    struct err err;
    cr_assert(fetch(repository, ids, count, proof, NULL, told, &err), "%s", err.text);
}

static void fetch_to_open(struct repository *repository, const struct hash *id, struct told *told)
{
    struct fetch_sink sink = {.envelope = on_envelope,
                              .frame = on_frame,
                              .missing = on_missing,
                              .arg = told,
                              .verify = FETCH_TO_OPEN};
    struct err err;
    cr_assert(repository_fetch(repository, id, 1, FETCH_FRAMES, &sink, &err), "%s", err.text);
    (void)buf_cstr(&told->order);
}

static const char *order(const struct told *told)
{
    return (const char *)told->order.data;
}

static void locate(struct place *place, const struct hash *id, size_t nth, char **path,
                   struct index_location *out)
{
    AUTO(index_view) struct index_view *view = NULL;
    struct index_location at[INDEX_MAX_LOCATIONS];
    struct index_pack pack;
    struct err err;
    char name[BYTES_NAME_LEN];
    cr_assert(index_view_open(place->repository->index, &view, &err));
    cr_assert_gt(index_locate(view, id, INDEX_ANY_DOMAIN, INDEX_FOR_READING, at), nth);
    cr_assert(index_view_pack(view, at[nth].pack, &pack));
    bytes_name(&pack, name);
    *path = xasprintf("%s/%s", place->path, name);
    *out = at[nth];
}

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
    struct fetch_sink sink = {
        .envelope = on_envelope, .frame = on_frame, .missing = on_missing, .arg = &told};
    struct err err = {0};
    for (sink.skip = 0; sink.skip < 5; sink.skip++)
        cr_assert(repository_fetch(place->repository, &id, 1, FETCH_FRAMES, &sink, &err), "%s", err.text);
    (void)buf_cstr(&told.order);
    cr_assert_str_eq(order(&told), "EFEFMMM");
    sink.skip = FETCH_PLACES;
    cr_assert_not(span_eq(buf_span(&told.bytes[0]), buf_span(&told.bytes[1])), "two runs sealed them");
    cr_assert_not(repository_fetch(place->repository, &id, 1, FETCH_FRAMES, &sink, &err));
    cr_assert_eq(err.code, ERR_LIMIT);
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

Test(fetch, within_a_domain_a_planted_frame_is_not_seen)
{
    struct err err;
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
    cr_assert(fetch(place->repository, &target, 1, FETCH_FRAMES, NULL, &any, &err));
    cr_assert_str_eq(order(&any), "EF");
    cr_assert(fetch(place->repository, &target, 1, FETCH_FRAMES, &mine->domain, &own, &err));
    cr_assert_str_eq(order(&own), "M");
    AUTO(told) struct told theirs = {0};
    cr_assert(fetch(place->repository, &target, 1, FETCH_FRAMES, &thief->domain, &theirs, &err));
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
    const struct fetch_sink sink = {.frame = count_frame, .missing = on_missing, .arg = &told};
    double before = cpu_seconds();
    cr_assert(repository_fetch(place->repository, asked, ASKED, FETCH_FRAMES, &sink, &err), "%s", err.text);
    cr_assert_lt(cpu_seconds() - before, 5);
    cr_assert_eq(told, ASKED);
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
    cr_assert_not(fetch(place->repository, ids, 5, FETCH_FRAMES, NULL, &told, &err));
    cr_assert_eq(err.code, ERR_CANCELLED);
    cr_assert_eq(told.frame_count, 3);
}

Test(fetch, too_many_ids_are_refused)
{
    struct err err;
    AUTO(place) struct place *place = place_new(REPOSITORY_PLAINTEXT);
    AUTO(free) struct hash *ids = xcalloc(FETCH_MAX_IDS + 1, sizeof(*ids));
    AUTO(told) struct told told = {0};
    cr_assert_not(fetch(place->repository, ids, FETCH_MAX_IDS + 1, FETCH_FRAMES, NULL, &told, &err));
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

static bool no_missing(void *arg, const struct hash *id, const struct err *why, struct err *err)
{
    (void)arg, (void)id, (void)err;
    cr_assert_fail("%s", why->text);
    return false;
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
        AUTO(index_view) struct index_view *view = NULL;
        struct index_location at;
        struct index_pack pack;
        struct err err;
        char name[BYTES_NAME_LEN];
        fetch_all(place->repository, &id, 1, FETCH_FRAMES, &told);
        cr_assert_str_eq(order(&told), "EF", "with %zu of %d damaged", nth, COPIES);
        cr_assert(index_view_open(place->repository->index, &view, &err));
        cr_assert(index_locate_nth(view, &id, INDEX_ANY_DOMAIN, INDEX_FOR_READING, nth, &at, &err));
        cr_assert(index_view_pack(view, at.pack, &pack));
        bytes_name(&pack, name);
        path = xasprintf("%s/%s", place->path, name);
        flip(path, at.offset + 200);
        struct fetch_sink sink = {.envelope = on_envelope,
                                  .frame = on_frame,
                                  .missing = on_missing,
                                  .arg = &told,
                                  .skip = (unsigned)nth + 1};
        buf_clear(&told.order);
        cr_assert(repository_fetch(place->repository, &id, 1, FETCH_FRAMES, &sink, &err));
        (void)buf_cstr(&told.order);
        cr_assert_str_eq(order(&told), nth + 1 < COPIES ? "EF" : "M");
    }
    AUTO(told) struct told none = {0};
    fetch_all(place->repository, &id, 1, FETCH_FRAMES, &none);
    cr_assert_str_eq(order(&none), "M");
}
