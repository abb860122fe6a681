/* A prune and a sweep stopped at each of their changing calls: every kept point restores, a check is clean,
 * and doing it again finishes it. */
#include "builder.h"

#include "common/base/alloc.h"
#include "transporter/repository/care.h"
#include "transporter/repository/check.h"
#include "transporter/repository/sweep.h"

#include <criterion/criterion.h>
#include <string.h>

static void note_finding(void *arg, const struct check_finding *finding)
{
    if (finding->code != ERR_NONE) fprintf(stderr, "%s: %s\n", finding->object, finding->text);
}

/* Two points, of which the second uses a third of the first's chunks. */
static void fill(struct place *place, struct hash *old, struct hash *kept)
{
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 2);
    struct hash ids[11];
    *old = back_up(place->repository, 1, 0, 30);
    AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 2);
    for (uint32_t i = 0; i < 10; i++)
        ids[i] = writer_id(writer, FRAME_DATA, 3 * i, 1000);
    ids[10] = writer_data(writer, 700, 1000);
    session_send(ingest, writer, PACK_DATA);
    *kept = writer_node(writer, 800, NULL, 0, ids, 11);
    session_send(ingest, writer, PACK_META);
    (void)session_commit(ingest, writer, 2, kept);
}

static bool prune_and_sweep(struct place *place, struct sweep_result *swept)
{
    struct err err;
    struct prune_result pruned;
    struct care_rule rule = {.job = "job", .retention.last = 1};
    return repository_prune(place->repository, &rule, PRUNE_REMOVE, NULL, NULL, &pruned, &err) &&
           repository_sweep(place->repository, swept, &err);
}

static void expect_whole(struct place *place, const struct hash *kept, const char *what, int at)
{
    struct err err;
    struct check_result result;
    struct check_sink sink = {.finding = note_finding};
    cr_assert(restores(place->repository, kept, NULL), "%s at %d", what, at);
    cr_assert(repository_check(place->repository, &(struct check_options){.level = CHECK_HASH}, &sink,
                               &result, &err),
              "%s", err.text);
    cr_assert_eq(result.findings, 0, "%s at %d", what, at);
}

/* What stopped is done again, by as many sweeps as it takes, and leaves no more than a sweep that was never
 * stopped. */
static void expect_finished(struct place *place, const struct hash *old, const struct hash *kept,
                            uint64_t least_bytes, const char *what, int at)
{
    struct sweep_result result = {.outcome = SWEEP_DONE};
    struct repository_info info;
    for (int i = 0; i < 3 && result.outcome != SWEEP_CLEAN; i++)
        cr_assert(prune_and_sweep(place, &result), "%s at %d", what, at);
    cr_assert_eq(result.outcome, SWEEP_CLEAN, "%s at %d", what, at);
    repository_info(place->repository, &info);
    cr_assert_leq(info.pack_bytes, least_bytes, "%s at %d: %llu bytes", what, at,
                  (unsigned long long)info.pack_bytes);
    cr_assert_not(restores(place->repository, old, NULL), "%s at %d", what, at);
    expect_whole(place, kept, what, at);
}

static uint64_t bytes_when_undisturbed(void)
{
    struct hash old;
    struct hash kept;
    struct sweep_result result;
    struct repository_info info;
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    fill(place, &old, &kept);
    cr_assert(prune_and_sweep(place, &result));
    cr_assert_gt(result.moved_bytes, 0);
    repository_info(place->repository, &info);
    return info.pack_bytes;
}

static void stop_everywhere(enum fault_how how, int sticky, const char *what)
{
    uint64_t least_bytes = bytes_when_undisturbed();
    int at = 0;
    for (int hits = 1; hits > 0; at++) {
        struct hash old;
        struct hash kept;
        struct sweep_result result;
        AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
        fill(place, &old, &kept);
        place_close(place);
        struct fault *fault = place_open_faulty(place);
        fault->how = how;
        fault->sticky = sticky;
        fault->calls = 0;
        fault->fail_at = at;
        bool done = prune_and_sweep(place, &result);
        hits = fault->hits;
        fault->fail_at = -1;
        cr_assert(hits > 0 || done, "%s: nothing failed", what);
        cr_assert(restores(place->repository, &kept, NULL), "%s at %d: still open", what, at);
        place_close(place);
        if (at % 2) shell("rm -r '%s/index'", place->state);
        place_open(place);
        expect_whole(place, &kept, what, at);
        expect_finished(place, &old, &kept, least_bytes, what, at);
    }
    cr_assert_gt(at, 8, "%s: only %d calls were tried", what, at);
}

