/* What no point refers to goes, everything else stays, whoever writes and reads meanwhile and wherever it is
 * interrupted. */
#include "builder.h"

#include "common/base/alloc.h"
#include "transporter/repository/care.h"
#include "transporter/repository/check.h"
#include "transporter/repository/fetch.h"
#include "transporter/repository/frame_reader.h"
#include "transporter/repository/live_set.h"
#include "transporter/repository/sweep.h"

#include <criterion/criterion.h>
#include <string.h>

static void note_finding(void *arg, const struct check_finding *finding)
{
    if (finding->code != ERR_NONE) fprintf(stderr, "%s: %s\n", finding->object, finding->text);
}

static uint64_t findings_of(struct repository *repository)
{
    struct err err;
    struct check_result result;
    struct check_sink sink = {.finding = note_finding};
    cr_assert(
        repository_check(repository, &(struct check_options){.level = CHECK_HASH}, &sink, &result, &err),
        "%s", err.text);
    return result.findings;
}

static struct care_rule rule_of(uint32_t last)
{
    return (struct care_rule){.job = "job", .retention.last = last};
}

static void prune(struct place *place, uint32_t last, uint64_t removed)
{
    struct err err;
    struct prune_result result;
    struct care_rule rule = rule_of(last);
    cr_assert(repository_prune(place->repository, &rule, PRUNE_REMOVE, NULL, NULL, &result, &err), "%s",
              err.text);
    cr_assert_eq(result.removed, removed, "%llu", (unsigned long long)result.removed);
}

static struct sweep_result sweep(struct place *place)
{
    struct err err;
    struct sweep_result result;
    cr_assert(repository_sweep(place->repository, &result, &err), "%s", err.text);
    return result;
}

static uint64_t pack_bytes(struct place *place)
{
    struct repository_info info;
    repository_info(place->repository, &info);
    return info.pack_bytes;
}

static bool undelete(struct place *place, uint8_t point, enum err_code *code)
{
    struct err err = {0};
    struct id id = id_of(point);
    bool done = repository_undelete(place->repository, &id, span_of(NULL, 0), &err);
    *code = done ? ERR_NONE : err.code;
    return done;
}

/* After every start, with the index as it is and with one built from nothing. */
static void reopen(struct place *place, int rebuilt)
{
    place_close(place);
    if (rebuilt) shell("rm -r '%s/index'", place->state);
    place_open(place);
}

Test(sweep, takes_nothing_from_a_repository_of_which_all_is_used)
{
    for (int kind = REPOSITORY_ENCRYPTED; kind <= REPOSITORY_PLAINTEXT; kind++) {
        AUTO(place) struct place *place = place_new((enum repository_kind)kind);
        struct hash root = back_up(place->repository, 1, 0, 20);
        struct repository_info before;
        struct repository_info after;
        repository_info(place->repository, &before);
        cr_assert_eq(sweep(place).outcome, SWEEP_CLEAN);
        repository_info(place->repository, &after);
        cr_assert_eq(before.head_number, after.head_number);
        cr_assert_eq(before.pack_bytes, after.pack_bytes);
        cr_assert(restores(place->repository, &root, NULL));
    }
}

Test(sweep, takes_what_only_removed_points_used)
{
    for (int kind = REPOSITORY_ENCRYPTED; kind <= REPOSITORY_PLAINTEXT; kind++) {
        AUTO(place) struct place *place = place_new((enum repository_kind)kind);
        struct hash old = back_up(place->repository, 1, 0, 20);
        uint64_t bytes = pack_bytes(place);
        struct hash new = back_up(place->repository, 2, 500, 20);
        prune(place, 1, 1);
        cr_assert(restores(place->repository, &old, NULL), "before the sweep");
        struct sweep_result result = sweep(place);
        cr_assert_eq(result.outcome, SWEEP_DONE);
        cr_assert_eq(result.swept_packs, 2);
        cr_assert_eq(result.freed_bytes, bytes);
        cr_assert_eq(result.moved_bytes, 0);
        for (int start = 0; start < 3; start++) {
            if (start) reopen(place, start - 1);
            cr_assert(restores(place->repository, &new, NULL));
            cr_assert_not(restores(place->repository, &old, NULL));
            cr_assert_eq(findings_of(place->repository), 0);
        }
        cr_assert_not(shell_works("ls '%s'/points/01* 2>/dev/null", place->path), "its file is still there");
        cr_assert_eq(sweep(place).outcome, SWEEP_CLEAN);
    }
}

