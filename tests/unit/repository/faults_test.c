/* Storage that fails at each of its calls: what is committed restores, what is not is absent or whole. */
#include "builder.h"

#include "common/base/alloc.h"

#include <criterion/criterion.h>
#include <string.h>

struct outcome {
    bool committed; /* the second point, as the session saw it */
    bool no_space;  /* an error said so */
    uint64_t acknowledged;
    struct hash root;
};

static void note(struct outcome *outcome, const struct err *err)
{
    outcome->no_space = outcome->no_space || err->code == ERR_NO_SPACE;
}

static bool send(struct ingest *ingest, struct writer *writer, enum pack_class class_,
                 struct outcome *outcome)
{
    struct err err;
    AUTO(buf) struct buf batch = {0};
    uint64_t number = writer_batch(writer, class_, &batch);
    if (ingest_batch(ingest, number, buf_span(&batch), &err)) return true;
    note(outcome, &err);
    return false;
}

/* A run of three batches and a commit; stops at the first error. */
static void run(struct repository *repository, struct writer *writer, struct outcome *outcome)
{
    struct err err;
    struct hash ids[2];
    AUTO(ingest) struct ingest *ingest = session_open(repository, writer, 2);
    ids[0] = writer_data(writer, 1000, 500);
    bool going = send(ingest, writer, PACK_DATA, outcome);
    ids[1] = writer_data(writer, 1001, 500);
    going = going && send(ingest, writer, PACK_DATA, outcome);
    outcome->root = writer_node(writer, 1002, NULL, 0, ids, 2);
    going = going && send(ingest, writer, PACK_META, outcome);
    struct id point = id_of(2);
    struct ingest_receipt receipt;
    AUTO(buf) struct buf file = {0};
    AUTO(buf) struct buf missing = {0};
    writer_point(writer, &point, &outcome->root, &file);
    if (going) {
        outcome->committed =
            ingest_commit(ingest, &point, &outcome->root, buf_span(&file), &receipt, &missing, &err);
        if (!outcome->committed) note(outcome, &err);
    }
    outcome->acknowledged = ingest_acknowledged(ingest);
}

static void expect_old_or_new(struct place *place, const struct hash *old_root, const struct writer *writer,
                              const struct outcome *outcome, const char *what, int at)
{
    struct repository_info info;
    repository_info(place->repository, &info);
    cr_expect(restores(place->repository, old_root, NULL), "%s at %d: the old point", what, at);
    cr_expect(info.points == 1 || info.points == 2, "%s at %d", what, at);
    if (outcome->committed) cr_expect_eq(info.points, 2, "%s at %d: committed, and gone", what, at);
    if (info.points == 2)
        cr_expect(restores(place->repository, &outcome->root, NULL), "%s at %d: the new point", what, at);
    AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 2);
    cr_expect_geq(ingest_acknowledged(ingest), outcome->acknowledged, "%s at %d: acknowledged, and gone",
                  what, at);
}

static void fail_everywhere(enum fault_how how, int sticky, const char *what)
{
    int at = 0;
    for (int hits = 1; hits > 0; at++) {
        AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
        struct hash old_root = back_up(place->repository, 1, 0, 3);
        AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 2);
        struct outcome outcome = {0};
        place_close(place);
        struct fault *fault = place_open_faulty(place);
        fault->how = how;
        fault->sticky = sticky;
        fault->calls = 0;
        fault->fail_at = at;
        run(place->repository, writer, &outcome);
        hits = fault->hits;
        fault->fail_at = -1;
        cr_expect(hits == 0 || how == FAULT_AFTER || !outcome.committed || outcome.acknowledged == 3);
        cr_expect(restores(place->repository, &old_root, NULL), "%s at %d: still open", what, at);
        place_close(place);
        place_open(place);
        expect_old_or_new(place, &old_root, writer, &outcome, what, at);
        if (hits == 0) cr_expect(outcome.committed, "%s: nothing failed", what);
    }
    cr_expect_gt(at, 10, "%s: only %d calls were tried", what, at);
}

Test(faults, a_read_error_at_any_call_leaves_the_old_state_or_the_new_one, .timeout = 120)
{
    fail_everywhere(FAULT_EIO, 0, "EIO");
}

Test(faults, a_disk_that_stays_broken_leaves_the_old_state_or_the_new_one, .timeout = 120)
{
    fail_everywhere(FAULT_EIO, 1, "EIO for good");
}

Test(faults, a_full_disk_at_any_call_leaves_the_old_state_or_the_new_one, .timeout = 120)
{
    fail_everywhere(FAULT_ENOSPC, 1, "ENOSPC");
}

Test(faults, a_short_write_at_any_call_leaves_the_old_state_or_the_new_one, .timeout = 120)
{
    fail_everywhere(FAULT_SHORT, 1, "short write");
}

Test(faults, work_done_but_reported_as_failed_leaves_the_old_state_or_the_new_one, .timeout = 120)
{
    fail_everywhere(FAULT_AFTER, 0, "failed after the fact");
}

