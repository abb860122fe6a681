#include "loop_device.h"
#include "rig.h"

#include "transporter/pipeline/image_cutter.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { GRANULE = IMAGE_GRANULE, REGION = IMAGE_REGION };

/* A rig whose image is the file "image" of its tree. */
static struct rig *image_rig(void)
{
    static char path[80];
    struct rig *rig = rig_make();
    (void)snprintf(path, sizeof(path), "%s/image", rig->tree.path);
    rig->image = (struct image_source){.path = path};
    return rig;
}

static struct view *back_up(struct rig *rig)
{
    rig_run(rig);
    return view_read(&rig->keys, &rig->fake);
}

static const struct view_entry *only(const struct view *view)
{
    cr_assert_eq(view->count, 1);
    cr_assert_str_eq(view->entries[0].path, "image");
    cr_assert_eq(view->root.kind, OBJECT_IMAGE);
    return view->entries;
}

static void assert_same(const struct rig *rig, const struct view *view)
{
    struct hash now = tree_hash(&rig->tree, "image");
    cr_assert(hash_eq(&only(view)->content, &now));
}

static size_t ref_count(const struct view *view)
{
    return only(view)->ref_list.len / sizeof(struct ref);
}

static const struct ref *ref_at(const struct view *view, size_t index)
{
    return (const struct ref *)(const void *)view->entries[0].ref_list.data + index;
}

/* "hole 65536, data 70000, " */
static void refs_text(const struct view *view, struct buf *out)
{
    for (size_t i = 0; i < ref_count(view); i++)
        buf_printf(out, "%s %llu, ", ref_at(view, i)->kind == REF_HOLE ? "hole" : "data",
                   (unsigned long long)ref_at(view, i)->length);
}

static void expect_refs(const struct view *view, const char *expected)
{
    AUTO(buf) struct buf text = {0};
    refs_text(view, &text);
    cr_assert_str_eq(buf_cstr(&text), expected);
}

static void write_zeros(const struct tree *tree, off_t offset, size_t len)
{
    AUTO(fd) int fd = openat(tree->fd, "image", O_WRONLY);
    AUTO(free) char *zeros = calloc(1, len);
    cr_assert_eq(pwrite(fd, zeros, len, offset), (ssize_t)len);
}

Test(backup_image, an_image_of_data_and_holes_comes_back)
{
    AUTO(rig) struct rig *rig = image_rig();
    tree_write(&rig->tree, "image", 0, 1, 300000);
    tree_write(&rig->tree, "image", 10 << 20, 2, 5 << 20);
    tree_truncate(&rig->tree, "image", 100 << 20);
    AUTO(view) struct view *view = back_up(rig);
    assert_same(rig, view);
    cr_assert_eq(only(view)->size, 100 << 20);
    cr_assert_eq(only(view)->holes, 2, "one across the regions' border too");
    const struct point_counts *counts = &rig->result.counts;
    cr_assert(counts->entries == 1 && counts->files == 1 && counts->content_bytes == 100 << 20);
    cr_assert_eq(rig->progress.total_bytes, 100 << 20, "who looks sees how much is to come");
    cr_assert_leq(rig->result.read_bytes, 6 << 20, "holes are not read");
    cr_assert_eq(view->root.chunk_average, 512 << 10);
    cr_assert_eq(rig->warning_count, 0);
}

/* What these cuts are is part of the format: never change the expectation. */
Test(backup_image, cuts_are_golden)
{
    AUTO(rig) struct rig *rig = image_rig();
    tree_write(&rig->tree, "image", 100000, 7, 3 << 20);
    tree_write(&rig->tree, "image", 8 << 20, 8, 10);
    tree_truncate(&rig->tree, "image", (8 << 20) + 100000);
    AUTO(view) struct view *view = back_up(rig);
    expect_refs(view,
                "hole 65536, data 571392, data 693248, data 279552, data 753664, data 331776, data 581632, "
                "hole 5111808, data 65536, hole 34464, ");
}

Test(backup_image, a_cut_is_forced_where_a_region_begins)
{
    AUTO(rig) struct rig *rig = image_rig();
    tree_write(&rig->tree, "image", REGION - (1 << 20), 1, 4 << 20);
    AUTO(view) struct view *view = back_up(rig);
    uint64_t at = 0;
    bool cut = false;
    for (size_t i = 0; i < ref_count(view); i++) {
        at += ref_at(view, i)->length;
        cut = cut || at == REGION;
    }
    cr_assert(cut);
    assert_same(rig, view);
}

Test(backup_image, zeros_are_holes_only_by_whole_granules)
{
    AUTO(rig) struct rig *rig = image_rig();
    tree_write(&rig->tree, "image", 0, 1, GRANULE);
    write_zeros(&rig->tree, GRANULE, GRANULE);
    tree_write(&rig->tree, "image", 2 * GRANULE + 1, 2, 1);
    write_zeros(&rig->tree, 2 * GRANULE + 2, GRANULE - 2);
    write_zeros(&rig->tree, 3 * GRANULE, 5);
    AUTO(view) struct view *view = back_up(rig);
    expect_refs(view, "data 65536, hole 65536, data 65536, hole 5, ");
    assert_same(rig, view);
}