/* A point that shares `shared` chunks with the one before. */
static struct hash back_up_sharing(struct place *place, enum repository_kind kind, uint8_t seed,
                                   uint32_t content, size_t own, uint32_t from, size_t shared)
{
    AUTO(writer) struct writer *writer = writer_new(kind, seed);
    AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, seed);
    AUTO(free) struct hash *ids = xcalloc(own + shared + 1, sizeof(*ids));
    for (size_t i = 0; i < own; i++)
        ids[i] = writer_data(writer, content + (uint32_t)i, 1000);
    if (own) session_send(ingest, writer, PACK_DATA);
    for (size_t i = 0; i < shared; i++)
        ids[own + i] = writer_id(writer, FRAME_DATA, from + (uint32_t)i, 1000);
    struct hash root = writer_node(writer, content + 5000000, NULL, 0, ids, own + shared);
    session_send(ingest, writer, PACK_META);
    (void)session_commit(ingest, writer, seed, &root);
    return root;
}

Test(sweep, moves_what_is_still_used_with_its_envelope_and_list)
{
    for (int kind = REPOSITORY_ENCRYPTED; kind <= REPOSITORY_PLAINTEXT; kind++) {
        AUTO(place) struct place *place = place_new((enum repository_kind)kind);
        (void)back_up(place->repository, 1, 0, 100);
        struct hash kept = back_up_sharing(place, (enum repository_kind)kind, 2, 5000, 3, 20, 30);
        prune(place, 1, 1);
        uint64_t before = pack_bytes(place);
        struct sweep_result result = sweep(place);
        cr_assert_eq(result.outcome, SWEEP_DONE);
        cr_assert_gt(result.moved_bytes, 30 * 1000);
        cr_assert_lt(result.moved_bytes, 40 * 1000 + 64 * 1000);
        cr_assert_lt(pack_bytes(place), before);
        for (int start = 0; start < 3; start++) {
            size_t frames;
            if (start) reopen(place, start - 1);
            cr_assert(restores(place->repository, &kept, &frames));
            cr_assert_eq(frames, 34);
            cr_assert_eq(findings_of(place->repository), 0);
        }
        cr_assert_eq(sweep(place).outcome, SWEEP_CLEAN);
    }
}

Test(sweep, leaves_a_pack_of_which_most_is_used)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    (void)back_up(place->repository, 1, 0, 100);
    struct hash kept = back_up_sharing(place, REPOSITORY_ENCRYPTED, 2, 5000, 1, 0, 80);
    prune(place, 1, 1);
    struct sweep_result result = sweep(place);
    cr_assert_eq(result.swept_packs, 1, "only the old point's nodes");
    cr_assert_eq(result.moved_bytes, 0);
    cr_assert(restores(place->repository, &kept, NULL));
    cr_assert_eq(findings_of(place->repository), 0);
}

Test(sweep, a_point_comes_back_until_it_is_swept)
{
    enum err_code code;
    for (int start = 0; start < 3; start++) {
        AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
        struct hash old = back_up(place->repository, 1, 0, 20);
        (void)back_up(place->repository, 2, 500, 20);
        cr_assert_not(undelete(place, 1, &code));
        cr_assert_eq(code, ERR_EXISTS);
        prune(place, 1, 1);
        if (start) reopen(place, start - 1);
        cr_assert(undelete(place, 1, &code));
        cr_assert_eq(sweep(place).outcome, SWEEP_CLEAN);
        cr_assert(restores(place->repository, &old, NULL));
        prune(place, 1, 1);
        cr_assert_eq(sweep(place).outcome, SWEEP_DONE);
        if (start) reopen(place, start - 1);
        cr_assert_not(undelete(place, 1, &code));
        cr_assert_eq(code, ERR_POLICY);
        cr_assert_not(undelete(place, 9, &code));
        cr_assert_eq(code, ERR_NOT_FOUND);
    }
}

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

/* --- others' frames --- */

/* In another domain somebody names a node by the id of one of ours, with nothing below it. */
Test(sweep, a_node_planted_in_another_domain_takes_nothing_away)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    AUTO(writer) struct writer *stranger = writer_new_in(REPOSITORY_ENCRYPTED, 3, "t:stranger");
    AUTO(writer) struct writer *ours = writer_new(REPOSITORY_ENCRYPTED, 2);
    AUTO(ingest) struct ingest *ingest = session_open(place->repository, stranger, 3);
    memcpy(stranger->dedup, ours->dedup, HASH_LEN); /* ids as in our domain, in the stranger's */
    struct hash leaf = writer_node(stranger, 1000500, NULL, 0, NULL, 0);
    struct hash root = writer_node(stranger, 4000000, &leaf, 1, NULL, 0);
    session_send(ingest, stranger, PACK_META);
    (void)session_commit(ingest, stranger, 3, &root);
    ingest_close(ingest);
    ingest = NULL;
    (void)back_up(place->repository, 2, 500, 20);
    (void)sweep(place);
    struct err err;
    uint8_t have = 0;
    struct hash data = writer_id(ours, FRAME_DATA, 500, 1000);
    ingest = session_open(place->repository, ours, 4);
    cr_assert(ingest_has(ingest, &data, 1, &have, &err), "%s", err.text);
    cr_assert_eq(have, 1);
}

