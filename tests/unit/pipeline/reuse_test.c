/* What a run takes from the runs before: contents under any name, bundles while they are worth keeping. */
#include "rig.h"

#include "common/base/alloc.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

enum { DIRS = 10, FILES = 100, DAYS = 100, A_DAY = DIRS * FILES / 100, FILE_MOST = 16000 };

static void change_some(struct rig *rig, uint64_t *random)
{
    for (unsigned i = 0; i < A_DAY; i++) {
        char path[64];
        *random = *random * 6364136223846793005u + 1442695040888963407u;
        unsigned file = (unsigned)(*random >> 33) % (DIRS * FILES);
        (void)snprintf(path, sizeof(path), "dir%03u/file%04u", file / FILES, file % FILES);
        tree_file(&rig->tree, path, *random, (size_t)(*random >> 40) % FILE_MOST + 1);
    }
}

/* Without storing anew what is left of old bundles it was 1.93 times after these hundred days, and growing.
 */
Test(reuse, a_hundred_days_of_one_per_cent_keep_little_more_than_is_referred_to, .timeout = 240)
{
    AUTO(rig) struct rig *rig = rig_make();
    uint64_t random = 1;
    uint64_t read = 0;
    rig_use_cache(rig);
    tree_many(&rig->tree, DIRS, FILES, FILE_MOST);
    rig_run(rig);
    for (unsigned day = 0; day < DAYS; day++) {
        change_some(rig, &random);
        fake_outlet_next_run(&rig->fake);
        rig_run(rig);
        cr_assert_eq(rig->warning_count, 0);
        read += rig->result.read_bytes;
    }
    AUTO(view) struct view *view = view_read(&rig->keys, &rig->fake);
    double referred = (double)view->root.content_bytes;
    double kept = (double)view->chunk_bytes / referred, read_a_day = (double)read / DAYS / referred;
    cr_assert_lt(kept, 1.5, "%.2f times", kept);
    /* and what is stored anew is less than what changes */
    cr_assert_lt(read_a_day, 0.02, "%.3f", read_a_day);
}

static size_t data_sent(const struct rig *rig)
{
    const size_t count = rig->fake.chunks.len / sizeof(struct fake_chunk);
    size_t sum = 0;
    for (size_t i = rig->fake.earlier; i < count; i++) {
        const struct fake_chunk *chunk = fake_outlet_chunk(&rig->fake, i);
        if (chunk->type == FRAME_DATA) sum += chunk->len;
    }
    return sum;
}

/* As where runs follow each other faster than files become old enough to be trusted. */
Test(reuse, what_is_too_young_to_be_trusted_is_read_again_and_not_stored_again)
{
    enum { RUNS = 6, CHANGED = 5000 };
    AUTO(rig) struct rig *rig = rig_make();
    rig_use_cache(rig);
    rig->all_young = true;
    tree_many(&rig->tree, 5, 40, 9000);
    tree_file(&rig->tree, "large", 7, 3 << 20);
    for (unsigned run = 0; run < RUNS; run++) {
        tree_file(&rig->tree, "dir001/file0007", 1000 + run, CHANGED);
        fake_outlet_next_run(&rig->fake);
        rig_run(rig);
        cr_assert_eq(rig->result.read_bytes, rig->result.counts.content_bytes);
        if (run > 0) cr_expect_leq(data_sent(rig), 2 * CHANGED, "run %u: %zu", run, data_sent(rig));
        AUTO(view) struct view *view = view_read(&rig->keys, &rig->fake);
        rig_assert_same(rig, view, "dir001/file0007");
        rig_assert_same(rig, view, "dir001/file0008");
        rig_assert_same(rig, view, "large");
    }
}

/* Ten files of one bundle, of which seven are then removed: the other three are due to be stored anew. */
static void make_sparse_bundle(struct rig *rig)
{
    rig_use_cache(rig);
    tree_many(&rig->tree, 1, 10, 0);
    for (unsigned f = 0; f < 10; f++) {
        char path[64];
        (void)snprintf(path, sizeof(path), "dir000/file%04u", f);
        tree_file(&rig->tree, path, 100 + f, 9000);
    }
    rig_run(rig);
    for (unsigned f = 1; f < 8; f++) {
        char path[64];
        (void)snprintf(path, sizeof(path), "dir000/file%04u", f);
        cr_assert_eq(unlinkat(rig->tree.fd, path, 0), 0);
    }
    fake_outlet_next_run(&rig->fake);
    rig_run(rig);
    cr_assert_eq(rig->result.read_bytes, 0);
    fake_outlet_next_run(&rig->fake);
}

Test(reuse, what_is_left_of_a_bundle_is_stored_anew_once)
{
    AUTO(rig) struct rig *rig = rig_make();
    make_sparse_bundle(rig);
    rig_run(rig);
    cr_assert_eq(rig->result.read_bytes, 27000);
    cr_assert_eq(fake_outlet_count(&rig->fake, FRAME_DATA), 1);
    AUTO(view) struct view *view = view_read(&rig->keys, &rig->fake);
    rig_assert_same(rig, view, "dir000/file0000");
    rig_assert_same(rig, view, "dir000/file0009");
    cr_assert_eq(view->chunk_bytes, 27000);
    fake_outlet_next_run(&rig->fake);
    rig_run(rig);
    cr_assert_eq(rig->result.read_bytes, 0);
}

