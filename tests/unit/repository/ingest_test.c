#include "builder.h"

#include <criterion/criterion.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

static bool has(struct ingest *ingest, const struct hash *id)
{
    struct err err;
    uint8_t have = 2;
    cr_assert(ingest_has(ingest, id, 1, &have, &err), "%s", err.text);
    return have == 1;
}

Test(ingest, a_batch_is_acknowledged_only_after_its_sync, .timeout = 30)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    place_close(place);
    struct fault *fault = place_open_faulty(place);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 1);
    AUTO(writer) struct writer *other_writer = writer_new(REPOSITORY_ENCRYPTED, 2);
    AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 1);
    AUTO(ingest) struct ingest *other = session_open(place->repository, other_writer, 2);
    fault_hold(fault);
    struct hash id = writer_data(writer, 1, 100);
    session_send(ingest, writer, PACK_DATA);
    cr_expect(has(ingest, &id));
    fault_await(fault);
    cr_expect_eq(ingest_acknowledged(ingest), 0);
    cr_expect_not(has(other, &id), "not on disk, and another session may rely on it");
    fault_release(fault);
    session_wait(ingest, 1);
    cr_expect(has(ingest, &id));
    cr_expect(has(other, &id));
}

struct told {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t number;
    int calls;
};

static void tell(void *arg, uint64_t number)
{
    struct told *told = arg;
    (void)pthread_mutex_lock(&told->lock);
    told->number = number;
    told->calls++;
    (void)pthread_cond_broadcast(&told->changed);
    (void)pthread_mutex_unlock(&told->lock);
}

static void await(struct told *told, uint64_t number, int calls)
{
    (void)pthread_mutex_lock(&told->lock);
    while (told->number < number || told->calls < calls)
        (void)pthread_cond_wait(&told->changed, &told->lock);
    (void)pthread_mutex_unlock(&told->lock);
}

Test(ingest, a_number_taken_before_is_acknowledged_again_and_ignored, .timeout = 30)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_PLAINTEXT);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_PLAINTEXT, 1);
    struct told told = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct ingest_options options = {
        .session = id_of(1), .seal = writer->seal, .acknowledged = tell, .arg = &told, .min_free_bytes = 1};
    memcpy(options.writer, writer->pair->pk, SIGN_PK_LEN);
    struct err err;
    _Atomic uint64_t durable = 0;
    options.durable_bytes = &durable;
    {
        AUTO(ingest) struct ingest *ingest = NULL;
        cr_assert(ingest_open(place->repository, &options, &ingest, &err), "%s", err.text);
        AUTO(buf) struct buf batch = {0};
        (void)writer_data(writer, 1, 100);
        (void)writer_batch(writer, PACK_DATA, &batch);
        cr_assert(ingest_batch(ingest, 1, buf_span(&batch), &err), "%s", err.text);
        await(&told, 1, 1);
        cr_assert(ingest_batch(ingest, 1, buf_span(&batch), &err), "%s", err.text);
        await(&told, 1, 2);
        cr_assert_eq(durable, batch.len, "counted once, while the session is open");
        cr_assert_eq(session_send_code(ingest, 3, buf_span(&batch)), ERR_PROTOCOL);
        cr_assert_eq(session_send_code(ingest, 0, buf_span(&batch)), ERR_PROTOCOL);
    }
    struct repository_info info;
    repository_info(place->repository, &info);
    cr_assert_eq(info.chunks, 1);
}

Test(ingest, numbers_go_on_after_reopening)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 1);
    struct hash ids[4];
    {
        AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 1);
        for (uint32_t i = 0; i < 3; i++) {
            ids[i] = writer_data(writer, i, 500);
            session_send(ingest, writer, PACK_DATA);
        }
    }
    for (int round = 0; round < 2; round++) {
        AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 1);
        cr_assert_eq(ingest_acknowledged(ingest), 3);
        for (int i = 0; i < 3; i++)
            cr_assert(has(ingest, &ids[i]));
        ingest_close(ingest);
        ingest = NULL;
        place_close(place);
        place_open(place);
    }
    AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 1);
    ids[3] = writer_node(writer, 9, NULL, 0, ids, 3);
    session_send(ingest, writer, PACK_META);
    session_wait(ingest, 4);
    (void)session_commit(ingest, writer, 1, &ids[3]);
    cr_assert(restores(place->repository, &ids[3], NULL));
}

Test(ingest, a_session_is_open_once)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 1);
    AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 1);
    struct ingest *second;
    struct err err;
    struct ingest_options options = {.session = id_of(1), .seal = writer->seal};
    cr_assert_not(ingest_open(place->repository, &options, &second, &err));
    cr_assert_eq(err.code, ERR_BUSY);
}