/* Who has the write half of our domain may name our nodes, as often as he likes, and in packs whose places
 * the index tells before ours: with nothing below them. */
Test(sweep, a_node_planted_many_times_in_the_same_domain_takes_nothing_away, .timeout = 120)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    (void)back_up(place->repository, 1, 0, 20);
    uint32_t next = 0;
    struct err err;
    for (uint8_t i = 0; next < 255; i++) {
        (void)back_up(place->repository, (uint8_t)(10 + i), (uint32_t)(1000 * (i + 1)), 1);
        cr_assert(index_next_pack(place->repository->index, &next, &err), "%s", err.text);
    }
    AUTO(writer) struct writer *thief = writer_new(REPOSITORY_ENCRYPTED, 200);
    AUTO(ingest) struct ingest *ingest = session_open(place->repository, thief, 200);
    struct hash leaf = {{0}};
    (void)writer_data(thief, 4000000, 10);
    session_send(ingest, thief, PACK_DATA);
    for (int i = 0; i < 2 * INDEX_MAX_LOCATIONS; i++)
        leaf = writer_node(thief, 1000000, NULL, 0, NULL, 0);
    struct hash own = writer_node(thief, 4000000, &leaf, 1, NULL, 0);
    session_send(ingest, thief, PACK_META);
    (void)session_commit(ingest, thief, 200, &own);
    ingest_close(ingest);
    ingest = NULL;
    for (int round = 0; round < 2; round++) {
        (void)sweep(place);
        AUTO(writer) struct writer *ours = writer_new(REPOSITORY_ENCRYPTED, 2);
        AUTO(ingest) struct ingest *session = session_open(place->repository, ours, 2);
        struct hash data = writer_id(ours, FRAME_DATA, 0, 1000);
        uint8_t have = 0;
        cr_assert(ingest_has(session, &data, 1, &have, &err), "%s", err.text);
        cr_assert_eq(have, 1, "sweep %d", round);
    }
}

Test(sweep, two_repositories_with_copies_of_each_other_stay_whole)
{
    AUTO(place) struct place *a = place_new(REPOSITORY_ENCRYPTED);
    AUTO(place) struct place *b = place_new_as(REPOSITORY_ENCRYPTED, 0x53);
    struct hash roots[2][3];
    struct place *places[2] = {a, b};
    for (int i = 0; i < 2; i++) {
        /* the same data under the same key, sealed by two writers, in two repositories each */
        for (int p = 0; p < 3; p++)
            roots[i][p] = back_up(places[i]->repository, (uint8_t)(1 + 3 * i + p), (uint32_t)(10 * p), 20);
        for (int p = 0; p < 3; p++)
            (void)back_up(places[i]->repository, (uint8_t)(1 + 3 * (1 - i) + p), (uint32_t)(10 * p), 20);
    }
    for (int i = 0; i < 2; i++) {
        prune(places[i], 4, 2);
        (void)sweep(places[i]);
        cr_assert(restores(places[i]->repository, &roots[0][2], NULL));
        cr_assert(restores(places[i]->repository, &roots[1][2], NULL));
        cr_assert_eq(findings_of(places[i]->repository), 0);
    }
}

/* --- what was damaged and brought again --- */

/* One bit at offset 500 of each pack that the filter lets pass. */
static void flip_packs(struct place *place, const char *filter)
{
    shell(
        "for f in $(ls '%s'/packs/*/* | %s); do b=$(od -An -tu1 -j500 -N1 $f); "
        "printf \"\\\\$(printf %%03o $((b ^ 32)))\" | dd of=$f bs=1 seek=500 conv=notrunc status=none; done",
        place->path, filter);
}

static void flip_at(const char *path, uint32_t offset)
{
    shell("chmod u+w '%s' && b=$(od -An -tu1 -j%u -N1 '%s'); "
          "printf \"\\\\$(printf %%03o $((b ^ 32)))\" | dd of='%s' bs=1 seek=%u conv=notrunc status=none",
          path, offset, path, path, offset);
}

