/* Sweeps beside sessions that write and restores that read. */
#include "sweeping.h"

#include "transporter/repository/care.h"
#include "transporter/repository/check.h"
#include "transporter/repository/fetch.h"

#include <criterion/criterion.h>

/* --- beside sessions --- */

Test(sweep, waits_for_sessions_of_before_and_spares_what_they_committed)
{
    struct err err;
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    (void)back_up(place->repository, 1, 0, 20);
    (void)back_up(place->repository, 2, 500, 20);
    prune(place, 1, 1);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 3);
    AUTO(ingest) struct ingest *early = session_open(place->repository, writer, 3);
    struct hash ids[20];
    uint8_t have[20];
    for (uint32_t i = 0; i < 20; i++)
        ids[i] = writer_id(writer, FRAME_DATA, i, 1000);
    cr_assert(ingest_has(early, ids, 20, have, &err));
    cr_assert_eq(have[0], 1);
    struct sweep_result result = sweep(place);
    cr_assert_eq(result.outcome, SWEEP_WAITS);
    cr_assert_eq(result.sessions, 1);
    cr_assert_eq(sweep(place).outcome, SWEEP_WAITS, "it goes on waiting");
    /* a session that comes now is told to send, and may not rely on them */
    AUTO(writer) struct writer *other = writer_new(REPOSITORY_ENCRYPTED, 4);
    AUTO(ingest) struct ingest *late = session_open(place->repository, other, 4);
    cr_assert(ingest_has(late, ids, 20, have, &err));
    cr_assert_eq(have[0], 0);
    struct hash late_root = writer_node(other, 9000, NULL, 0, ids, 20);
    session_send(late, other, PACK_META);
    AUTO(buf) struct buf missing = {0};
    cr_assert_eq(session_commit_code(late, other, 4, &late_root, &missing), ERR_NOT_FOUND);
    cr_assert_eq(missing.len, 20 * HASH_LEN);
    /* the early one relies on what it was told */
    struct hash root = writer_node(writer, 9001, NULL, 0, ids, 20);
    session_send(early, writer, PACK_META);
    (void)session_commit(early, writer, 3, &root);
    /* and what it made whole is not whole for the late one */
    struct hash above = writer_node(other, 9002, &root, 1, NULL, 0);
    session_send(late, other, PACK_META);
    buf_clear(&missing);
    cr_assert_eq(session_commit_code(late, other, 4, &above, &missing), ERR_NOT_FOUND);
    ingest_close(early);
    early = NULL;
    result = sweep(place);
    cr_assert_eq(result.outcome, SWEEP_DONE, "the late one does not hold it up");
    cr_assert_eq(result.spared_packs, 1);
    cr_assert(restores(place->repository, &root, NULL));
    cr_assert_eq(session_commit_code(late, other, 4, &above, &missing), ERR_NONE,
                 "what is spared counts again");
    cr_assert_eq(findings_of(place->repository), 0);
}

Test(sweep, leaves_packs_of_live_sessions_alone)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 1);
    AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 1);
    struct hash root = session_tree(ingest, writer, 0, 20, 1000);
    AUTO(buf) struct buf missing = {0};
    struct hash nowhere = writer_id(writer, FRAME_NODE, 77, 40);
    cr_assert_eq(session_commit_code(ingest, writer, 1, &nowhere, &missing), ERR_NOT_FOUND); /* publishes */
    cr_assert_gt(pack_bytes(place), 20000);
    cr_assert_eq(sweep(place).outcome, SWEEP_CLEAN);
    (void)session_commit(ingest, writer, 1, &root);
    cr_assert(restores(place->repository, &root, NULL));
}

Test(sweep, takes_what_an_abandoned_session_left)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 1);
    AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 1);
    (void)session_tree(ingest, writer, 0, 20, 1000);
    ingest_close(ingest);
    ingest = NULL;
    cr_assert_eq(sweep(place).swept_packs, 2);
    cr_assert_eq(pack_bytes(place), 0);
    cr_assert_eq(findings_of(place->repository), 0);
}

/* Sessions do not outlive their connection: what was sent is then as good as any that nobody refers to. */
Test(sweep, between_two_attempts_of_a_run_costs_sending_again_and_nothing_else)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    AUTO(writer) struct writer *first = writer_new(REPOSITORY_ENCRYPTED, 1);
    AUTO(ingest) struct ingest *attempt = session_open(place->repository, first, 1);
    struct hash root = session_tree(attempt, first, 0, 20, 1000);
    ingest_close(attempt);
    attempt = NULL;
    cr_assert_eq(sweep(place).swept_packs, 2);

    AUTO(writer) struct writer *second = writer_new(REPOSITORY_ENCRYPTED, 2); /* the next attempt's seal */
    AUTO(ingest) struct ingest *again = session_open(place->repository, second, 1);
    uint8_t have[2] = {7, 7};
    struct err err;
    struct hash ids[] = {writer_id(second, FRAME_DATA, 0, 1000), root};
    cr_assert(ingest_has(again, ids, 2, have, &err));
    cr_assert(!have[0] && !have[1], "it is asked for again");
    AUTO(buf) struct buf missing = {0};
    cr_assert_eq(session_commit_code(again, second, 1, &root, &missing), ERR_NOT_FOUND);
    cr_assert_gt(missing.len, 0, "a commit that claims it is told what is missing");
    cr_assert_eq(sweep(place).outcome, SWEEP_CLEAN);
    struct hash same = session_tree(again, second, 0, 20, 1000);
    cr_assert(hash_eq(&same, &root));
    (void)session_commit(again, second, 1, &root);
    cr_assert(restores(place->repository, &root, NULL));
    cr_assert_eq(findings_of(place->repository), 0);
}

