#include "cargo.h"
#include "common/base/alloc.h"
#include "common/base/text.h"
#include "origin.h"
#include "tests/support/flip.h"
#include "transporter/repository/check.h"
#include "transporter/repository/inside.h"
#include "transporter/session/asked.h"
#include "transporter/session/outlet_ingest.h"
#include "transporter/session/outlet_remote.h"

#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

/* An outlet of the test's own before the one to the other end. */
struct between {
    struct outlet_ops ops;
    struct outlet behind;
    unsigned asks, commits, left;
    _Atomic bool *cancelled;
};

static bool pass_ask(void *self, const enum frame_type *types, const struct hash *ids, size_t count,
                     uint8_t *have, struct err *err)
{
    struct between *between = self;
    between->asks++;
    return between->behind.ops->ask(between->behind.self, types, ids, count, have, err);
}

static bool pass_send(void *self, uint64_t number, struct buf *batch, struct err *err)
{
    const struct outlet *behind = &((struct between *)self)->behind;
    return behind->ops->send(behind->self, number, batch, err);
}

static bool pass_commit(void *self, const struct commit_request *request, struct commit_receipt *receipt,
                        struct buf *missing, struct err *err)
{
    struct between *between = self;
    between->commits++;
    return between->behind.ops->commit(between->behind.self, request, receipt, missing, err);
}

static const struct outlet_ops honest = {.ask = pass_ask, .send = pass_send, .commit = pass_commit};

/* Says "have" to everything but points: the commit at the other side must find it out. */
static bool lie(void *self, const enum frame_type *types, const struct hash *ids, size_t count, uint8_t *have,
                struct err *err)
{
    for (size_t i = 0; i < count; i++)
        have[i] = (int)types[i] != ASKED_POINT;
    return true;
}

/* Cancels the copy after some batches. */
static bool stop_send(void *self, uint64_t number, struct buf *batch, struct err *err)
{
    struct between *between = self;
    if (--between->left == 0) atomic_store(between->cancelled, true);
    return pass_send(self, number, batch, err);
}

/* One copy to the other end. How it ends there is how it ended here. */
static bool copy_through(struct origin *origin, struct between *between, struct err *err)
{
    struct ends *ends = origin->ends;
    struct id seal = id_random();
    ends_serve(ends, CONVERSATION_COPY, false);
    struct dialler *dialler = ends_dial(ends, CONVERSATION_COPY, &seal);
    between->behind = outlet_remote(dialler);
    const struct outlet outlet = {.ops = &between->ops, .self = between};
    const struct copy_options options = origin_copy_options(origin, &outlet);
    bool done = copy_points(&options, err);
    dialler_free(dialler, done ? NULL : err);
    cr_assert_eq(ends_join(ends), done, "%s", ends->serve_err.text);
    return done;
}

static void copy_once(struct origin *origin)
{
    struct between between = {.ops = honest};
    struct err err = {0};
    cr_assert(copy_through(origin, &between, &err), "%s", err.text);
}

Test(copy_session, points_arrive_whole_and_are_not_sent_twice)
{
    for (int plain = 0; plain < 2; plain++) {
        AUTO(origin) struct origin *origin = origin_new(plain ? REPOSITORY_PLAINTEXT : REPOSITORY_ENCRYPTED);
        AUTO(cargo) struct cargo none = {0};
        copy_once(origin);
        cr_assert_eq(ends_points(origin->ends), 2);
        cr_assert_eq(origin->points, 2);
        cargo_assert_stored(&none, &origin->ends->keys, origin->ends->repository, &origin->root);
        uint64_t sent = origin->sent;
        origin_add_point(origin, 5);
        copy_once(origin);
        cr_assert_eq(ends_points(origin->ends), 3);
        cr_assert_eq(origin->sent, sent, "a point of the same contents moved %llu bytes",
                     (unsigned long long)(origin->sent - sent));
    }
}

