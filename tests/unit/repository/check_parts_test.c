/* Checks in parts, by several readers, slowly; and what a check does about what it finds. */
#include "checking.h"

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "tests/support/flip.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

/* --- in parts, slowly, cancelled --- */

/* Six packs; each check_some reads some of them. */
struct course {
    struct hash passed[32];
    size_t count;
    _Atomic bool cancelled;
    size_t cancel_after;
};

static void note_passed(void *arg, const struct hash *name)
{
    struct course *course = arg;
    course->passed[course->count++] = *name;
    if (course->count == course->cancel_after) atomic_store(&course->cancelled, true);
}

static bool check_some(struct repository *repository, const struct hash *from, uint64_t packs,
                       struct course *course, struct check_result *result, struct err *err)
{
    struct check_sink sink = {.finding = ignore_finding, .passed = note_passed, .arg = course};
    struct check_options options = {
        .level = CHECK_HASH, .from = *from, .packs = packs, .readers = 1, .cancelled = &course->cancelled};
    return repository_check(repository, &options, &sink, result, err);
}

static struct hash after(const struct hash *name)
{
    struct hash next = *name;
    for (size_t at = HASH_LEN; at > 0 && ++next.bytes[at - 1] == 0; at--)
        ;
    return next;
}

Test(check, samples_that_follow_each_other_read_every_pack_once)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    struct course course = {0};
    struct check_result result;
    struct err err;
    for (uint8_t i = 1; i <= 3; i++)
        (void)back_up(place->repository, i, i * 50u, 30);
    cr_assert_eq(repository_pack_count(place->repository), 6);
    struct hash from = {{0x80}};
    for (int i = 0; i < 3; i++) {
        cr_assert(check_some(place->repository, &from, 2, &course, &result, &err), "%s", err.text);
        cr_assert_eq(result.packs, 6, "the others are there");
        cr_assert_eq(result.packs_read, 2);
        cr_assert_eq(result.packs_total, 6);
        cr_assert_lt(result.bytes_read, result.bytes_total);
        from = after(&course.passed[course.count - 1]);
    }
    cr_assert_eq(course.count, 6);
    for (size_t i = 0; i < 6; i++)
        for (size_t j = 0; j < i; j++)
            cr_assert(!hash_eq(&course.passed[i], &course.passed[j]));
}

Test(check, that_is_cancelled_says_how_far_it_was)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    struct course course = {.cancel_after = 2};
    struct check_result result;
    struct err err;
    static const struct hash lowest = {{0}};
    for (uint8_t i = 1; i <= 3; i++)
        (void)back_up(place->repository, i, i * 50u, 30);
    cr_assert(!check_some(place->repository, &lowest, 0, &course, &result, &err));
    cr_assert_eq(err.code, ERR_CANCELLED);
    cr_assert_eq(course.count, 2);
    cr_assert_eq(result.packs_read, 2);
    struct course rest = {0};
    struct hash from = after(&course.passed[1]);
    cr_assert(check_some(place->repository, &from, 4, &rest, &result, &err), "%s", err.text);
    cr_assert_eq(rest.count, 4);
}

/* The pack with the lowest name is read last, whichever reader has taken it. */
struct straggler {
    const struct storage_ops *real;
    char name[BYTES_NAME_LEN];
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t others; /* packs that are done */
    size_t passed_before;
    struct course course;
};
static struct straggler straggler;

static bool get_range_late(void *self, const char *name, uint64_t offset, void *out, size_t len,
                           struct err *err)
{
    (void)pthread_mutex_lock(&straggler.lock);
    while (strcmp(name, straggler.name) == 0 && straggler.others < 5)
        (void)pthread_cond_wait(&straggler.changed, &straggler.lock);
    (void)pthread_mutex_unlock(&straggler.lock);
    return straggler.real->get_range(self, name, offset, out, len, err);
}

static void count_others(void *arg, uint64_t done_bytes, uint64_t total_bytes)
{
    (void)pthread_mutex_lock(&straggler.lock);
    straggler.others++;
    if (straggler.others <= 5) straggler.passed_before += straggler.course.count;
    (void)pthread_cond_broadcast(&straggler.changed);
    (void)pthread_mutex_unlock(&straggler.lock);
}

