/* What may go wrong while a backup runs. The outlet is shut to hold the only worker in the middle of its
 * work, so that the tree can be changed at a known moment. */
#include "rig.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file whose reading fills batches: a worker that reads it is soon held by a shut outlet. Its name comes
 * first. */
enum { HOLDER_LEN = 12 << 20 };

static void hold_worker(struct rig *rig, uint64_t entries)
{
    rig->threads = 1;
    rig->fake.shut = true;
    rig_start(rig);
    fake_outlet_await_waiting(&rig->fake, 1);
    rig_await_entries(rig, entries + 2); /* and the directories above */
}

static void release(struct rig *rig)
{
    fake_outlet_open(&rig->fake);
    cr_assert(rig_join(rig), "%s", rig->err.text);
}

Test(backup_fault, a_file_that_vanished_is_left_out_with_a_warning)
{
    AUTO(rig) struct rig *rig = rig_make();
    tree_file(&rig->tree, "a-holder", 1, HOLDER_LEN);
    tree_file(&rig->tree, "b", 2, 1000);
    tree_file(&rig->tree, "c", 3, 1000);
    hold_worker(rig, 3);
    cr_assert_eq(unlinkat(rig->tree.fd, "b", 0), 0);
    release(rig);
    AUTO(view) struct view *view = view_read(&rig->keys, &rig->fake);
    cr_assert_null(rig_find(rig, view, "b"));
    rig_assert_same(rig, view, "c");
    cr_assert_eq(rig->warning_count, 1);
    cr_assert_str_eq(rig->warned_path, tree_name(&rig->tree, "b"));
    cr_assert_eq(rig->result.counts.warnings, 1);
}

Test(backup_fault, something_else_in_a_files_place_is_left_out_with_a_warning)
{
    AUTO(rig) struct rig *rig = rig_make();
    tree_file(&rig->tree, "a-holder", 1, HOLDER_LEN);
    tree_file(&rig->tree, "b", 2, 1000);
    hold_worker(rig, 2);
    cr_assert_eq(unlinkat(rig->tree.fd, "b", 0), 0);
    cr_assert_eq(symlinkat("/etc/passwd", rig->tree.fd, "b"), 0);
    release(rig);
    AUTO(view) struct view *view = view_read(&rig->keys, &rig->fake);
    cr_assert_null(rig_find(rig, view, "b"));
    cr_assert_eq(rig->warning_count, 1);
}

/* Of small files the walk is believed until they are read: b has the same size and time, but is another. */
Test(backup_fault, a_small_file_replaced_since_the_walk_is_stored_as_it_is)
{
    AUTO(rig) struct rig *rig = rig_make();
    struct stat old, new;
    tree_file(&rig->tree, "a-holder", 1, HOLDER_LEN);
    tree_file(&rig->tree, "b", 2, 1000);
    tree_file(&rig->tree, "c", 3, 1000);
    cr_assert_eq(fstatat(rig->tree.fd, "b", &old, 0), 0);
    hold_worker(rig, 3);
    tree_file(&rig->tree, "new", 4, 1000);
    cr_assert_eq(utimensat(rig->tree.fd, "new", (struct timespec[]){old.st_atim, old.st_mtim}, 0), 0);
    cr_assert_eq(fchmodat(rig->tree.fd, "new", 0600, 0), 0);
    cr_assert_eq(renameat(rig->tree.fd, "new", rig->tree.fd, "b"), 0);
    tree_file(&rig->tree, "c", 5, 2000);
    release(rig);
    AUTO(view) struct view *view = view_read(&rig->keys, &rig->fake);
    rig_assert_same(rig, view, "b");
    rig_assert_same(rig, view, "c");
    cr_assert_eq(fstatat(rig->tree.fd, "b", &new, 0), 0);
    cr_assert_eq(new.st_size, old.st_size);
    cr_assert_eq(rig_find(rig, view, "b")->flags & ENTRY_INEXACT, 0);
    cr_assert_eq(rig->warning_count, 0);
}