Test(copy_session, a_connection_cut_anywhere_changes_nothing, .timeout = 120)
{
    static const uint64_t cuts[] = {700, 1500, 5000, 1000000, 3100000};
    for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
        AUTO(origin) struct origin *origin = origin_new(REPOSITORY_ENCRYPTED);
        AUTO(cargo) struct cargo none = {0};
        atomic_store(&origin->ends->relay->cut_after, cuts[i]);
        atomic_store(&origin->ends->relay->cuts_left, 4);
        copy_once(origin);
        cr_assert_eq(ends_points(origin->ends), 2);
        cargo_assert_stored(&none, &origin->ends->keys, origin->ends->repository, &origin->root);
        cr_assert(atomic_load(&origin->ends->relay->accepted) > 1);
    }
}

static void count_hurt(void *arg, const struct check_finding *finding)
{
    *(size_t *)arg += finding->point_count;
}

/* One byte of each pack, a tenth from its end. */
static bool damage_pack(void *arg, const char *name, uint64_t size)
{
    const struct ends *ends = arg;
    AUTO(free) char *path = xasprintf("%s/repo/%s", ends->dir, name);
    flip(path, size - size / 10);
    return true;
}

Test(copy_session, what_a_check_found_damaged_is_brought_again_and_nothing_else)
{
    AUTO(origin) struct origin *origin = origin_new(REPOSITORY_ENCRYPTED);
    struct ends *ends = origin->ends;
    size_t hurt = 0;
    struct check_sink sink = {.finding = count_hurt, .arg = &hurt};
    struct check_options options = {.level = CHECK_HASH};
    struct check_result result;
    struct err err = {0};
    copy_once(origin);
    uint64_t all = origin->sent;
    const struct storage *storage = &ends->repository->storage;
    cr_assert(storage->ops->list(storage->self, "packs", damage_pack, ends, &err), "%s", err.text);
    cr_assert(repository_check(ends->repository, &options, &sink, &result, &err), "%s", err.text);
    cr_assert_gt(hurt, 0);
    copy_once(origin);
    uint64_t again = origin->sent - all;
    cr_assert_gt(again, 0);
    cr_assert_eq(ends_points(ends), 2);
    hurt = 0;
    cr_assert(repository_check(ends->repository, &options, &sink, &result, &err), "%s", err.text);
    cr_assert_eq(hurt, 0, "no point needs what is damaged");
    copy_once(origin);
    cr_assert_eq(origin->sent, all + again, "all is there again");
}

/* Each may take minutes where something was lost. */
Test(copy_session, questions_for_points_can_be_cancelled)
{
    AUTO(origin) struct origin *origin = origin_new(REPOSITORY_ENCRYPTED);
    AUTO(ingest) struct ingest *ingest = NULL;
    static const enum frame_type point = (enum frame_type)ASKED_POINT;
    const struct ingest_options options = {.session = {{9}}, .kind = INGEST_COPY};
    _Atomic bool cancelled = false;
    const struct hash id = {{3}};
    uint8_t have = ASKED_LACKS;
    struct err err = {0};
    cr_assert(ingest_open(origin->repository, &options, &ingest, &err), "%s", err.text);
    struct outlet_ingest behind = {
        .repository = origin->repository, .ingest = ingest, .cancelled = &cancelled};
    struct outlet outlet = outlet_ingest(&behind);
    cr_assert(outlet.ops->ask(outlet.self, &point, &id, 1, &have, &err), "%s", err.text);
    cr_assert_eq(have, ASKED_HAS);
    atomic_store(&cancelled, true);
    cr_assert_not(outlet.ops->ask(outlet.self, &point, &id, 1, &have, &err));
    cr_assert_eq(err.code, ERR_CANCELLED, "%s", err.text);
}

/* As retention leaves it: the log says "removed"; after a sweep, that the point is void, and its file is
 * gone. */
static void remove_there(struct ends *ends, const struct id *point, enum index_mark mark)
{
    struct err err = {0};
    char name[2 * ID_LEN + 1];
    cr_assert(index_point_mark(ends->repository->index, point, mark, &err), "%s", err.text);
    if (mark == INDEX_REMOVED) return;
    hex_encode(point->bytes, ID_LEN, name);
    AUTO(free) char *path = xasprintf("%s/repo/points/%s", ends->dir, name);
    cr_assert_eq(unlink(path), 0, "%s", path);
}