Test(sweep_faults, stopped_for_good_at_any_call, .timeout = 60)
{
    stop_everywhere(FAULT_EIO, 1, "stopped");
}

Test(sweep_faults, a_single_error_at_any_call, .timeout = 60)
{
    stop_everywhere(FAULT_EIO, 0, "EIO");
}

Test(sweep_faults, a_full_disk_from_any_call_on, .timeout = 60)
{
    stop_everywhere(FAULT_SHORT, 1, "short write");
}

Test(sweep_faults, work_done_but_reported_as_failed, .timeout = 60)
{
    stop_everywhere(FAULT_AFTER, 1, "failed after the fact");
}

/* --- moving out of a damaged pack --- */

/* A pack of which one frame is bad, and all of them anew under another seal. */
static void fill_damaged(struct place *place, struct hash *root)
{
    struct err err;
    struct index_pack pack;
    struct check_result result;
    struct check_sink sink = {.finding = note_finding};
    char name[BYTES_NAME_LEN];
    *root = back_up(place->repository, 1, 0, 20);
    cr_assert(index_pack_from(place->repository->index, 0, &pack, &err)); /* the first one: data */
    bytes_name(&pack, name);
    shell("chmod u+w '%s/%s' && printf XXXX | dd of='%s/%s' bs=1 seek=600 conv=notrunc 2>/dev/null",
          place->path, name, place->path, name);
    cr_assert(repository_check(place->repository, &(struct check_options){.level = CHECK_HASH}, &sink,
                               &result, &err),
              "%s", err.text);
    cr_assert_gt(result.findings, 0);
    (void)back_up(place->repository, 2, 0, 20);
}

/* Sweeps until there is nothing to do; what the packs hold then. */
static uint64_t bytes_when_swept(struct place *place, int at)
{
    struct sweep_result result = {.outcome = SWEEP_DONE};
    struct repository_info info;
    struct err err;
    for (int i = 0; i < 3 && result.outcome != SWEEP_CLEAN; i++)
        cr_assert(repository_sweep(place->repository, &result, &err), "at %d: %s", at, err.text);
    cr_assert_eq(result.outcome, SWEEP_CLEAN, "at %d", at);
    repository_info(place->repository, &info);
    return info.pack_bytes;
}

/* Neither is anything that still reads lost, nor is it left twice. */
static void stop_while_rescuing(enum fault_how how, int sticky)
{
    struct hash root;
    int at = 0;
    AUTO(place) struct place *undisturbed = place_new(REPOSITORY_ENCRYPTED);
    fill_damaged(undisturbed, &root);
    uint64_t expected = bytes_when_swept(undisturbed, -1);
    for (int hits = 1; hits > 0; at++) {
        struct sweep_result result;
        struct err err;
        AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
        fill_damaged(place, &root);
        place_close(place);
        struct fault *fault = place_open_faulty(place);
        fault->how = how;
        fault->sticky = sticky;
        fault->calls = 0;
        fault->fail_at = at;
        bool done = repository_sweep(place->repository, &result, &err);
        hits = fault->hits;
        fault->fail_at = -1;
        cr_assert(hits > 0 || done, "%s", err.text);
        cr_assert(restores(place->repository, &root, NULL), "at %d: still open", at);
        place_close(place);
        if (at % 2) shell("rm -r '%s/index'", place->state);
        place_open(place);
        cr_assert_eq(bytes_when_swept(place, at), expected, "at %d", at);
        expect_whole(place, &root, "swept", at);
    }
    cr_assert_gt(at, 8, "only %d calls were tried", at);
}

Test(sweep_faults, stopped_for_good_while_moving_out_of_a_damaged_pack, .timeout = 60)
{
    stop_while_rescuing(FAULT_EIO, 1);
}

Test(sweep_faults, a_single_error_while_moving_out_of_a_damaged_pack, .timeout = 60)
{
    stop_while_rescuing(FAULT_EIO, 0);
}

Test(sweep_faults, work_reported_as_failed_while_moving_out_of_a_damaged_pack, .timeout = 60)
{
    stop_while_rescuing(FAULT_AFTER, 1);
}