Test(backup_fault, a_file_that_changes_while_it_is_read_is_read_once_more)
{
    AUTO(rig) struct rig *rig = rig_make();
    tree_file(&rig->tree, "a-holder", 1, HOLDER_LEN);
    hold_worker(rig, 1); /* it stands in the middle of the file */
    tree_write(&rig->tree, "a-holder", 100, 99, 1000);
    release(rig);
    AUTO(view) struct view *view = view_read(&rig->keys, &rig->fake);
    rig_assert_same(rig, view, "a-holder");
    cr_assert_eq(rig_find(rig, view, "a-holder")->flags & ENTRY_INEXACT, 0);
    cr_assert_eq(rig->warning_count, 0);
    cr_assert_gt(rig->result.read_bytes, HOLDER_LEN);
}

Test(backup_fault, a_large_file_that_changes_while_it_is_read_is_kept_and_marked)
{
    AUTO(rig) struct rig *rig = rig_make();
    rig_use_cache(rig);
    tree_file(&rig->tree, "a-holder", 1, HOLDER_LEN);
    tree_truncate(&rig->tree, "a-holder", 80 << 20); /* too large to be read again */
    hold_worker(rig, 1);
    tree_write(&rig->tree, "a-holder", HOLDER_LEN - 1000, 99, 1000);
    release(rig);
    AUTO(view) struct view *view = view_read(&rig->keys, &rig->fake);
    const struct view_entry *entry = rig_find(rig, view, "a-holder");
    cr_assert(entry->flags & ENTRY_INEXACT);
    cr_assert(hash_eq(&entry->content, &entry->file_hash));
    cr_assert(rig->warning_count == 1 && rig->result.counts.warnings == 1);
    fake_outlet_next_run(&rig->fake);
    rig_run(rig); /* what was inexact is not taken from the cache */
    cr_assert_gt(rig->result.read_bytes, 0);
}

Test(backup_fault, a_file_cut_short_while_it_is_read_keeps_what_was_read)
{
    AUTO(rig) struct rig *rig = rig_make();
    tree_file(&rig->tree, "a-holder", 1, HOLDER_LEN);
    hold_worker(rig, 1);
    tree_truncate(&rig->tree, "a-holder", 100);
    release(rig);
    AUTO(view) struct view *view = view_read(&rig->keys, &rig->fake);
    rig_assert_same(rig, view, "a-holder"); /* read again */
    cr_assert_eq(rig_find(rig, view, "a-holder")->size, 100);
}

Test(backup_fault, when_the_first_of_two_links_vanishes_the_second_keeps_the_content)
{
    AUTO(rig) struct rig *rig = rig_make();
    tree_file(&rig->tree, "a-holder", 1, HOLDER_LEN);
    tree_file(&rig->tree, "b1", 2, 1000);
    cr_assert_eq(linkat(rig->tree.fd, "b1", rig->tree.fd, "b2", 0), 0);
    cr_assert_eq(linkat(rig->tree.fd, "b1", rig->tree.fd, "b3", 0), 0);
    hold_worker(rig, 4);
    cr_assert_eq(unlinkat(rig->tree.fd, "b1", 0), 0);
    release(rig);
    AUTO(view) struct view *view = view_read(&rig->keys, &rig->fake);
    cr_assert_null(rig_find(rig, view, "b1"));
    cr_assert_eq(rig_find(rig, view, "b2")->type, ENTRY_FILE);
    rig_assert_same(rig, view, "b2");
    cr_assert_eq(rig_find(rig, view, "b3")->type, ENTRY_HARD_LINK);
    cr_assert_str_eq(rig_find(rig, view, "b3")->target, tree_name(&rig->tree, "b2"));
    cr_assert_eq(rig->warning_count, 1);
}