Test(sweep, is_refused_while_another_goes_on_and_to_readers)
{
    struct err err;
    struct sweep_result result;
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    struct repository *care = NULL;
    cr_assert(care_begin(place->repository, &care, &err));
    cr_assert_not(repository_sweep(place->repository, &result, &err));
    cr_assert_eq(err.code, ERR_BUSY);
    care_end(care);
    place_close(place);
    struct repository_options options = {.path = place->path};
    cr_assert(repository_open(&options, &place->repository, &err), "%s", err.text);
    cr_assert_not(repository_sweep(place->repository, &result, &err));
    cr_assert_eq(err.code, ERR_POLICY);
}

Test(sweep, takes_nothing_while_a_node_cannot_be_read)
{
    struct err err;
    struct sweep_result result;
    struct index_pack pack = {0};
    char name[BYTES_NAME_LEN];
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    (void)back_up(place->repository, 1, 0, 20);
    (void)back_up(place->repository, 2, 500, 20);
    prune(place, 1, 1);
    for (uint32_t no = 0; index_pack_from(place->repository->index, no, &pack, &err); no = pack.no + 1)
        bytes_name(&pack, name); /* the last one: the kept point's nodes */
    shell("chmod u+w '%s/%s' && printf XXXX | dd of='%s/%s' bs=1 seek=600 conv=notrunc 2>/dev/null",
          place->path, name, place->path, name);
    uint64_t head = place->repository->chain.number;
    cr_assert_not(repository_sweep(place->repository, &result, &err));
    cr_assert_eq(err.code, ERR_DAMAGED, "%s", err.text);
    cr_assert_eq(place->repository->chain.number, head);
}

Test(sweep, keeps_a_pack_that_it_cannot_read_for_a_repair)
{
    struct err err;
    struct index_pack pack;
    char name[BYTES_NAME_LEN];
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    (void)back_up(place->repository, 1, 0, 100);
    (void)back_up_sharing(place, REPOSITORY_ENCRYPTED, 2, 5000, 1, 20, 30);
    cr_assert(index_pack_from(place->repository->index, 0, &pack, &err)); /* the first one: data */
    bytes_name(&pack, name);
    shell("chmod u+w '%s/%s' && printf XXXX | dd of='%s/%s' bs=1 seek=40000 conv=notrunc 2>/dev/null",
          place->path, name, place->path, name);
    prune(place, 1, 1);
    struct sweep_result result = sweep(place);
    cr_assert_eq(result.outcome, SWEEP_DONE);
    cr_assert_eq(result.faulty_packs, 1);
    cr_assert(shell_works("test -e '%s/%s'", place->path, name));
}

/* --- beside a restore --- */

struct reading {
    struct place *place;
    size_t frames, missing;
    bool swept;
};

static bool sweep_at_first_frame(void *arg, const struct hash *id, struct span frame, struct err *err)
{
    struct reading *reading = arg;
    if (reading->frames++ == 0) reading->swept = sweep(reading->place).moved_bytes > 0;
    return true;
}

static bool count_missing(void *arg, const struct hash *id, const struct err *why, struct err *err)
{
    struct reading *reading = arg;
    reading->missing++;
    return true;
}

static bool ignore(void *arg, struct span bytes, struct err *err)
{
    return true;
}

Test(sweep, a_reader_finds_again_what_was_moved_under_its_eyes)
{
    struct err err;
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 9);
    struct hash ids[30];
    (void)back_up(place->repository, 7, 300, 2); /* read first, and kept */
    (void)back_up(place->repository, 1, 0, 100);
    (void)back_up_sharing(place, REPOSITORY_ENCRYPTED, 2, 5000, 1, 0, 28);
    ids[0] = writer_id(writer, FRAME_DATA, 300, 1000);
    ids[1] = writer_id(writer, FRAME_DATA, 5000, 1000);
    for (uint32_t i = 0; i < 28; i++)
        ids[2 + i] = writer_id(writer, FRAME_DATA, i, 1000);
    struct id held = id_of(7);
    cr_assert(repository_hold(place->repository, &held, REPOSITORY_HELD, span_of(NULL, 0), &err));
    prune(place, 1, 1);
    struct reading reading = {.place = place};
    struct fetch_sink sink = {.envelope = ignore,
                              .frame = sweep_at_first_frame,
                              .list = ignore,
                              .missing = count_missing,
                              .arg = &reading};
    cr_assert(repository_fetch(place->repository, ids, 30, FETCH_WITH_LISTS, &sink, &err), "%s", err.text);
    cr_assert(reading.swept);
    cr_assert_eq(reading.missing, 0);
    cr_assert_eq(reading.frames, 30);
}