/* How many packs have the state. */
static size_t packs_in(struct place *place, enum index_state state)
{
    struct index_pack pack = {0};
    struct err err;
    size_t count = 0;
    for (uint32_t no = 0; index_pack_from(place->repository->index, no, &pack, &err); no = pack.no + 1)
        count += pack.state == state;
    return count;
}

static uint8_t is_had(struct place *place, const struct hash *id)
{
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 9);
    AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 9);
    uint8_t have = 0;
    struct err err;
    cr_assert(ingest_has(ingest, id, 1, &have, &err), "%s", err.text);
    return have;
}

Test(sweep, takes_damaged_packs_once_all_that_is_needed_of_them_was_brought_again)
{
    for (int start = 0; start < 3; start++) {
        AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
        struct hash root = back_up(place->repository, 1, 0, 20);
        flip_packs(place, "cat");
        cr_assert_gt(findings_of(place->repository), 0);
        if (start) reopen(place, start - 1);
        cr_assert_eq(packs_in(place, INDEX_DAMAGED), 2);
        struct hash again = back_up(place->repository, 2, 0, 20);
        cr_assert(hash_eq(&root, &again));
        cr_assert_gt(findings_of(place->repository), 0, "the bad packs are there as before");
        if (start) reopen(place, start - 1);
        struct sweep_result result = sweep(place);
        cr_assert_eq(result.outcome, SWEEP_DONE);
        cr_assert_eq(result.swept_packs, 2);
        cr_assert_gt(result.moved_bytes, 19 * 1000, "what still reads is never taken");
        cr_assert(restores(place->repository, &root, NULL));
        cr_assert_eq(findings_of(place->repository), 0);
        reopen(place, 1);
        cr_assert_eq(findings_of(place->repository), 0);
        cr_assert_eq(sweep(place).outcome, SWEEP_CLEAN);
    }
}

static void count_row(void *arg, const uint8_t *id, const struct index_location *location)
{
    (void)id;
    size_t *rows = arg;
    rows[location->pack]++;
}

Test(sweep, forgets_lost_packs_once_all_that_is_needed_of_them_was_brought_again)
{
    size_t rows[16] = {0};
    struct err err;
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    struct hash root = back_up(place->repository, 1, 0, 20);
    shell("rm -rf '%s'/packs/*", place->path);
    reopen(place, 0);
    cr_assert_eq(packs_in(place, INDEX_LOST), 2);
    (void)back_up(place->repository, 2, 0, 20);
    cr_assert_gt(findings_of(place->repository), 0, "the lost packs are named as before");
    cr_assert_eq(sweep(place).outcome, SWEEP_CLEAN, "there is nothing to take away");
    cr_assert_eq(findings_of(place->repository), 0);
    cr_assert(index_each_chunk(place->repository->index, count_row, rows, &err), "%s", err.text);
    for (uint32_t no = 0; no < 16; no++) {
        struct index_pack pack;
        bool there = index_pack_get(place->repository->index, no, &pack, &err);
        cr_assert_eq(rows[no] > 0, there, "%zu rows of pack %u, which is %sthere", rows[no], no,
                     there ? "" : "not ");
    }
    cr_assert(restores(place->repository, &root, NULL));
}

Test(sweep, keeps_a_damaged_or_lost_pack_of_which_something_is_nowhere_else)
{
    for (int lost = 0; lost < 2; lost++) {
        AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
        (void)back_up(place->repository, 1, 0, 20);
        if (lost)
            shell("rm $(ls -S '%s'/packs/*/* | head -1)", place->path); /* the data */
        else
            flip_packs(place, "xargs ls -S | head -1");
        reopen(place, 0);
        uint64_t found = findings_of(place->repository);
        cr_assert_gt(found, 0);
        (void)back_up_sharing(place, REPOSITORY_ENCRYPTED, 2, 1, 19, 0, 0); /* not the first, which is bad */
        cr_assert_eq(sweep(place).outcome, SWEEP_CLEAN);
        cr_assert_eq(packs_in(place, lost ? INDEX_LOST : INDEX_DAMAGED), 1);
        cr_assert_gt(findings_of(place->repository), 0, "it is still named");
    }
}

