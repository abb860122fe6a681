/* A read that fails, or an object that seems to end early, at each reading call of a check, a restore, a
 * copy's fetch, a commit and an opening: what cannot be read is named, nothing is taken for whole or for
 * lost, and the same again without the fault goes through. */
#include "builder.h"

#include "common/base/alloc.h"
#include "transporter/repository/check.h"
#include "transporter/repository/fetch.h"

#include <criterion/criterion.h>
#include <string.h>

enum { CHUNKS = 12 };

static const enum fault_how hows[] = {FAULT_EIO, FAULT_SHORT};
enum { HOWS = sizeof(hows) / sizeof(hows[0]) };

struct findings {
    size_t count, named; /* of them those that name an object */
};

static void note_finding(void *arg, const struct check_finding *finding)
{
    struct findings *findings = arg;
    if (finding->code == ERR_NONE) return;
    findings->count++;
    findings->named += strchr(finding->object, '/') != NULL;
}

static bool check(struct repository *repository, struct findings *findings, struct err *err)
{
    struct check_result result;
    struct check_sink sink = {.finding = note_finding, .arg = findings};
    return repository_check(repository, &(struct check_options){.level = CHECK_HASH}, &sink, &result, err);
}

static void expect_whole(struct place *place, const struct hash *root, int at)
{
    struct err err = {0};
    struct findings findings = {0};
    cr_assert(restores(place->repository, root, NULL), "at %d", at);
    cr_assert(check(place->repository, &findings, &err), "at %d: %s", at, err.text);
    cr_assert_eq(findings.count, 0, "at %d: %zu findings", at, findings.count);
}

static void arm(struct fault *fault, enum fault_how how, int at)
{
    fault->read_how = how;
    fault->reads = fault->read_hits = 0;
    fault->read_fail_at = at;
}

Test(fault_reads, a_check_names_what_it_could_not_read_and_takes_it_back, .timeout = 60)
{
    for (size_t how = 0; how < HOWS; how++) {
        AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
        struct hash root = back_up(place->repository, 1, 0, CHUNKS);
        place_close(place);
        struct fault *fault = place_open_faulty(place);
        int at = 0;
        for (int hits = 1; hits > 0; at++) {
            struct err err = {0};
            struct findings findings = {0};
            arm(fault, hows[how], at);
            bool done = check(place->repository, &findings, &err);
            hits = fault->read_hits;
            fault->read_fail_at = -1;
            cr_assert(hits == 0 || !done || findings.count > 0, "at %d: nothing is said", at);
            cr_assert(done || strchr(err.text, '/'), "at %d: %s", at, err.text);
            cr_assert_eq(findings.count, findings.named, "at %d", at);
            expect_whole(place, &root, at);
        }
        cr_assert_gt(at, 5, "only %d reads were tried", at);
    }
}

struct fetched {
    size_t frames, missing;
    bool named;
};

static bool on_span(void *arg, struct span bytes, struct err *err)
{
    return bytes.len > 0;
}

static bool on_frame(void *arg, const struct hash *id, struct span frame, struct err *err)
{
    struct fetched *fetched = arg;
    struct frame_view view;
    fetched->frames++;
    return frame_parse(frame, &view, err) && hash_eq(&view.chunk, id);
}

static bool on_missing(void *arg, const struct hash *id, const struct err *why, struct err *err)
{
    struct fetched *fetched = arg;
    fetched->missing++;
    fetched->named = strstr(why->text, "packs/") != NULL;
    return true;
}

static bool fetch(struct place *place, enum fetch_proof proof, struct fetched *fetched, struct err *err)
{
    struct hash ids[CHUNKS];
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 1);
    struct fetch_sink sink = {
        .envelope = on_span, .frame = on_frame, .list = on_span, .missing = on_missing, .arg = fetched};
    for (uint32_t i = 0; i < CHUNKS; i++)
        ids[i] = writer_id(writer, FRAME_DATA, i, 1000);
    *fetched = (struct fetched){0};
    return repository_fetch(place->repository, ids, CHUNKS, proof, &sink, err);
}

/* As a restore reads (frames), and as a copy does (with lists). */
Test(fault_reads, a_fetch_tells_every_frame_or_what_is_missing_and_where, .timeout = 60)
{
    for (int proof = FETCH_FRAMES; proof <= FETCH_WITH_LISTS; proof++)
        for (size_t how = 0; how < HOWS; how++) {
            AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
            struct hash root = back_up(place->repository, 1, 0, CHUNKS);
            place_close(place);
            struct fault *fault = place_open_faulty(place);
            int at = 0;
            for (int hits = 1; hits > 0; at++) {
                struct err err = {0};
                struct fetched fetched;
                arm(fault, hows[how], at);
                bool done = fetch(place, proof, &fetched, &err);
                hits = fault->read_hits;
                fault->read_fail_at = -1;
                if (done) cr_assert_eq(fetched.frames + fetched.missing, CHUNKS, "at %d", at);
                cr_assert(fetched.missing == 0 || fetched.named, "at %d: the pack is not named", at);
                cr_assert(done || strstr(err.text, "packs/"), "at %d: %s", at, err.text);
                cr_assert(fetch(place, proof, &fetched, &err), "%s", err.text);
                cr_assert_eq(fetched.frames, CHUNKS, "at %d", at);
            }
            cr_assert_gt(at, 1);
            expect_whole(place, &root, at);
        }
}

Test(fault_reads, a_commit_that_cannot_read_what_it_must_see_commits_later, .timeout = 60)
{
    for (size_t how = 0; how < HOWS; how++) {
        int at = 0;
        for (int hits = 1; hits > 0; at++) {
            AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
            AUTO(buf) struct buf missing = {0};
            place_close(place);
            struct fault *fault = place_open_faulty(place);
            AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 1);
            AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 1);
            struct hash root = session_tree(ingest, writer, 0, CHUNKS, 1000);
            arm(fault, hows[how], at);
            enum err_code code = session_commit_code(ingest, writer, 1, &root, &missing);
            hits = fault->read_hits;
            fault->read_fail_at = -1;
            cr_assert(hits > 0 || code == ERR_NONE);
            if (code != ERR_NONE) (void)session_commit(ingest, writer, 1, &root);
            ingest_close(ingest);
            ingest = NULL;
            expect_whole(place, &root, at);
        }
    }
}

/* With its index and without. */
Test(fault_reads, an_opening_that_fails_has_lost_nothing, .timeout = 60)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    struct hash root = back_up(place->repository, 1, 0, CHUNKS);
    for (int rebuilt = 0; rebuilt < 2; rebuilt++)
        for (size_t how = 0; how < HOWS; how++) {
            int at = 0;
            for (int hits = 1; hits > 0; at++) {
                struct err err = {0};
                struct repository *repository = NULL;
                struct storage inner;
                place_close(place);
                if (rebuilt) shell("rm -rf '%s/index'", place->state);
                cr_assert(storage_directory_open(place->path, &inner, &err), "%s", err.text);
                struct fault *fault = fault_new(&inner);
                struct storage storage = fault_storage(fault);
                struct repository_options options = {
                    .path = place->path, .state_dir = place->state, .owner = place->owner};
                arm(fault, hows[how], at);
                bool opened = repository_open_on(&storage, &options, &repository, &err);
                hits = fault->read_hits;
                if (opened)
                    repository_close(repository);
                else
                    storage.ops->close(storage.self);
                cr_assert(opened || strstr(err.text, place->path), "at %d: %s", at, err.text);
                place_open(place);
                expect_whole(place, &root, at);
            }
            cr_assert_gt(at, 1);
        }
}
