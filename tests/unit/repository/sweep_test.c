/* What no point refers to goes, everything else stays, whatever others have planted. */
#include "sweeping.h"

#include "transporter/repository/care.h"
#include "transporter/repository/check.h"
#include "transporter/repository/fetch.h"
#include "transporter/repository/mark.h"

#include <criterion/criterion.h>
#include <string.h>

static bool undelete(struct place *place, uint8_t point, enum err_code *code)
{
    struct err err = {0};
    struct id id = id_of(point);
    bool done = repository_undelete(place->repository, &id, span_of(NULL, 0), &err);
    *code = done ? ERR_NONE : err.code;
    return done;
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

/* ... and what such a copy names need not be anywhere: that must keep no sweep from freeing space for good.
 */
Test(sweep, a_planted_node_that_names_what_is_nowhere_does_not_keep_it_from_working)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    (void)back_up(place->repository, 1, 0, 20);
    struct hash kept = back_up(place->repository, 2, 500, 20);
    {
        const struct hash nowhere = hash_of(span_str("nowhere"));
        AUTO(writer) struct writer *thief = writer_new(REPOSITORY_ENCRYPTED, 200);
        AUTO(ingest) struct ingest *ingest = session_open(place->repository, thief, 200);
        (void)writer_node(thief, 1000500, &nowhere, 1, NULL, 0); /* a leaf of the point that is kept */
        session_send(ingest, thief, PACK_META);
    }
    prune(place, 1, 1);
    struct sweep_result result = sweep(place);
    cr_assert_eq(result.outcome, SWEEP_DONE);
    cr_assert_gt(result.swept_packs, 0);
    cr_assert(restores(place->repository, &kept, NULL));
}

/* A pack that is lost while points are walked, as a run that begins then finds out, and is brought again. */
static struct losing {
    const struct storage_ops *real;
    struct index *index;
    struct index_pack pack;
    unsigned reads, lost_at, back_at; /* by the number of the read that comes then; 0: never */
} losing;

static void change_lost(enum index_state state)
{
    struct err err;
    losing.pack.state = state;
    cr_assert(index_pack_set(losing.index, &losing.pack, &err), "%s", err.text);
}

static bool get_range_losing(void *self, const char *name, uint64_t offset, void *out, size_t len,
                             struct err *err)
{
    losing.reads++;
    if (losing.reads == losing.lost_at) change_lost(INDEX_LOST);
    if (losing.reads == losing.back_at) change_lost(INDEX_PACK);
    return losing.real->get_range(self, name, offset, out, len, err);
}

static bool mark_losing(struct place *place, unsigned lost_at, unsigned back_at, struct mark *out)
{
    struct err err;
    struct storage_ops ops = *place->repository->storage.ops;
    losing.real = place->repository->storage.ops;
    losing.reads = 0;
    losing.lost_at = lost_at;
    losing.back_at = back_at;
    ops.get_range = get_range_losing;
    place->repository->storage.ops = &ops;
    bool done = mark_points(place->repository, out, &err);
    place->repository->storage.ops = losing.real;
    change_lost(INDEX_PACK);
    return done;
}

/* The point 2, whose root names the node `old` of another pack, and one of which there is a planted copy. */
static void build_upon(struct place *place, const struct hash *old)
{
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_PLAINTEXT, 2);
    AUTO(writer) struct writer *thief = writer_new(REPOSITORY_PLAINTEXT, 200);
    AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 2);
    AUTO(ingest) struct ingest *other = session_open(place->repository, thief, 200);
    const struct hash nowhere = hash_of(span_str("nowhere"));
    struct hash below[] = {*old, writer_node(writer, 77, NULL, 0, NULL, 0)};
    struct hash root = writer_node(writer, 78, below, 2, NULL, 0);
    session_send(ingest, writer, PACK_META);
    (void)session_commit(ingest, writer, 2, &root);
    (void)writer_node(thief, 77, &nowhere, 1, NULL, 0);
    session_send(other, thief, PACK_META);
}

