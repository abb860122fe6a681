#include "cargo.h"
#include "common/base/alloc.h"
#include "common/base/text.h"
#include "ends.h"
#include "tests/support/flip.h"
#include "transporter/pipeline/outlet_repository.h"
#include "transporter/repository/check.h"
#include "transporter/repository/inside.h"
#include "transporter/session/asked.h"
#include "transporter/session/copy.h"
#include "transporter/session/outlet_ingest.h"
#include "transporter/session/outlet_remote.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A second repository, at the dialling end, with points in it. */
struct origin {
    struct ends *ends; /* the other end, copied to */
    struct repository *repository;
    struct hash root; /* content of the last point's root */
    _Atomic uint64_t sent, points, skipped;
    _Atomic bool cancelled;
};

static void add_point(struct origin *origin, uint8_t number, uint64_t skip)
{
    struct ends *ends = origin->ends;
    struct err err = {0};
    AUTO(ingest) struct ingest *ingest = NULL;
    AUTO(outlet_repository) struct outlet_repository *outlet = NULL;
    run_key_free(ends->keys.run);
    ends->keys.run = run_key_new();
    struct ingest_options options = {.session = {{number}},
                                     .kind = INGEST_WRITER,
                                     .seal = ends->keys.run->seal,
                                     .domain = domain_id(ends->keys.write->dedup_key->data),
                                     .min_free_bytes = 1};
    memcpy(options.writer, ends->keys.writer->pk, SIGN_PK_LEN);
    cr_assert(ingest_open(origin->repository, &options, &ingest, &err), "%s", err.text);
    cr_assert(outlet_repository_new(ingest, OUTLET_REPOSITORY_QUEUE, &outlet, &err), "%s", err.text);
    struct outlet to = outlet_repository_outlet(outlet);
    struct sealing_options sealing =
        ends->kind == REPOSITORY_PLAINTEXT ? keys_plain(&ends->keys, to) : keys_sealing(&ends->keys, to);
    AUTO(cargo) struct cargo cargo;
    AUTO(buf) struct buf missing = {0};
    cargo_open(&cargo, &sealing);
    struct commit_receipt receipt;
    const struct id point = {{number}};
    cr_assert(cargo_pack(&cargo, &origin->root), "%s", cargo.err.text);
    cr_assert(cargo_commit(&cargo, &ends->keys, &point, &origin->root, &receipt, &missing), "%s",
              cargo.err.text);
}

static struct origin *origin_new(enum repository_kind kind)
{
    static const struct id site = {{1}}, id = {{8}};
    struct origin *origin = xcalloc(1, sizeof(*origin));
    struct err err = {0};
    origin->ends = ends_new(kind);
    AUTO(free) char *path = xasprintf("%s/origin", origin->ends->dir);
    AUTO(free) char *state = xasprintf("%s/origin-state", origin->ends->dir);
    cr_assert_eq(mkdir(state, 0700), 0);
    cr_assert(repository_create(path, &site, &id, kind, (struct span){0}, origin->ends->source->sign, &err));
    struct repository_options options = {
        .path = path, .state_dir = state, .owner = origin->ends->source->sign};
    cr_assert(repository_open(&options, &origin->repository, &err), "%s", err.text);
    add_point(origin, 3, UINT64_MAX);
    add_point(origin, 4, UINT64_MAX);
    return origin;
}

static void origin_free(struct origin *origin)
{
    repository_close(origin->repository);
    ends_free(origin->ends);
    free(origin);
}
DEFINE_AUTO(origin, struct origin *, origin_free)

static bool copy_over(struct origin *origin, const struct outlet *outlet, struct err *err)
{
    struct copy_options options = {.from = origin->repository,
                                   .outlet = *outlet,
                                   .sent_bytes = &origin->sent,
                                   .points = &origin->points,
                                   .skipped = &origin->skipped,
                                   .cancelled = &origin->cancelled};
    return copy_points(&options, err);
}

