/* Sweeps of packs that are damaged or lost, when all that is needed of them is elsewhere again. */
#include "sweeping.h"

#include "common/base/alloc.h"

#include <criterion/criterion.h>

/* --- what was damaged and brought again --- */

/* One bit at offset 500 of each pack that the filter lets pass. */
static void flip_packs(struct place *place, const char *filter)
{
    shell("flip 500 $(ls '%s'/packs/*/* | %s)", place->path, filter);
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
    cr_assert_eq(findings_of(place->repository), 0, "no point needs what is lost");
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