Test(sweep, what_is_lost_while_points_are_walked_does_not_pass_for_planted)
{
    struct index_location at;
    AUTO(place) struct place *place = place_new(REPOSITORY_PLAINTEXT);
    struct hash old = back_up(place->repository, 1, 0, 5);
    build_upon(place, &old);
    prune(place, 1, 1);
    losing.index = place->repository->index;
    {
        struct err err;
        AUTO(index_view) struct index_view *view = NULL;
        cr_assert(index_view_open(losing.index, &view, &err), "%s", err.text);
        cr_assert(index_locate_type(view, &old, 0, INDEX_FOR_READING, FRAME_NODE, &at));
    }
    struct err err;
    cr_assert(index_pack_get(losing.index, at.pack, &losing.pack, &err), "%s", err.text);
    {
        AUTO(mark) struct mark mark = {0};
        cr_assert(mark_losing(place, 0, 0, &mark), "nothing is lost");
        cr_assert(live_set_has(&mark.live, old.bytes));
    }
    for (unsigned lost_at = 1, reads = losing.reads; lost_at <= reads; lost_at++) {
        AUTO(mark) struct mark none = {0}, some = {0};
        cr_assert_not(mark_losing(place, lost_at, 0, &none), "%u", lost_at);
        bool done = mark_losing(place, lost_at, lost_at + 1, &some);
        cr_assert(!done || live_set_has(&some.live, old.bytes), "%u", lost_at);
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

/* Copies bring the same bytes each time, so that a pack can come back that a sweep had taken: under its old
 * name. */
static struct hash copy_in(struct place *place, struct writer *writer, const struct buf batches[2],
                           uint8_t point, const struct hash *root)
{
    struct err err;
    AUTO(ingest) struct ingest *ingest = NULL;
    struct ingest_options options = {.session = id_of(point), .kind = INGEST_COPY, .min_free_bytes = 1};
    cr_assert(ingest_open(place->repository, &options, &ingest, &err), "%s", err.text);
    for (uint64_t i = 0; i < 2; i++)
        cr_assert(ingest_batch(ingest, i + 1, buf_span(&batches[i]), &err), "%s", err.text);
    (void)session_commit(ingest, writer, point, root);
    return *root;
}

Test(sweep, a_pack_that_a_copy_brings_again_after_it_was_swept_stays)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 7);
    struct buf batches[2] = {{0}, {0}};
    struct hash data[5];
    for (uint32_t i = 0; i < 5; i++)
        data[i] = writer_data(writer, i, 1000);
    record_append(&batches[0], RECORD_ENVELOPE, span_of(writer->envelope, ENVELOPE_LEN));
    (void)writer_batch(writer, PACK_DATA, &batches[0]);
    struct hash node = writer_node(writer, 100, NULL, 0, data, 5);
    struct hash root = writer_node(writer, 101, &node, 1, NULL, 0);
    record_append(&batches[1], RECORD_ENVELOPE, span_of(writer->envelope, ENVELOPE_LEN));
    (void)writer_batch(writer, PACK_META, &batches[1]);
    (void)copy_in(place, writer, batches, 7, &root);
    (void)back_up(place->repository, 8, 50, 3);
    prune(place, 1, 1);
    struct sweep_result swept = sweep(place);
    cr_assert_gt(swept.swept_packs, 0);
    (void)copy_in(place, writer, batches, 9, &root);
    for (int rebuilt = 0; rebuilt < 2; rebuilt++) {
        reopen(place, rebuilt);
        cr_assert(restores(place->repository, &root, NULL), "index anew: %d", rebuilt);
        cr_assert_eq(findings_of(place->repository), 0);
        (void)sweep(place);
        cr_assert(restores(place->repository, &root, NULL), "index anew: %d, swept", rebuilt);
    }
    for (int i = 0; i < 2; i++)
        buf_deinit(&batches[i]);
}