/* A lease makes it impossible to open the file, and changes nothing that stat tells. */
Test(reuse, a_file_that_cannot_be_read_to_be_stored_anew_stays_as_it_is_stored)
{
    AUTO(rig) struct rig *rig = rig_make();
    make_sparse_bundle(rig);
    AUTO(fd) int fd = openat(rig->tree.fd, "dir000/file0008", O_RDWR | O_CLOEXEC);
    cr_assert(fd >= 0);
    (void)signal(SIGIO, SIG_IGN);
    if (fcntl(fd, F_SETLEASE, F_WRLCK) != 0) cr_skip_test("no leases here");
    rig_run(rig);
    cr_assert_eq(rig->result.read_bytes, 18000);
    cr_assert_eq(rig->warning_count, 0);
    AUTO(view) struct view *view = view_read(&rig->keys, &rig->fake);
    cr_assert_eq(fcntl(fd, F_SETLEASE, F_UNLCK), 0);
    rig_assert_same(rig, view, "dir000/file0008");
    rig_assert_same(rig, view, "dir000/file0009");
    fake_outlet_next_run(&rig->fake);
    rig_run(rig); /* and it is tried again */
    cr_assert_eq(rig->result.read_bytes, 9000);
}

Test(reuse, a_small_file_touched_copied_or_renamed_is_read_and_neither_asked_for_nor_sent)
{
    AUTO(rig) struct rig *rig = rig_make();
    rig_use_cache(rig);
    tree_many(&rig->tree, 2, 50, 0);
    for (unsigned f = 0; f < 50; f++) {
        char path[64];
        (void)snprintf(path, sizeof(path), "dir000/file%04u", f);
        tree_file(&rig->tree, path, 100 + f, 5000);
    }
    rig_run(rig);
    fake_outlet_next_run(&rig->fake);
    cr_assert_eq(utimensat(rig->tree.fd, "dir000/file0001", NULL, 0), 0);
    tree_file(&rig->tree, "dir001/copy", 102, 5000);
    cr_assert_eq(renameat(rig->tree.fd, "dir000/file0003", rig->tree.fd, "dir001/renamed"), 0);
    rig_run(rig);
    cr_assert_eq(rig->result.read_bytes, 15000);
    cr_assert_eq(fake_outlet_count(&rig->fake, FRAME_DATA), 0);
    cr_assert_eq(rig->fake.asked_for_data, 0);
    AUTO(view) struct view *view = view_read(&rig->keys, &rig->fake);
    rig_assert_same(rig, view, "dir000/file0001");
    rig_assert_same(rig, view, "dir001/copy");
    rig_assert_same(rig, view, "dir001/renamed");
}

/* 2 MiB of data, then 1 MiB that may be a hole. */
static void make_large_file(struct rig *rig, bool with_hole)
{
    rig_use_cache(rig);
    tree_file(&rig->tree, "large", 7, 3 << 20);
    AUTO(fd) int fd = openat(rig->tree.fd, "large", O_RDWR | O_CLOEXEC);
    cr_assert(fd >= 0);
    if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2 << 20, 1 << 20) != 0)
        cr_skip_test("this file system knows no holes");
    static const uint8_t zeros[1 << 20];
    if (!with_hole) cr_assert_eq(pwrite(fd, zeros, sizeof(zeros), 2 << 20), (ssize_t)sizeof(zeros));
    rig_run(rig);
    fake_outlet_next_run(&rig->fake);
}

Test(reuse, a_large_file_touched_is_read_and_neither_asked_for_nor_sent)
{
    AUTO(rig) struct rig *rig = rig_make();
    make_large_file(rig, false);
    cr_assert_eq(utimensat(rig->tree.fd, "large", NULL, 0), 0);
    rig_run(rig);
    cr_assert_eq(rig->result.read_bytes, 3 << 20);
    cr_assert_eq(rig->result.deduplicated_bytes, 3 << 20);
    cr_assert_eq(fake_outlet_count(&rig->fake, FRAME_DATA), 0);
    cr_assert_eq(rig->fake.asked_for_data, 0);
    AUTO(view) struct view *view = view_read(&rig->keys, &rig->fake);
    rig_assert_same(rig, view, "large");
}

Test(reuse, a_large_file_with_other_content_of_the_same_size_is_stored)
{
    AUTO(rig) struct rig *rig = rig_make();
    make_large_file(rig, false);
    tree_write(&rig->tree, "large", (3 << 20) - 1, 9, 1);
    rig_run(rig);
    cr_assert_eq(rig->result.read_bytes, 3 << 20, "it is counted once");
    cr_assert_eq(fake_outlet_count(&rig->fake, FRAME_DATA), 1);
    AUTO(view) struct view *view = view_read(&rig->keys, &rig->fake);
    rig_assert_same(rig, view, "large");
}

Test(reuse, the_same_content_with_other_holes_is_not_the_same)
{
    for (int with_hole = 0; with_hole < 2; with_hole++) {
        AUTO(rig) struct rig *rig = rig_make();
        make_large_file(rig, with_hole);
        AUTO(fd) int fd = openat(rig->tree.fd, "large", O_RDWR | O_CLOEXEC);
        static const uint8_t zeros[1 << 20];
        if (with_hole)
            cr_assert_eq(pwrite(fd, zeros, sizeof(zeros), 2 << 20), (ssize_t)sizeof(zeros));
        else
            cr_assert_eq(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2 << 20, 1 << 20), 0);
        rig_run(rig);
        AUTO(view) struct view *view = view_read(&rig->keys, &rig->fake);
        cr_assert_eq(rig_find(rig, view, "large")->holes, with_hole ? 0 : 1);
        rig_assert_same(rig, view, "large");
    }
}