Test(backup_image, what_is_a_hole_in_the_file_and_what_is_zeros_is_the_same)
{
    AUTO(rig) struct rig *rig = image_rig();
    tree_write(&rig->tree, "image", 1000, 1, 200000);
    tree_write(&rig->tree, "image", 3 << 20, 2, 77);
    tree_truncate(&rig->tree, "image", 5 << 20);
    AUTO(view) struct view *sparse = back_up(rig);
    for (off_t at = 201000; at < 3 << 20; at += 100000)
        write_zeros(&rig->tree, at, at + 100000 < 3 << 20 ? 100000 : (size_t)((3 << 20) - at));
    write_zeros(&rig->tree, 4 << 20, 1 << 20);
    fake_outlet_next_run(&rig->fake);
    AUTO(view) struct view *full = back_up(rig);
    cr_assert(hash_eq(&only(sparse)->file_hash, &only(full)->file_hash));
    cr_assert_eq(fake_outlet_count(&rig->fake, FRAME_DATA), 0);
}

Test(backup_image, the_number_of_threads_changes_nothing)
{
    AUTO(rig) struct rig *rig = image_rig();
    for (unsigned i = 0; i < 5; i++)
        tree_write(&rig->tree, "image", (off_t)i * (REGION / 2), i, 2 << 20);
    struct hash known[3];
    for (unsigned i = 0; i < 3; i++) {
        rig->threads = 1 + 2 * i;
        AUTO(view) struct view *view = back_up(rig);
        known[i] = only(view)->file_hash;
        assert_same(rig, view);
        fake_outlet_next_run(&rig->fake);
    }
    cr_assert(hash_eq(&known[0], &known[1]) && hash_eq(&known[0], &known[2]));
}

Test(backup_image, every_size_comes_back)
{
    static const off_t sizes[] = {0,           1,      GRANULE - 1, GRANULE,
                                  GRANULE + 1, REGION, REGION + 1,  3 * GRANULE + 7};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        AUTO(rig) struct rig *rig = image_rig();
        size_t tail = sizes[i] < 100 ? (size_t)sizes[i] : 100;
        tree_write(&rig->tree, "image", sizes[i] - (off_t)tail, 1, tail);
        AUTO(view) struct view *view = back_up(rig);
        cr_assert_eq(only(view)->size, (uint64_t)sizes[i]);
        assert_same(rig, view);
    }
}

/* More references than an entry holds: they go into nodes of their own. */
Test(backup_image, an_image_may_have_any_number_of_references)
{
    AUTO(rig) struct rig *rig = image_rig();
    for (unsigned i = 0; i < 1500; i++)
        tree_write(&rig->tree, "image", (off_t)i * 2 * GRANULE, i + 1, 3);
    AUTO(view) struct view *view = back_up(rig);
    cr_assert_geq(ref_count(view), 2998);
    cr_assert(only(view)->flags & ENTRY_REFS_IN_NODES);
    assert_same(rig, view);
}

Test(backup_image, a_change_sends_what_lies_around_it)
{
    AUTO(rig) struct rig *rig = image_rig();
    tree_write(&rig->tree, "image", 0, 1, 20 << 20);
    rig_run(rig);
    fake_outlet_next_run(&rig->fake);
    tree_write(&rig->tree, "image", 10 << 20, 99, 10);
    AUTO(view) struct view *view = back_up(rig);
    size_t sent = fake_outlet_count(&rig->fake, FRAME_DATA);
    cr_assert(sent >= 1 && sent <= 3, "%zu", sent);
    assert_same(rig, view);
}

Test(backup_image, a_file_that_is_as_it_was_is_not_read_again)
{
    AUTO(rig) struct rig *rig = image_rig();
    rig_use_cache(rig);
    tree_write(&rig->tree, "image", 0, 1, 3 << 20);
    rig_run(rig);
    cr_assert_eq(rig->result.read_bytes, 3 << 20);
    fake_outlet_next_run(&rig->fake);
    AUTO(view) struct view *view = back_up(rig);
    cr_assert_eq(rig->result.read_bytes, 0);
    cr_assert_eq(rig->result.deduplicated_bytes, 3 << 20);
    assert_same(rig, view);
    fake_outlet_next_run(&rig->fake);
    tree_write(&rig->tree, "image", 1 << 20, 5, 1);
    AUTO(view) struct view *changed = back_up(rig);
    cr_assert_eq(rig->result.read_bytes, 3 << 20);
    assert_same(rig, changed);
}