Test(ingest, a_commit_with_missing_references_names_them_and_works_once_they_are_sent)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 1);
    AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 1);
    struct hash absent[2] = {writer_id(writer, FRAME_DATA, 50, 300), writer_id(writer, FRAME_NODE, 60, 40)};
    struct hash there = writer_data(writer, 1, 300);
    session_send(ingest, writer, PACK_DATA);
    struct hash datas[2] = {there, absent[0]};
    struct hash root = writer_node(writer, 2, &absent[1], 1, datas, 2);
    session_send(ingest, writer, PACK_META);

    AUTO(buf) struct buf missing = {0};
    cr_assert_eq(session_commit_code(ingest, writer, 1, &root, &missing), ERR_NOT_FOUND);
    cr_assert_eq(missing.len, 2 * HASH_LEN);
    bool swapped = memcmp(missing.data, absent[0].bytes, HASH_LEN) != 0;
    cr_assert_arr_eq(missing.data + (swapped ? HASH_LEN : 0), absent[0].bytes, HASH_LEN);
    cr_assert_arr_eq(missing.data + (swapped ? 0 : HASH_LEN), absent[1].bytes, HASH_LEN);

    (void)writer_data(writer, 50, 300);
    session_send(ingest, writer, PACK_DATA);
    (void)writer_node(writer, 60, NULL, 0, NULL, 0);
    session_send(ingest, writer, PACK_META);
    buf_clear(&missing);
    cr_assert_eq(session_commit_code(ingest, writer, 1, &root, &missing), ERR_NONE);
    cr_assert_eq(missing.len, 0);
    cr_assert(restores(place->repository, &root, NULL));
}

Test(ingest, a_root_that_was_never_sent_is_missing)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 1);
    AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 1);
    struct hash root = writer_id(writer, FRAME_NODE, 5, 40);
    AUTO(buf) struct buf missing = {0};
    cr_assert_eq(session_commit_code(ingest, writer, 1, &root, &missing), ERR_NOT_FOUND);
    cr_assert_eq(missing.len, HASH_LEN);
    cr_assert_arr_eq(missing.data, root.bytes, HASH_LEN);
}

Test(ingest, the_same_commit_again_gives_the_first_receipt)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 1);
    AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 1);
    struct hash root = session_tree(ingest, writer, 0, 3, 100);
    struct hash second_root = session_tree(ingest, writer, 100, 3, 100);
    struct ingest_receipt first = session_commit(ingest, writer, 1, &root);
    struct ingest_receipt again = session_commit(ingest, writer, 1, &root);
    cr_assert_eq(first.number, 2);
    cr_assert_eq(first.number, again.number);
    cr_assert_eq(first.time_ns, again.time_ns);
    cr_assert(hash_eq(&first.log_hash, &again.log_hash));
    AUTO(buf) struct buf missing = {0};
    cr_assert_eq(session_commit_code(ingest, writer, 1, &second_root, &missing), ERR_EXISTS,
                 "the same id, another point");
    struct repository_info info;
    repository_info(place->repository, &info);
    cr_assert_eq(info.points, 1);
    cr_assert_eq(info.head_number, 2);
}

Test(ingest, what_another_point_has_need_not_be_sent)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    AUTO(writer) struct writer *first = writer_new(REPOSITORY_ENCRYPTED, 1);
    AUTO(writer) struct writer *second = writer_new(REPOSITORY_ENCRYPTED, 2);
    struct hash shared = writer_id(first, FRAME_DATA, 7, 200);
    struct hash root;
    {
        AUTO(ingest) struct ingest *ingest = session_open(place->repository, first, 1);
        (void)writer_data(first, 7, 200);
        session_send(ingest, first, PACK_DATA);
        root = writer_node(first, 8, NULL, 0, &shared, 1);
        session_send(ingest, first, PACK_META);
        (void)session_commit(ingest, first, 1, &root);
    }
    AUTO(ingest) struct ingest *ingest = session_open(place->repository, second, 2);
    cr_assert(has(ingest, &shared));
    struct hash new_root = writer_node(second, 9, &root, 1, &shared, 1);
    session_send(ingest, second, PACK_META);
    (void)session_commit(ingest, second, 2, &new_root);
    cr_assert(restores(place->repository, &new_root, NULL));
}

Test(ingest, have_is_answered_within_the_dedup_domain)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    AUTO(writer) struct writer *mine = writer_new(REPOSITORY_ENCRYPTED, 1);
    AUTO(writer) struct writer *thief = writer_new_in(REPOSITORY_ENCRYPTED, 2, "t:thief");
    struct hash target = writer_id(mine, FRAME_DATA, 7, 200);
    AUTO(ingest) struct ingest *planting = session_open(place->repository, thief, 2);
    /* a frame under an id of the other domain: whoever holds that id's name can make one */
    memcpy(thief->dedup, mine->dedup, HASH_LEN);
    struct hash planted = writer_data(thief, 7, 200);
    cr_assert(hash_eq(&planted, &target));
    session_send(planting, thief, PACK_DATA);
    session_wait(planting, 1);
    cr_assert(has(planting, &target));
    AUTO(ingest) struct ingest *ingest = session_open(place->repository, mine, 1);
    cr_assert_not(has(ingest, &target));
    struct hash root = writer_node(mine, 8, NULL, 0, &target, 1);
    session_send(ingest, mine, PACK_META);
    AUTO(buf) struct buf missing = {0};
    cr_assert_eq(session_commit_code(ingest, mine, 1, &root, &missing), ERR_NOT_FOUND);
    cr_assert_eq(missing.len, HASH_LEN);
}