/* What is elsewhere is looked at before anything is taken away. */
Test(sweep, keeps_a_damaged_pack_when_what_should_be_elsewhere_is_bad_too)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    AUTO(free) char *first = xasprintf("xargs ls -S | head -1 | tee '%s/first'", place->root);
    AUTO(free) char *second = xasprintf("xargs ls -S | head -2 | grep -vFf '%s/first'", place->root);
    (void)back_up(place->repository, 1, 0, 20);
    flip_packs(place, first);
    cr_assert_eq(findings_of(place->repository), 1);
    (void)back_up(place->repository, 2, 0, 20);
    flip_packs(place, second); /* the same chunk */
    cr_assert_eq(sweep(place).outcome, SWEEP_CLEAN);
    cr_assert_eq(packs_in(place, INDEX_DAMAGED), 1);
}

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
    flip_at(path, toc.entries[at].offset + 100);
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
    flip_at(path, at[1].offset + 100); /* these bytes are nowhere else */
    (void)back_up(place->repository, 3, 0, 20);
    cr_assert_gt(findings_of(place->repository), 0);
    cr_assert_eq(originals_left(place, &originals), 19);
    cr_assert_eq(sweep(place).outcome, SWEEP_DONE);
    cr_assert_eq(packs_in(place, INDEX_DAMAGED), 0);
    cr_assert_eq(originals_left(place, &originals), 19);
    cr_assert(restores(place->repository, &root, NULL));
    cr_assert_eq(findings_of(place->repository), 0);
}

/* --- damaged and condemned --- */

/* A session of before keeps a condemned pack from being swept; what it commits needs the bad pack again. */
Test(sweep, a_damaged_pack_that_was_condemned_and_spared_is_damaged_still)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    (void)back_up(place->repository, 1, 0, 20);
    (void)back_up(place->repository, 2, 500, 20);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 3);
    AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 3);
    struct hash node = writer_id(writer, FRAME_NODE, 1000000, 40);
    struct hash root = writer_node(writer, 3000000, &node, 1, NULL, 0);
    prune(place, 1, 1);
    cr_assert_eq(sweep(place).outcome, SWEEP_WAITS);
    cr_assert_eq(packs_in(place, INDEX_CONDEMNED), 2);
    session_send(ingest, writer, PACK_META);
    (void)session_commit(ingest, writer, 3, &root);
    ingest_close(ingest);
    ingest = NULL;
    flip_packs(place, "xargs ls -S | head -2"); /* the data of both */
    cr_assert_eq(findings_of(place->repository), 2);
    cr_assert_eq(packs_in(place, INDEX_CONDEMNED), 2);
    cr_assert_eq(sweep(place).spared_packs, 2);
    cr_assert_eq(packs_in(place, INDEX_DAMAGED), 2);
}

/* The index may be lost: what its packs' trailers say looks well. */
Test(sweep, nothing_relies_on_a_damaged_pack_after_the_index_was_lost)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    struct hash root = back_up(place->repository, 1, 0, 20);
    cr_assert_eq(is_had(place, &root), 1);
    flip_packs(place, "cat");
    cr_assert_eq(findings_of(place->repository), 2);
    for (int rebuilt = 0; rebuilt < 2; rebuilt++) {
        reopen(place, rebuilt);
        cr_assert_eq(is_had(place, &root), 0);
        cr_assert_eq(packs_in(place, INDEX_DAMAGED), 2);
    }
    flip_packs(place, "cat"); /* as they were */
    cr_assert_eq(findings_of(place->repository), 0);
    reopen(place, 1);
    cr_assert_eq(is_had(place, &root), 1);
}

/* --- the filter --- */

Test(live_set, takes_no_more_than_its_limit_for_any_number_of_ids)
{
    AUTO(live_set) struct live_set set;
    live_set_init(&set, UINT64_MAX);
    cr_assert_eq((set.block_mask + 1) * 64, LIVE_SET_MOST_BYTES);
    static const uint8_t id[ID_LEN] = {1, 2, 3};
    cr_assert_not(live_set_has(&set, id));
    live_set_add(&set, id);
    cr_assert(live_set_has(&set, id));
}

Test(live_set, finds_all_that_was_added_and_few_others)
{
    AUTO(live_set) struct live_set set;
    live_set_init(&set, 100000);
    uint64_t wrong = 0;
    for (uint32_t i = 0; i < 200000; i++) {
        struct hash id = hash_of(span_of(&i, sizeof(i)));
        if (i % 2) live_set_add(&set, id.bytes);
    }
    for (uint32_t i = 0; i < 200000; i++) {
        struct hash id = hash_of(span_of(&i, sizeof(i)));
        bool found = live_set_has(&set, id.bytes);
        cr_assert(found || i % 2 == 0);
        wrong += found && i % 2 == 0;
    }
    cr_assert_lt(wrong, 500, "%llu of 100,000", (unsigned long long)wrong);
}