Test(backup_image, with_more_attributes_than_an_entry_holds_comes_back_and_each_run_says_so)
{
    static const uint8_t value[65536];
    AUTO(rig) struct rig *rig = image_rig();
    rig_use_cache(rig);
    tree_write(&rig->tree, "image", 0, 1, GRANULE);
    AUTO(fd) int fd = openat(rig->tree.fd, "image", O_RDONLY);
    for (int i = 0; i < 17; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "user.%02d", i);
        if (fsetxattr(fd, name, value, sizeof(value), 0) != 0) cr_skip_test("no such attributes here");
    }
    for (int run = 0; run < 2; run++) {
        AUTO(view) struct view *view = back_up(rig);
        assert_same(rig, view);
        cr_assert_eq(rig->warning_count, 1);
        cr_assert_eq(rig->warned.code, ERR_LIMIT);
        fake_outlet_next_run(&rig->fake);
    }
}

static void back_up_device(struct rig *rig, const struct loop_device *device, enum image_moment moment,
                           uint8_t flags, size_t warnings)
{
    rig->image = (struct image_source){.path = device->path, .moment = moment};
    AUTO(view) struct view *view = back_up(rig);
    cr_assert_eq(view->entries[0].flags & ENTRY_INEXACT, flags);
    cr_assert_eq(rig->warning_count, warnings);
    cr_assert_eq(rig->result.counts.warnings, 0, "told, not counted");
    fake_outlet_next_run(&rig->fake);
}

Test(backup_image, a_device_in_use_that_no_script_stilled_is_told)
{
    AUTO(loop_device) struct loop_device device = loop_device_make(1 << 20);
    AUTO(rig) struct rig *rig = rig_make();
    back_up_device(rig, &device, IMAGE_LIVE, 0, 0);
    AUTO(fd) int user = open(device.path, O_RDONLY | O_EXCL | O_CLOEXEC); /* as a mount does */
    cr_assert(user >= 0);
    back_up_device(rig, &device, IMAGE_LIVE, ENTRY_INEXACT, 1);
    cr_assert_not_null(strstr(rig->warned.text, "crash-consistent"));
    back_up_device(rig, &device, IMAGE_STILLED, 0, 0);
}

/* --- what may go wrong --- */

/* The only worker is held in the midst of an image of data. */
static void hold(struct rig *rig)
{
    tree_write(&rig->tree, "image", 0, 1, 16 << 20);
    rig->threads = 1;
    rig->fake.shut = true;
    rig_start(rig);
    fake_outlet_await_waiting(&rig->fake, 1);
}

Test(backup_image, one_that_ends_early_fails_by_its_offset_and_commits_nothing)
{
    AUTO(rig) struct rig *rig = image_rig();
    hold(rig);
    tree_truncate(&rig->tree, "image", 12 << 20);
    fake_outlet_open(&rig->fake);
    cr_assert_not(rig_join(rig));
    cr_assert_eq(rig->err.code, ERR_FAILED);
    cr_assert_not_null(strstr(rig->err.text, "ends at offset 12582912"), "%s", rig->err.text);
    cr_assert_eq(rig->fake.calls[FAKE_COMMIT], 0);
}

Test(backup_image, a_file_that_changes_meanwhile_is_marked_and_told)
{
    AUTO(rig) struct rig *rig = image_rig();
    hold(rig);
    tree_write(&rig->tree, "image", 15 << 20, 3, 100);
    fake_outlet_open(&rig->fake);
    cr_assert(rig_join(rig), "%s", rig->err.text);
    AUTO(view) struct view *view = view_read(&rig->keys, &rig->fake);
    cr_assert(only(view)->flags & ENTRY_INEXACT);
    cr_assert_eq(rig->warning_count, 1);
    cr_assert_eq(rig->result.counts.warnings, 1);
}

Test(backup_image, cancelling_ends_it)
{
    AUTO(rig) struct rig *rig = image_rig();
    hold(rig);
    rig->cancelled = true;
    cr_assert_not(rig_join(rig));
    cr_assert_eq(rig->err.code, ERR_CANCELLED);
    cr_assert_eq(rig->fake.calls[FAKE_COMMIT], 0);
}

Test(backup_image, a_failing_outlet_ends_it_at_every_call)
{
    for (size_t at = 1; at <= 4; at++) {
        AUTO(rig) struct rig *rig = image_rig();
        tree_write(&rig->tree, "image", 0, 1, 16 << 20);
        rig->threads = 3;
        rig->fake.fail_at[FAKE_SEND] = at;
        cr_assert_not(rig_try(rig));
        cr_assert_eq(rig->fake.calls[FAKE_COMMIT], 0);
    }
}

Test(backup_image, what_the_repository_lost_resets_the_cache)
{
    AUTO(rig) struct rig *rig = image_rig();
    rig_use_cache(rig);
    tree_write(&rig->tree, "image", 0, 1, 1 << 20);
    rig_run(rig);
    fake_outlet_next_run(&rig->fake);
    rig->fake.lacks_something = true;
    cr_assert_not(rig_try(rig));
    cr_assert_eq(rig->err.code, ERR_NOT_FOUND);
    fake_outlet_next_run(&rig->fake);
    rig->fake.lacks_something = false;
    rig_run(rig);
    cr_assert_eq(rig->result.read_bytes, 1 << 20);
}