Test(ingest, what_another_live_session_holds_is_published_by_the_commit_that_relies_on_it)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    AUTO(writer) struct writer *holder = writer_new(REPOSITORY_ENCRYPTED, 1);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 2);
    AUTO(ingest) struct ingest *holding = session_open(place->repository, holder, 1);
    AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 2);
    struct hash shared = writer_data(holder, 7, 200);
    session_send(holding, holder, PACK_DATA);
    session_wait(holding, 1);
    cr_assert(has(ingest, &shared));
    struct repository_info info;
    repository_info(place->repository, &info);
    cr_assert_eq(info.pack_bytes, 0, "still a journal");
    struct hash root = writer_node(writer, 8, NULL, 0, &shared, 1);
    session_send(ingest, writer, PACK_META);
    (void)session_commit(ingest, writer, 2, &root);
    repository_info(place->repository, &info);
    cr_assert_eq(info.chunks, 2, "both are in packs");
    /* the holder goes on as if nothing had happened */
    struct hash later = writer_data(holder, 70, 200);
    session_send(holding, holder, PACK_DATA);
    session_wait(holding, 2);
    cr_assert(has(ingest, &later));
}

Test(ingest, the_envelope_stands_before_the_first_frame_in_every_pack)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 1);
    {
        AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 1);
        struct hash root = session_tree(ingest, writer, 0, 90, 1024 * 1024);
        (void)session_commit(ingest, writer, 1, &root);
        cr_assert(restores(place->repository, &root, NULL));
    }
    struct err err;
    struct index_pack pack = {0};
    unsigned packs = 0;
    for (uint32_t no = 0; index_pack_from(place->repository->index, no, &pack, &err);
         no = pack.no + 1, packs++) {
        char name[BYTES_NAME_LEN];
        struct pack_header header;
        AUTO(pack_toc) struct pack_toc toc;
        pack_toc_init(&toc);
        bytes_name(&pack, name);
        cr_assert(pack_toc_read(&place->repository->storage, name, pack.size, &place->repository->ours,
                                &header, &toc, &err),
                  "%s", err.text);
        cr_assert_eq(toc.entries[0].kind, RECORD_ENVELOPE);
        cr_assert_eq(toc.envelopes, 1);
        cr_assert_leq(pack.size, PACK_MAX_BYTES);
    }
    cr_assert_eq(packs, 4, "three of data, one of metadata; got %u", packs);
}

/* --- when the disk is slow --- */

struct sending {
    struct ingest *ingest;
    struct writer *writer;
    _Atomic int sent;
};

enum { LARGE_BATCHES = 12 };

static void *send_large(void *arg)
{
    struct sending *sending = arg;
    for (uint32_t i = 0; i < LARGE_BATCHES; i++) {
        (void)writer_data(sending->writer, 2 * i, 4000000);
        (void)writer_data(sending->writer, 2 * i + 1, 4000000);
        session_send(sending->ingest, sending->writer, PACK_DATA);
        sending->sent++;
    }
    return NULL;
}

Test(ingest, the_writer_waits_while_64_mib_are_not_synced, .timeout = 60)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_PLAINTEXT);
    place_close(place);
    struct fault *fault = place_open_faulty(place);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_PLAINTEXT, 1);
    AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 1);
    struct sending sending = {.ingest = ingest, .writer = writer};
    pthread_t thread;
    fault_hold(fault);
    cr_assert_eq(pthread_create(&thread, NULL, send_large, &sending), 0);
    while (sending.sent < 9) /* the ninth takes it over 64 MiB */
        (void)sched_yield();
    for (int i = 0; i < 300 && sending.sent == 9; i++) /* would it go on? */
        (void)usleep(1000);
    cr_assert_eq(sending.sent, 9);
    fault_release(fault);
    (void)pthread_join(thread, NULL);
    session_wait(ingest, LARGE_BATCHES);
}

/* --- many at once --- */

struct party {
    struct repository *repository;
    uint8_t seed;
    struct hash root;
};

static void *take_part(void *arg)
{
    struct party *party = arg;
    party->root = back_up(party->repository, party->seed, (uint32_t)party->seed * 10, 40);
    return NULL;
}

Test(ingest, sessions_side_by_side_all_commit)
{
    enum { PARTIES = 6 };
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    struct party parties[PARTIES];
    pthread_t threads[PARTIES];
    for (int i = 0; i < PARTIES; i++) {
        parties[i] = (struct party){.repository = place->repository, .seed = (uint8_t)(i + 1)};
        cr_assert_eq(pthread_create(&threads[i], NULL, take_part, &parties[i]), 0);
    }
    for (int i = 0; i < PARTIES; i++)
        (void)pthread_join(threads[i], NULL);
    struct repository_info info;
    repository_info(place->repository, &info);
    cr_assert_eq(info.points, PARTIES);
    cr_assert_eq(info.head_number, PARTIES + 1);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < PARTIES; i++)
            cr_assert(restores(place->repository, &parties[i].root, NULL));
        place_close(place);
        place_open(place);
    }
}