/* Whoever makes and removes names by the million takes no memory for each, and hides nothing. */
Test(backup_fault, of_more_lost_names_than_are_remembered_the_links_become_files_with_the_content)
{
    AUTO(rig) struct rig *rig = rig_make();
    static const char *const names[] = {"b", "c", "d"};
    tree_file(&rig->tree, "a-holder", 1, HOLDER_LEN);
    for (unsigned i = 0; i < 3; i++) {
        char first[8], other[8];
        (void)snprintf(first, sizeof(first), "%s1", names[i]);
        tree_file(&rig->tree, first, 2 + i, 1000);
        for (unsigned n = 2; n < 4; n++) {
            (void)snprintf(other, sizeof(other), "%s%u", names[i], n);
            cr_assert_eq(linkat(rig->tree.fd, first, rig->tree.fd, other, 0), 0);
        }
    }
    rig->lost_links_most = 1;
    hold_worker(rig, 10);
    cr_assert_eq(unlinkat(rig->tree.fd, "b1", 0), 0);
    cr_assert_eq(unlinkat(rig->tree.fd, "c1", 0), 0);
    release(rig);
    AUTO(view) struct view *view = view_read(&rig->keys, &rig->fake);
    static const struct {
        const char *name;
        enum entry_type type;
    } expected[] = {{"b2", ENTRY_FILE}, {"b3", ENTRY_HARD_LINK}, {"c2", ENTRY_FILE},     {"c3", ENTRY_FILE},
                    {"d1", ENTRY_FILE}, {"d2", ENTRY_HARD_LINK}, {"d3", ENTRY_HARD_LINK}};
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        cr_assert_eq(rig_find(rig, view, expected[i].name)->type, expected[i].type, "%s", expected[i].name);
        if (expected[i].type == ENTRY_FILE) rig_assert_same(rig, view, expected[i].name);
    }
    cr_assert_eq(rig->warning_count, 2);
}

Test(backup_fault, a_directory_that_vanished_takes_its_entries_along)
{
    AUTO(rig) struct rig *rig = rig_make();
    tree_file(&rig->tree, "a-holder", 1, HOLDER_LEN);
    tree_dir(&rig->tree, "b");
    tree_file(&rig->tree, "b/inside", 2, 1000);
    tree_file(&rig->tree, "c", 3, 1000);
    hold_worker(rig, 4);
    cr_assert_eq(unlinkat(rig->tree.fd, "b/inside", 0), 0);
    cr_assert_eq(unlinkat(rig->tree.fd, "b", AT_REMOVEDIR), 0);
    release(rig);
    AUTO(view) struct view *view = view_read(&rig->keys, &rig->fake);
    cr_assert_null(rig_find(rig, view, "b/inside"));
    rig_assert_same(rig, view, "c");
    cr_assert_geq(rig->warning_count, 1);
}

Test(backup_fault, an_unreadable_file_is_a_warning)
{
    AUTO(rig) struct rig *rig = rig_make();
    if (geteuid() == 0) cr_skip_test("root reads everything");
    tree_file(&rig->tree, "secret", 1, 100);
    tree_file(&rig->tree, "open", 1, 100);
    cr_assert_eq(fchmodat(rig->tree.fd, "secret", 0, 0), 0);
    rig_run(rig);
    AUTO(view) struct view *view = view_read(&rig->keys, &rig->fake);
    cr_assert_null(rig_find(rig, view, "secret"));
    rig_assert_same(rig, view, "open");
    cr_assert_eq(rig->result.counts.warnings, 1);
}

/* However often the outlet fails and where: the first error comes back, and nothing hangs or leaks. */
Test(backup_fault, any_failing_call_of_the_outlet_ends_the_run_with_its_error, .timeout = 120)
{
    for (enum fake_call call = FAKE_ASK; call < FAKE_CALLS; call++) {
        for (size_t nth = 1; nth < 40; nth++) {
            AUTO(rig) struct rig *rig = rig_make();
            rig->threads = 1 + nth % 3;
            tree_many(&rig->tree, 4, 60, 20000);
            tree_file(&rig->tree, "large", 1, 9 << 20);
            rig->fake.fail_at[call] = nth;
            if (rig_try(rig)) {
                cr_assert_gt(nth, 1, "call %d", call);
                break;
            }
            cr_assert_eq(rig->err.code, ERR_UNREACHABLE, "call %d, %zu: %s", call, nth, rig->err.text);
        }
    }
}

Test(backup_fault, a_failed_run_leaves_the_cache_as_it_was)
{
    AUTO(rig) struct rig *rig = rig_make();
    rig_use_cache(rig);
    tree_many(&rig->tree, 2, 50, 5000);
    rig->fake.fail_at[FAKE_COMMIT] = 1;
    cr_assert_not(rig_try(rig));
    fake_outlet_next_run(&rig->fake);
    rig_run(rig);
    cr_assert_eq(rig->result.read_bytes, rig->result.counts.content_bytes);
}

