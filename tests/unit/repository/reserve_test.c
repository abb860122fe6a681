/* The reserve is there, counts for nothing, is given back when the disk is full and made again; and a sweep
 * uses no more room than there is. */
#include "builder.h"

#include "common/base/alloc.h"
#include "transporter/repository/care.h"
#include "transporter/repository/check.h"
#include "transporter/repository/reserve.h"
#include "transporter/repository/sweep.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/stat.h>

/* The directory's driver on a disk of our own making: what packs take, and the reserve, is not free. */
static struct storage_ops poor;
static const struct storage_ops *real;
static struct place *poor_place;
static uint64_t capacity;

/* With all that a repository has: others of these tests have no reserve. */
static void open_whole(struct place *place)
{
    struct err err;
    struct repository_options options = {
        .path = place->path, .state_dir = place->state, .owner = place->owner};
    cr_assert(repository_open(&options, &place->repository, &err), "%s", err.text);
}

static struct place *place_whole(void)
{
    struct err err;
    struct place *place = place_empty();
    cr_assert(repository_create(place->path, &place->site, &place->id, REPOSITORY_ENCRYPTED, span_of(NULL, 0),
                                place->owner, &err),
              "%s", err.text);
    open_whole(place);
    return place;
}

static bool there(const struct place *place)
{
    AUTO(free) char *path = xasprintf("%s/%s", place->path, RESERVE_NAME);
    struct stat st;
    return stat(path, &st) == 0 && (uint64_t)st.st_size == RESERVE_BYTES &&
           (uint64_t)st.st_blocks * 512 >= RESERVE_BYTES;
}

static bool poor_free_space(void *self, uint64_t *free_bytes, uint64_t *total_bytes, struct err *err)
{
    struct index_totals totals;
    index_totals(poor_place->repository->index, &totals);
    uint64_t used = totals.bytes + (there(poor_place) ? RESERVE_BYTES : 0);
    *free_bytes = capacity > used ? capacity - used : 0;
    *total_bytes = capacity;
    return true;
}

static void make_poor(struct place *place, uint64_t bytes)
{
    poor_place = place;
    capacity = bytes;
    real = place->repository->storage.ops;
    poor = *real;
    poor.free_space = poor_free_space;
    place->repository->storage.ops = &poor;
}

static uint64_t pack_bytes(struct place *place)
{
    struct repository_info info;
    repository_info(place->repository, &info);
    return info.pack_bytes;
}

static void prune(struct place *place, uint32_t last)
{
    struct err err;
    struct prune_result result;
    struct care_rule rule = {.job = "job", .retention.last = last};
    cr_assert(repository_prune(place->repository, &rule, PRUNE_REMOVE, NULL, NULL, &result, &err), "%s",
              err.text);
}

static void expect_no_remark(void *arg, const struct check_finding *finding)
{
    cr_assert_fail("%s: %s", finding->object, finding->text);
}

Test(reserve, is_made_with_the_repository_and_is_no_finding_of_a_check)
{
    AUTO(place) struct place *place = place_whole();
    struct err err;
    struct check_result result;
    struct check_sink sink = {.finding = expect_no_remark};
    cr_assert(there(place));
    (void)back_up(place->repository, 1, 0, 3);
    cr_assert(repository_check(place->repository, &(struct check_options){.level = CHECK_HASH}, &sink,
                               &result, &err));
    cr_assert_eq(result.findings, 0);
}

Test(reserve, of_a_repository_that_has_none_is_made_when_it_is_opened)
{
    AUTO(place) struct place *place = place_whole();
    place_close(place);
    shell("rm '%s/reserve'", place->path);
    open_whole(place);
    cr_assert(there(place));
    place_close(place);
    shell("truncate -s 1000 '%s/reserve'", place->path);
    open_whole(place);
    cr_assert(there(place));
}

Test(reserve, that_a_creation_left_alone_does_not_stand_in_the_way_of_the_next)
{
    AUTO(place) struct place *place = place_empty();
    struct err err;
    shell("mkdir -p '%s' && truncate -s 5 '%s/reserve'", place->path, place->path);
    cr_assert(repository_create(place->path, &place->site, &place->id, REPOSITORY_ENCRYPTED, span_of(NULL, 0),
                                place->owner, &err),
              "%s", err.text);
    cr_assert(there(place));
}

static bool no_room(void *self, const char *name, uint64_t bytes, struct err *err)
{
    return err_set(err, ERR_NO_SPACE, "cannot set %llu bytes aside in '%s'", (unsigned long long)bytes, name);
}

Test(reserve, that_cannot_be_made_lets_no_repository_be_created)
{
    AUTO(place) struct place *place = place_empty();
    struct err err;
    struct storage storage;
    shell("mkdir -p '%s'", place->path);
    cr_assert(storage_directory_open(place->path, &storage, &err));
    struct storage_ops ops = *storage.ops;
    ops.allocate = no_room;
    storage.ops = &ops;
    cr_assert_not(repository_create_on(&storage, &place->site, &place->id, REPOSITORY_ENCRYPTED,
                                       span_of(NULL, 0), place->owner, &err));
    cr_assert_eq(err.code, ERR_NO_SPACE);
    cr_assert_str_eq(err.text, "the reserve of 64 MiB: cannot set 67108864 bytes aside in 'reserve'");
    cr_assert_not(shell_works("test -e '%s/log'", place->path));
    ops.close(storage.self);
}