/* How often nothing more could be committed after one call failed. */
static int count_stuck(enum fault_how how)
{
    int stuck = 0;
    for (int at = 0, hits = 1; hits > 0; at++) {
        AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
        AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 2);
        struct outcome outcome = {0};
        place_close(place);
        struct fault *fault = place_open_faulty(place);
        fault->how = how;
        fault->calls = 0;
        fault->fail_at = at;
        run(place->repository, writer, &outcome);
        hits = fault->hits;
        fault->fail_at = -1;
        if (repository_is_stuck(place->repository)) {
            stuck++;
            place_close(place);
            place_open(place);
        }
        (void)back_up(place->repository, 3, 100, 3);
        cr_expect_not(repository_is_stuck(place->repository));
    }
    return stuck;
}

Test(faults, after_one_the_next_run_goes_well_or_the_repository_wants_to_be_opened_anew, .timeout = 120)
{
    cr_expect_eq(count_stuck(FAULT_EIO), 0);
    cr_expect_eq(count_stuck(FAULT_AFTER), 1, "its log entry, of which nobody knows whether it is there");
}

Test(faults, too_little_free_space_is_said_before_anything_is_written)
{
    struct err err;
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    place_close(place);
    struct fault *fault = place_open_faulty(place);
    fault->pretend_free = INGEST_MIN_FREE - 1;
    int calls = fault->calls;
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 1);
    AUTO(ingest) struct ingest *ingest = NULL;
    struct ingest_options options = {.session = id_of(1), .seal = writer->seal, .domain = writer->domain};
    memcpy(options.writer, writer->pair->pk, SIGN_PK_LEN);
    cr_assert(ingest_open(place->repository, &options, &ingest, &err));
    cr_assert(ingest_envelope(ingest, span_of(writer->envelope, ENVELOPE_LEN), &err));
    AUTO(buf) struct buf batch = {0};
    (void)writer_data(writer, 1, 100);
    (void)writer_batch(writer, PACK_DATA, &batch);
    cr_assert_not(ingest_batch(ingest, 1, buf_span(&batch), &err));
    cr_assert_eq(err.code, ERR_NO_SPACE, "%s", err.text);
    cr_assert_eq(fault->calls, calls);
}

struct failure {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int calls;
    enum err_code code;
};

static void note_failure(void *arg, const struct err *err)
{
    struct failure *failure = arg;
    (void)pthread_mutex_lock(&failure->lock);
    failure->calls++;
    failure->code = err->code;
    (void)pthread_cond_broadcast(&failure->changed);
    (void)pthread_mutex_unlock(&failure->lock);
}

/* An fsync that failed once is never tried again: the kernel may have dropped the pages. */
Test(faults, a_failed_sync_ends_the_session_for_good, .timeout = 30)
{
    struct err err;
    AUTO(place) struct place *place = place_new(REPOSITORY_PLAINTEXT);
    place_close(place);
    struct fault *fault = place_open_faulty(place);
    struct failure failure = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_PLAINTEXT, 1);
    AUTO(ingest) struct ingest *ingest = NULL;
    struct ingest_options options = {.session = id_of(1),
                                     .seal = writer->seal,
                                     .failed = note_failure,
                                     .arg = &failure,
                                     .min_free_bytes = 1};
    memcpy(options.writer, writer->pair->pk, SIGN_PK_LEN);
    cr_assert(ingest_open(place->repository, &options, &ingest, &err));
    fault_hold(fault);
    struct hash id = writer_data(writer, 1, 100);
    session_send(ingest, writer, PACK_DATA);
    fault_await(fault);
    fault->how = FAULT_EIO;
    fault->fail_at = fault->calls;
    int syncs = fault->syncs;
    fault_release(fault);
    (void)pthread_mutex_lock(&failure.lock);
    while (failure.calls == 0)
        (void)pthread_cond_wait(&failure.changed, &failure.lock);
    (void)pthread_mutex_unlock(&failure.lock);
    cr_assert_eq(failure.code, ERR_SYSTEM);
    AUTO(buf) struct buf batch = {0};
    (void)writer_data(writer, 2, 100);
    uint64_t number = writer_batch(writer, PACK_DATA, &batch);
    cr_assert_not(ingest_batch(ingest, number, buf_span(&batch), &err));
    cr_assert_eq(err.code, ERR_SYSTEM);
    uint8_t have;
    cr_assert_not(ingest_has(ingest, &id, 1, &have, &err));
    cr_assert_eq(ingest_acknowledged(ingest), 0);
    ingest_close(ingest);
    ingest = NULL;
    cr_assert_eq(fault->syncs, syncs);
    cr_assert_eq(failure.calls, 1);
    /* the batch looks whole in the page cache; whether it is on disk nobody knows: it is gone */
    place_close(place);
    place_open(place);
    struct repository_info info;
    repository_info(place->repository, &info);
    cr_assert_eq(info.chunks, 0);
}