Test(check, by_several_readers_tells_no_name_before_all_lower_ones_are_read, .timeout = 60)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    struct check_result result;
    struct index_pack lowest;
    struct err err;
    static const struct hash from = {{0}};
    for (uint8_t i = 1; i <= 3; i++)
        (void)back_up(place->repository, i, i * 50u, 30);
    cr_assert(index_pack_by_name(place->repository->index, &from, &lowest, &err), "%s", err.text);
    bytes_name(&lowest, straggler.name);
    (void)pthread_mutex_init(&straggler.lock, NULL);
    (void)pthread_cond_init(&straggler.changed, NULL);
    straggler.real = place->repository->storage.ops;
    struct storage_ops late = *straggler.real;
    late.get_range = get_range_late;
    place->repository->storage.ops = &late;

    struct check_sink sink = {
        .finding = ignore_finding, .passed = note_passed, .progress = count_others, .arg = &straggler.course};
    struct check_options options = {.level = CHECK_HASH, .readers = 3};
    bool done = repository_check(place->repository, &options, &sink, &result, &err);
    place->repository->storage.ops = straggler.real;
    cr_assert(done, "%s", err.text);
    cr_assert_eq(straggler.passed_before, 0);
    cr_assert_eq(straggler.course.count, 6);
    cr_assert(hash_eq(&straggler.course.passed[0], &lowest.name));
    for (size_t i = 1; i < 6; i++)
        cr_assert_lt(hash_cmp(&straggler.course.passed[i - 1], &straggler.course.passed[i]), 0);
}

Test(check, reads_no_faster_than_it_may)
{
    AUTO(place) struct place *place = small_repository(REPOSITORY_ENCRYPTED);
    struct repository_info info;
    struct check_sink sink = {.finding = ignore_finding};
    struct check_result result;
    struct err err;
    repository_info(place->repository, &info);
    struct check_options options = {.level = CHECK_HASH, .bytes_per_s = info.pack_bytes * 5};
    uint64_t before_ms = clock_steady_ms();
    cr_assert(repository_check(place->repository, &options, &sink, &result, &err), "%s", err.text);
    cr_assert_geq(clock_steady_ms() - before_ms, 150, "a fifth of a second for all");
}

static bool has_frames(struct repository *repository, const struct hash *root)
{
    size_t frames;
    return restores(repository, root, &frames);
}

Test(check, of_a_damaged_pack_makes_the_next_backup_bring_it_again, .timeout = 60)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    AUTO(objects) struct objects objects = {0};
    AUTO(report) struct report report = {0};
    struct hash root = back_up(place->repository, 1, 0, 30);
    list_objects(place, &objects);
    for (size_t i = 0; i < objects.count; i++) {
        if (strncmp(objects.names[i], "packs/", 6) != 0) continue;
        AUTO(free) char *path = xasprintf("%s/%s", place->path, objects.names[i]);
        flip(path, objects.sizes[i] / 2);
    }
    check(place->repository, CHECK_HASH, &report);
    cr_assert_eq(report.result.findings, 2, "%s", lines(&report));
    cr_assert(!has_frames(place->repository, &root));

    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 1);
    {
        AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 2);
        uint8_t have = 1;
        struct err err;
        cr_assert(ingest_has(ingest, &root, 1, &have, &err));
        cr_assert_eq(have, 0, "what is damaged is wanted");
    }
    struct hash again = back_up(place->repository, 3, 0, 30);
    cr_assert(hash_eq(&again, &root), "the same contents under the same ids");
    cr_assert(has_frames(place->repository, &root));
    check(place->repository, CHECK_HASH, &report);
    cr_assert_eq(report.result.findings, 2, "the bad packs are still there");
    cr_assert(!kills(&report, 1), "but nothing depends on them: %s", lines(&report));
    cr_assert(!kills(&report, 3));
}

Test(check, relies_again_on_a_pack_that_turns_out_well)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    AUTO(objects) struct objects objects = {0};
    AUTO(report) struct report report = {0};
    struct hash root = back_up(place->repository, 1, 0, 30);
    list_objects(place, &objects);
    const char *name = find_object(&objects, "packs/", 0);
    AUTO(free) char *path = xasprintf("%s/%s", place->path, name);
    struct hash hash;
    struct index_pack pack;
    struct err err;
    cr_assert(pack_parse_name(name, &hash));
    flip(path, 200);
    check(place->repository, CHECK_HASH, &report);
    cr_assert(index_pack_find(place->repository->index, &hash, &pack, &err));
    cr_assert_eq(pack.state, INDEX_DAMAGED);
    flip(path, 200);
    check(place->repository, CHECK_PRESENCE, &report);
    cr_assert(index_pack_find(place->repository->index, &hash, &pack, &err));
    cr_assert_eq(pack.state, INDEX_DAMAGED, "that it is there says nothing about its bytes");
    check(place->repository, CHECK_HASH, &report);
    cr_assert_eq(report.result.findings, 0);
    cr_assert(index_pack_find(place->repository->index, &hash, &pack, &err));
    cr_assert_eq(pack.state, INDEX_PACK);
    cr_assert(has_frames(place->repository, &root));
}