/* The end of a run is told before its cache is made current. */
Test(backup_fault, a_process_killed_before_it_renewed_the_cache_leaves_that_of_the_run_before)
{
    AUTO(rig) struct rig *rig = rig_make();
    rig_use_cache(rig);
    tree_many(&rig->tree, 2, 50, 5000);
    rig_run(rig);
    fake_outlet_next_run(&rig->fake);
    tree_file(&rig->tree, "dir001/file0007", 4711, 6000);
    rig->killed_before_renewal = true;
    rig_run(rig);
    fake_outlet_next_run(&rig->fake);
    rig->killed_before_renewal = false;
    rig_reopen_cache(rig);
    rig_run(rig);
    cr_assert_eq(rig->result.read_bytes, 6000);
    AUTO(view) struct view *view = view_read(&rig->keys, &rig->fake);
    rig_assert_same(rig, view, "dir001/file0007");
    rig_assert_same(rig, view, "dir001/file0008");
}

Test(backup_fault, a_cache_that_names_what_is_gone_is_emptied_and_the_next_run_reads_all)
{
    AUTO(rig) struct rig *rig = rig_make();
    rig_use_cache(rig);
    tree_many(&rig->tree, 2, 50, 5000);
    rig_run(rig);
    fake_outlet_next_run(&rig->fake);
    rig->fake.lacks_something = true;
    cr_assert_not(rig_try(rig));
    cr_assert_eq(rig->err.code, ERR_NOT_FOUND);
    cr_assert_eq(rig->result.read_bytes, rig->result.counts.content_bytes); /* still the first run's */
    fake_outlet_next_run(&rig->fake);
    rig_run(rig);
    cr_assert_eq(rig->result.read_bytes, rig->result.counts.content_bytes);
    cr_assert_gt(rig->result.read_bytes, 0);
}

Test(backup_fault, a_slow_outlet_holds_everything_back_and_nothing_is_lost)
{
    AUTO(rig) struct rig *rig = rig_make();
    rig->threads = 3;
    tree_many(&rig->tree, 20, 150, 9000);
    tree_file(&rig->tree, "large", 1, 20 << 20);
    rig->fake.shut = true;
    rig_start(rig);
    fake_outlet_await_waiting(&rig->fake, 1);
    release(rig);
    AUTO(view) struct view *view = view_read(&rig->keys, &rig->fake);
    cr_assert_eq(view->count, tree_depth(&rig->tree) + 20 + 20 * 150 + 1);
    rig_assert_same(rig, view, "large");
}

Test(backup_fault, cancelling_ends_a_run_whatever_it_waits_for, .timeout = 120)
{
    AUTO(rig) struct rig *rig = rig_make();
    rig->threads = 3;
    tree_many(&rig->tree, 10, 150, 9000);
    tree_file(&rig->tree, "large", 1, 20 << 20);
    rig->fake.shut = true;
    rig_start(rig);
    fake_outlet_await_waiting(&rig->fake, 1);
    rig->cancelled = true;
    cr_assert_not(rig_join(rig));
    cr_assert_eq(rig->err.code, ERR_CANCELLED);
    cr_assert_eq(rig->fake.calls[FAKE_COMMIT], 0);
}

Test(backup_fault, a_tree_that_is_not_there_is_an_error_before_anything_is_sent)
{
    AUTO(rig) struct rig *rig = rig_make();
    char absent[sizeof(rig->tree.path) + 8];
    (void)snprintf(absent, sizeof(absent), "%s/absent", rig->tree.path);
    rig->path = absent;
    cr_assert_not(rig_try(rig));
    cr_assert_eq(rig->err.code, ERR_NOT_FOUND);
    cr_assert_eq(rig->fake.calls[FAKE_SEND], 0);
}

Test(backup_fault, relative_paths_are_refused)
{
    AUTO(rig) struct rig *rig = rig_make();
    rig->path = "tree";
    cr_assert_not(rig_try(rig));
    cr_assert_eq(rig->err.code, ERR_USAGE);
}