Test(copy_session, a_point_that_was_removed_there_is_left_alone)
{
    static const struct id point = {{3}};
    AUTO(origin) struct origin *origin = origin_new(REPOSITORY_ENCRYPTED);
    copy_once(origin);
    uint64_t sent = origin->sent;
    for (enum index_mark mark = INDEX_REMOVED; mark <= INDEX_VOID; mark++) {
        remove_there(origin->ends, &point, mark);
        origin->skipped = 0;
        copy_once(origin);
        cr_assert_eq(ends_points(origin->ends), 1);
        cr_assert_eq(origin->skipped, 1, "mark %d", (int)mark);
        cr_assert_eq(origin->points, 2, "nothing was copied a second time");
        cr_assert_eq(origin->sent, sent);
    }
}

Test(copy_session, a_target_that_claims_to_have_what_it_lacks_is_found_by_the_commit)
{
    AUTO(origin) struct origin *origin = origin_new(REPOSITORY_ENCRYPTED);
    AUTO(cargo) struct cargo none = {0};
    struct between between = {.ops = {.ask = lie, .send = pass_send, .commit = pass_commit}};
    struct err err = {0};
    cr_assert(copy_through(origin, &between, &err), "%s", err.text);
    cr_assert(between.commits > 2, "%u commits", between.commits);
    cargo_assert_stored(&none, &origin->ends->keys, origin->ends->repository, &origin->root);
}

Test(copy_session, one_that_was_cancelled_goes_on_where_it_stopped)
{
    AUTO(origin) struct origin *origin = origin_new(REPOSITORY_ENCRYPTED);
    AUTO(cargo) struct cargo none = {0};
    struct ends *ends = origin->ends;
    struct between between = {
        .ops = {.ask = pass_ask, .send = stop_send}, .left = 2, .cancelled = &origin->cancelled};
    struct err err = {0};
    cr_assert_not(copy_through(origin, &between, &err));
    cr_assert_eq(err.code, ERR_CANCELLED);
    cr_assert_eq(ends->serve_err.code, ERR_CANCELLED);
    cr_assert_eq(ends_points(ends), 0);
    atomic_store(&origin->cancelled, false);
    copy_once(origin); /* cargo_assert_stored finds what was stored twice */
    cr_assert_eq(ends_points(ends), 2);
    cargo_assert_stored(&none, &ends->keys, ends->repository, &origin->root);
}

/* Each question is a round trip. */
Test(copy_session, asks_at_once_about_points_that_are_small)
{
    AUTO(origin) struct origin *origin = origin_new(REPOSITORY_ENCRYPTED);
    AUTO(cargo) struct cargo none = {0};
    struct ends *ends = origin->ends;
    struct between between = {.ops = honest};
    struct err err = {0};
    cr_assert(copy_through(origin, &between, &err), "%s", err.text);
    cr_assert_eq(between.asks, 2, "%u: which points, and what of both", between.asks);
    cr_assert_eq(ends_points(ends), 2);
    cargo_assert_stored(&none, &ends->keys, ends->repository, &origin->root); /* once */
}

/* Removed between the question and the commit, or by a source that does not ask. */
static void commit_again_what_is(enum index_mark mark)
{
    static const struct id point = {{3}};
    AUTO(origin) struct origin *origin = origin_new(REPOSITORY_ENCRYPTED);
    struct ends *ends = origin->ends;
    struct between between = {.ops = {.ask = lie, .send = pass_send, .commit = pass_commit}};
    struct err err = {0};
    copy_once(origin);
    remove_there(ends, &point, mark);
    cr_assert_not(copy_through(origin, &between, &err));
    cr_assert_eq(err.code, ERR_POLICY, "%s", err.text);
    cr_assert(strstr(ends->serve_err.text, "was removed from this repository"), "%s", ends->serve_err.text);
}

Test(copy_session, a_removed_point_that_is_committed_again_is_refused_by_name)
{
    commit_again_what_is(INDEX_REMOVED);
}

Test(copy_session, also_when_a_sweep_has_taken_its_data)
{
    commit_again_what_is(INDEX_VOID);
}