static void copy_once(struct origin *origin)
{
    struct ends *ends = origin->ends;
    struct id seal = id_random();
    struct err err = {0};
    ends_serve(ends, CONVERSATION_COPY, false);
    struct dialler *dialler = ends_dial(ends, CONVERSATION_COPY, &seal);
    struct outlet outlet = outlet_remote(dialler);
    cr_assert(copy_over(origin, &outlet, &err), "%s", err.text);
    dialler_free(dialler, NULL);
    cr_assert(ends_join(ends), "%s", ends->serve_err.text);
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
        add_point(origin, 5, UINT64_MAX);
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

/* As retention leaves it: the log says "removed", the point's file is gone. */
static void remove_there(struct ends *ends, const struct id *point)
{
    struct err err = {0};
    char name[2 * ID_LEN + 1];
    cr_assert(index_point_mark(ends->repository->index, point, INDEX_REMOVED, &err), "%s", err.text);
    hex_encode(point->bytes, ID_LEN, name);
    AUTO(free) char *path = xasprintf("%s/repo/points/%s", ends->dir, name);
    cr_assert_eq(unlink(path), 0, "%s", path);
}

Test(copy_session, a_point_that_was_removed_there_is_left_alone)
{
    static const struct id point = {{3}};
    AUTO(origin) struct origin *origin = origin_new(REPOSITORY_ENCRYPTED);
    copy_once(origin);
    remove_there(origin->ends, &point);
    uint64_t sent = origin->sent;
    copy_once(origin);
    cr_assert_eq(ends_points(origin->ends), 1);
    cr_assert_eq(origin->skipped, 1);
    cr_assert_eq(origin->points, 2, "nothing was copied a second time");
    cr_assert_eq(origin->sent, sent);
}

/* Says "have" to everything but points: the commit at the other side must find it out. */
struct liar {
    struct outlet behind;
    unsigned commits;
};

static bool lie(void *self, const enum frame_type *types, const struct hash *ids, size_t count, uint8_t *have,
                struct err *err)
{
    for (size_t i = 0; i < count; i++)
        have[i] = (int)types[i] != 3;
    return true;
}

static bool liar_send(void *self, uint64_t number, struct buf *batch, struct err *err)
{
    const struct outlet *behind = &((struct liar *)self)->behind;
    return behind->ops->send(behind->self, number, batch, err);
}

static bool liar_commit(void *self, const struct commit_request *request, struct commit_receipt *receipt,
                        struct buf *missing, struct err *err)
{
    const struct outlet *behind = &((struct liar *)self)->behind;
    ((struct liar *)self)->commits++;
    return behind->ops->commit(behind->self, request, receipt, missing, err);
}

Test(copy_session, a_target_that_claims_to_have_what_it_lacks_is_found_by_the_commit)
{
    static const struct outlet_ops ops = {.ask = lie, .send = liar_send, .commit = liar_commit};
    AUTO(origin) struct origin *origin = origin_new(REPOSITORY_ENCRYPTED);
    AUTO(cargo) struct cargo none = {0};
    struct ends *ends = origin->ends;
    struct id seal = id_random();
    struct err err = {0};
    ends_serve(ends, CONVERSATION_COPY, false);
    struct dialler *dialler = ends_dial(ends, CONVERSATION_COPY, &seal);
    struct liar liar = {.behind = outlet_remote(dialler)};
    struct outlet outlet = {.ops = &ops, .self = &liar};
    cr_assert(copy_over(origin, &outlet, &err), "%s", err.text);
    dialler_free(dialler, NULL);
    cr_assert(ends_join(ends), "%s", ends->serve_err.text);
    cr_assert(liar.commits > 2, "%u commits", liar.commits);
    cargo_assert_stored(&none, &ends->keys, ends->repository, &origin->root);
}

/* Cancels the copy after some batches. */
struct stopper {
    struct outlet behind;
    unsigned left;
    _Atomic bool *cancelled;
};

static bool stopper_ask(void *self, const enum frame_type *types, const struct hash *ids, size_t count,
                        uint8_t *have, struct err *err)
{
    const struct outlet *behind = &((struct stopper *)self)->behind;
    return behind->ops->ask(behind->self, types, ids, count, have, err);
}

static bool stopper_send(void *self, uint64_t number, struct buf *batch, struct err *err)
{
    struct stopper *stopper = self;
    if (--stopper->left == 0) atomic_store(stopper->cancelled, true);
    return stopper->behind.ops->send(stopper->behind.self, number, batch, err);
}

static const struct outlet_ops stopper_ops = {.ask = stopper_ask, .send = stopper_send};

Test(copy_session, one_that_was_cancelled_goes_on_where_it_stopped)
{
    AUTO(origin) struct origin *origin = origin_new(REPOSITORY_ENCRYPTED);
    AUTO(cargo) struct cargo none = {0};
    struct ends *ends = origin->ends;
    struct id seal = id_random();
    struct err err = {0};
    ends_serve(ends, CONVERSATION_COPY, false);
    struct dialler *dialler = ends_dial(ends, CONVERSATION_COPY, &seal);
    struct outlet outlet = outlet_remote(dialler);
    struct stopper stopper = {.behind = outlet, .left = 2, .cancelled = &origin->cancelled};
    struct outlet stopping = {.ops = &stopper_ops, .self = &stopper};
    cr_assert_not(copy_over(origin, &stopping, &err));
    cr_assert_eq(err.code, ERR_CANCELLED);
    dialler_free(dialler, &err);
    cr_assert_not(ends_join(ends));
    cr_assert_eq(ends->serve_err.code, ERR_CANCELLED);
    cr_assert_eq(ends_points(ends), 0);
    atomic_store(&origin->cancelled, false);
    copy_once(origin); /* cargo_assert_stored finds what was stored twice */
    cr_assert_eq(ends_points(ends), 2);
    cargo_assert_stored(&none, &ends->keys, ends->repository, &origin->root);
}

struct counter {
    struct outlet behind;
    unsigned asks;
};

static bool counter_ask(void *self, const enum frame_type *types, const struct hash *ids, size_t count,
                        uint8_t *have, struct err *err)
{
    struct counter *counter = self;
    counter->asks++;
    return counter->behind.ops->ask(counter->behind.self, types, ids, count, have, err);
}

static bool counter_send(void *self, uint64_t number, struct buf *batch, struct err *err)
{
    struct counter *counter = self;
    return counter->behind.ops->send(counter->behind.self, number, batch, err);
}

static bool counter_commit(void *self, const struct commit_request *request, struct commit_receipt *receipt,
                           struct buf *missing, struct err *err)
{
    struct counter *counter = self;
    return counter->behind.ops->commit(counter->behind.self, request, receipt, missing, err);
}

/* Each question is a round trip. */
Test(copy_session, asks_at_once_about_points_that_are_small)
{
    static const struct outlet_ops ops = {.ask = counter_ask, .send = counter_send, .commit = counter_commit};
    AUTO(origin) struct origin *origin = origin_new(REPOSITORY_ENCRYPTED);
    AUTO(cargo) struct cargo none = {0};
    struct ends *ends = origin->ends;
    struct id seal = id_random();
    struct err err = {0};
    ends_serve(ends, CONVERSATION_COPY, false);
    struct dialler *dialler = ends_dial(ends, CONVERSATION_COPY, &seal);
    struct counter counter = {.behind = outlet_remote(dialler)};
    struct outlet outlet = {.ops = &ops, .self = &counter};
    cr_assert(copy_over(origin, &outlet, &err), "%s", err.text);
    dialler_free(dialler, NULL);
    cr_assert(ends_join(ends), "%s", ends->serve_err.text);
    cr_assert_eq(counter.asks, 2, "%u: which points, and what of both", counter.asks);
    cr_assert_eq(ends_points(ends), 2);
    cargo_assert_stored(&none, &ends->keys, ends->repository, &origin->root); /* once */
}

/* Removed between the question and the commit, or by a source that does not ask. */
Test(copy_session, a_removed_point_that_is_committed_again_is_refused_by_name)
{
    static const struct outlet_ops ops = {.ask = lie, .send = liar_send, .commit = liar_commit};
    static const struct id point = {{3}};
    AUTO(origin) struct origin *origin = origin_new(REPOSITORY_ENCRYPTED);
    struct ends *ends = origin->ends;
    struct id seal = id_random();
    struct err err = {0};
    copy_once(origin);
    remove_there(ends, &point);
    ends_serve(ends, CONVERSATION_COPY, false);
    struct dialler *dialler = ends_dial(ends, CONVERSATION_COPY, &seal);
    struct liar liar = {.behind = outlet_remote(dialler)};
    struct outlet outlet = {.ops = &ops, .self = &liar};
    cr_assert_not(copy_over(origin, &outlet, &err));
    cr_assert_eq(err.code, ERR_POLICY, "%s", err.text);
    dialler_free(dialler, &err);
    cr_assert_not(ends_join(ends));
    cr_assert(strstr(ends->serve_err.text, "was removed from this repository"), "%s", ends->serve_err.text);
}