Test(reserve, is_no_way_out_of_the_repository)
{
    AUTO(place) struct place *place = place_whole();
    place_close(place);
    shell("rm '%s/reserve' && echo keep > '%s/mine' && ln -s '%s/mine' '%s/reserve'", place->path,
          place->root, place->root, place->path);
    open_whole(place);
    shell("test \"$(cat '%s/mine')\" = keep", place->root);
    place_close(place);
    shell("rm '%s/reserve' && ln '%s/mine' '%s/reserve'", place->path, place->root, place->path);
    open_whole(place);
    shell("test \"$(cat '%s/mine')\" = keep", place->root);
}

Test(reserve, is_given_back_for_a_prune_on_a_full_disk_and_made_again_when_there_is_room)
{
    AUTO(place) struct place *place = place_whole();
    (void)back_up(place->repository, 1, 0, 20);
    (void)back_up(place->repository, 2, 500, 20);
    make_poor(place, pack_bytes(place) + RESERVE_BYTES);
    prune(place, 1);
    cr_assert_not(there(place), "nothing is free: it stays away");
    capacity += RESERVE_MARGIN - 1;
    prune(place, 1);
    cr_assert_not(there(place));
    capacity += 1;
    prune(place, 1);
    cr_assert(there(place));
    prune(place, 1);
    cr_assert(there(place), "it does not come and go");
}

Test(reserve, is_given_back_for_the_commit_of_what_has_been_stored)
{
    AUTO(place) struct place *place = place_whole();
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 1);
    AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 1);
    struct hash root = session_tree(ingest, writer, 0, 5, 1000);
    make_poor(place, RESERVE_BYTES);
    (void)session_commit(ingest, writer, 1, &root);
    cr_assert_not(there(place));
    place->repository->storage.ops = real;
}

/* --- sweeping in the room that there is --- */

enum { PACKS = 6, CHUNK = 100 * 1000, CHUNKS = 40, KEPT = 10 };

/* So many packs of some MiB, of each of which a quarter is still used by the newest point. */
static struct hash fill(struct place *place)
{
    AUTO(writer) struct writer *newest = writer_new(REPOSITORY_ENCRYPTED, 99);
    struct hash kept[PACKS * KEPT];
    for (uint8_t pack = 0; pack < PACKS; pack++) {
        AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, (uint8_t)(pack + 1));
        AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, (uint8_t)(pack + 1));
        uint32_t content = pack * 10000000u;
        struct hash root = session_tree(ingest, writer, content, CHUNKS, CHUNK);
        (void)session_commit(ingest, writer, (uint8_t)(pack + 1), &root);
        for (uint32_t i = 0; i < KEPT; i++)
            kept[pack * KEPT + i] = writer_id(newest, FRAME_DATA, content + i, CHUNK);
    }
    AUTO(ingest) struct ingest *ingest = session_open(place->repository, newest, 99);
    struct hash root = writer_node(newest, 7, NULL, 0, kept, PACKS * KEPT);
    session_send(ingest, newest, PACK_META);
    (void)session_commit(ingest, newest, 99, &root);
    return root;
}

static struct sweep_result sweep(struct place *place)
{
    struct err err;
    struct sweep_result result;
    cr_assert(repository_sweep(place->repository, &result, &err), "%s", err.text);
    return result;
}

static uint64_t entries(struct place *place)
{
    struct repository_info info;
    repository_info(place->repository, &info);
    return info.head_number;
}

Test(reserve, a_sweep_moves_what_fits_and_goes_on_with_what_that_frees, .timeout = 60)
{
    AUTO(place) struct place *place = place_whole();
    struct hash root = fill(place);
    prune(place, 1);
    uint64_t before = pack_bytes(place), log = entries(place);
    /* beside the reserve, room to move two of the six */
    make_poor(place, before + RESERVE_MARGIN + 5 * KEPT * CHUNK / 2);
    shell("rm '%s/reserve'", place->path);
    struct sweep_result result = sweep(place);
    cr_assert_eq(result.outcome, SWEEP_DONE);
    cr_assert_eq(result.postponed_packs, 0);
    cr_assert_geq(result.swept_packs, PACKS);
    cr_assert_lt(pack_bytes(place), before / 2);
    cr_assert_geq(entries(place), log + 4, "in more than one round");
    place->repository->storage.ops = real;
    cr_assert(restores(place->repository, &root, NULL));
}

Test(reserve, a_sweep_without_any_room_says_how_much_it_lacks_and_takes_nothing)
{
    AUTO(place) struct place *place = place_whole();
    struct hash root = fill(place);
    struct err err = {0};
    struct sweep_result result;
    (void)sweep(place); /* nothing can go: the oldest points use all of it */
    prune(place, 1);
    shell("rm '%s/reserve'", place->path);
    make_poor(place, pack_bytes(place) + RESERVE_MARGIN + 1000);
    /* the nodes of the old points go at once; of the others each needs more room than that gives */
    (void)!repository_sweep(place->repository, &result, &err);
    uint64_t bytes = pack_bytes(place);
    capacity = bytes + RESERVE_MARGIN + 1000;
    cr_assert_not(repository_sweep(place->repository, &result, &err));
    cr_assert_eq(err.code, ERR_NO_SPACE, "%s", err.text);
    cr_assert(strstr(err.text, "6 packs hold bytes that could go") &&
                  strstr(err.text, "more bytes must be free"),
              "%s", err.text);
    cr_assert_eq(pack_bytes(place), bytes);
    place->repository->storage.ops = real;
    cr_assert(restores(place->repository, &root, NULL));
    cr_assert_geq(sweep(place).swept_packs, PACKS, "and with room it goes on");
    cr_assert(restores(place->repository, &root, NULL));
}
