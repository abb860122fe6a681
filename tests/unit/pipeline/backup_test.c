#include "rig.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/xattr.h>

/* The path to a tree leads through a directory that other tests change at the same time, so its entry, and
 * with it the first leaf, the tree node above and the root, may differ between two runs. Of a manifest with
 * more leaves nothing else may. */
enum { NODES_ABOVE = 3 };

static void assert_same_manifest(const struct fake_outlet *fake)
{
    cr_assert_eq(fake_outlet_count(fake, FRAME_DATA), 0);
    cr_assert_leq(fake_outlet_count(fake, FRAME_NODE), NODES_ABOVE);
}

static void make_socket(const struct tree *tree, const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    AUTO(fd) int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", tree->path, name);
    cr_assert_eq(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
}

static void make_sparse(const struct tree *tree, const char *name)
{
    tree_write(tree, name, 0, 1, 300000);
    tree_write(tree, name, 10 << 20, 2, 300000);
    tree_truncate(tree, name, 20 << 20);
}

static void make_zoo(const struct tree *tree)
{
    tree_dir(tree, "empty");
    tree_dir(tree, "full");
    tree_file(tree, "full/nothing", 1, 0);
    tree_file(tree, "full/small", 2, 5000);
    tree_file(tree, "full/middle", 3, 200000);
    tree_file(tree, "full/large", 4, 9 << 20);
    make_sparse(tree, "full/sparse");
    cr_assert_eq(linkat(tree->fd, "full/small", tree->fd, "full/zmall", 0), 0);
    cr_assert_eq(symlinkat("full/small", tree->fd, "link"), 0);
    cr_assert_eq(mkfifoat(tree->fd, "fifo", 0640), 0);
    make_socket(tree, "socket");
    tree_file(tree, "zz\xff\n name", 5, 77);
    cr_assert_eq(fchmodat(tree->fd, "full/small", 04711, 0), 0);
}

Test(backup, every_type_of_entry_comes_back)
{
    AUTO(rig) struct rig *rig = rig_make();
    make_zoo(&rig->tree);
    rig_run(rig);
    AUTO(view) struct view *view = view_read(&rig->keys, &rig->fake);
    static const char *const files[] = {"full/nothing", "full/small",  "full/middle",
                                        "full/large",   "full/sparse", "zz\xff\n name"};
    for (size_t i = 0; i < 6; i++)
        rig_assert_same(rig, view, files[i]);
    cr_assert_eq(rig_find(rig, view, "empty")->type, ENTRY_DIRECTORY);
    cr_assert_eq(rig_find(rig, view, "fifo")->type, ENTRY_FIFO);
    cr_assert_eq(rig_find(rig, view, "fifo")->mode, 0640);
    cr_assert_str_eq(rig_find(rig, view, "link")->target, "full/small");
    cr_assert_eq(rig_find(rig, view, "full/small")->mode, 04711);
    const struct view_entry *link = rig_find(rig, view, "full/zmall");
    cr_assert_eq(link->type, ENTRY_HARD_LINK);
    cr_assert_str_eq(link->target, tree_name(&rig->tree, "full/small"));
    const struct view_entry *sparse = rig_find(rig, view, "full/sparse");
    cr_assert(sparse->holes == 2 && sparse->size == 20 << 20);
    cr_assert_null(rig_find(rig, view, "socket"));
    cr_assert_eq(view->root.kind, OBJECT_TREE);
}

Test(backup, counts_say_what_is_in_the_point)
{
    AUTO(rig) struct rig *rig = rig_make();
    make_zoo(&rig->tree);
    rig_run(rig);
    AUTO(view) struct view *view = view_read(&rig->keys, &rig->fake);
    const struct point_counts *counts = &rig->result.counts;
    cr_assert_eq(counts->entries, view->count);
    cr_assert_eq(counts->entries, view->root.entries);
    cr_assert_eq(counts->files, 6);
    cr_assert_eq(counts->content_bytes, view->root.content_bytes);
    cr_assert_eq(counts->content_bytes, 5000 + 200000 + (9 << 20) + (20 << 20) + 77);
    cr_assert_eq(counts->warnings, 0);
    AUTO(point) struct point *point = NULL;
    cr_assert(point_decode(buf_span(&rig->fake.point_file), &point, &rig->err), "%s", rig->err.text);
    cr_assert(memcmp(&point->counts, counts, sizeof(*counts)) == 0);
    cr_assert(hash_eq(&point->root, &rig->fake.committed.root));
}

/* The third batch of one file fails: what went before it was told while the file was read. */
Test(backup, a_large_file_is_seen_to_be_sent_while_it_is_read)
{
    AUTO(rig) struct rig *rig = rig_make();
    tree_write(&rig->tree, "large", 0, 1, 48 << 20);
    rig->threads = 1;
    rig->fake.fail_at[FAKE_SEND] = 3;
    cr_assert_not(rig_try(rig));
    cr_assert_eq(rig->fake.calls[FAKE_SEND], 3);
    cr_assert_gt(rig->progress.sent_bytes, 0);
    cr_assert_gt(rig->progress.read_bytes, rig->progress.sent_bytes / 2);
    cr_assert_lt(rig->progress.read_bytes, 48 << 20);
}

Test(backup, progress_ends_at_the_result)
{
    AUTO(rig) struct rig *rig = rig_make();
    rig_use_cache(rig);
    make_zoo(&rig->tree);
    for (int run = 0; run < 2; run++) {
        rig_run(rig);
        cr_assert_eq(rig->progress.entries, rig->result.counts.entries);
        cr_assert_eq(rig->progress.files, rig->result.counts.files);
        cr_assert_eq(rig->progress.content_bytes, rig->result.counts.content_bytes);
        cr_assert_eq(rig->progress.read_bytes, rig->result.read_bytes);
        cr_assert_eq(rig->progress.deduplicated_bytes, rig->result.deduplicated_bytes);
        cr_assert_eq(rig->progress.sent_bytes, rig->result.sent_bytes);
        fake_outlet_next_run(&rig->fake);
    }
}

Test(backup, an_empty_tree_is_a_point_too)
{
    AUTO(rig) struct rig *rig = rig_make();
    rig_run(rig);
    AUTO(view) struct view *view = view_read(&rig->keys, &rig->fake);
    cr_assert_eq(view->count, tree_depth(&rig->tree)); /* the tree, and what it is in */
    cr_assert_eq(fake_outlet_count(&rig->fake, FRAME_DATA), 0);
}

Test(backup, many_small_files_come_back_from_their_bundles)
{
    AUTO(rig) struct rig *rig = rig_make();
    tree_many(&rig->tree, 12, 120, 9000);
    rig_run(rig);
    AUTO(view) struct view *view = view_read(&rig->keys, &rig->fake);
    for (unsigned d = 0; d < 12; d++) {
        for (unsigned f = 0; f < 120; f++) {
            char path[64];
            (void)snprintf(path, sizeof(path), "dir%03u/file%04u", d, f);
            rig_assert_same(rig, view, path);
        }
    }
    cr_assert_lt(fake_outlet_count(&rig->fake, FRAME_DATA), 1440 * 4500 / (100 * 1024));
}

Test(backup, the_number_of_threads_changes_nothing)
{
    static const unsigned threads[] = {1, 2, 8};
    AUTO(rig) struct rig *rig = rig_make();
    make_zoo(&rig->tree);
    tree_many(&rig->tree, 10, 300, 3000);
    for (size_t i = 0; i < 3; i++) {
        rig->threads = threads[i];
        rig_run(rig);
        if (i == 0) cr_assert_gt(fake_outlet_count(&rig->fake, FRAME_NODE), 2 * NODES_ABOVE);
        if (i > 0) assert_same_manifest(&rig->fake);
        fake_outlet_next_run(&rig->fake);
    }
}

Test(backup, of_the_same_tree_reads_and_sends_nothing)
{
    AUTO(rig) struct rig *rig = rig_make();
    rig_use_cache(rig);
    make_zoo(&rig->tree);
    tree_many(&rig->tree, 10, 300, 3000);
    rig_run(rig);
    fake_outlet_next_run(&rig->fake);
    rig_run(rig);
    cr_assert_eq(rig->result.read_bytes, 0);
    cr_assert_eq(rig->result.deduplicated_bytes, rig->result.counts.content_bytes);
    assert_same_manifest(&rig->fake);
}

Test(backup, sends_only_the_file_that_changed)
{
    AUTO(rig) struct rig *rig = rig_make();
    rig_use_cache(rig);
    tree_many(&rig->tree, 5, 100, 5000);
    rig_run(rig);
    fake_outlet_next_run(&rig->fake);
    tree_file(&rig->tree, "dir002/file0050", 99999, 6000);
    rig_run(rig);
    cr_assert_eq(rig->result.read_bytes, 6000);
    cr_assert_eq(fake_outlet_count(&rig->fake, FRAME_DATA), 1);
    AUTO(view) struct view *view = view_read(&rig->keys, &rig->fake);
    rig_assert_same(rig, view, "dir002/file0050");
    rig_assert_same(rig, view, "dir002/file0051");
}

Test(backup, small_changes_all_over_share_a_chunk)
{
    AUTO(rig) struct rig *rig = rig_make();
    rig_use_cache(rig);
    tree_many(&rig->tree, 20, 100, 5000);
    rig_run(rig);
    fake_outlet_next_run(&rig->fake);
    for (unsigned d = 0; d < 20; d++) {
        char path[64];
        (void)snprintf(path, sizeof(path), "dir%03u/file%04u", d, 3 * d);
        tree_file(&rig->tree, path, 90000 + d, 3000);
    }
    rig_run(rig);
    cr_assert_eq(fake_outlet_count(&rig->fake, FRAME_DATA), 1);
    AUTO(view) struct view *view = view_read(&rig->keys, &rig->fake);
    for (unsigned d = 0; d < 20; d++) {
        char path[64];
        (void)snprintf(path, sizeof(path), "dir%03u/file%04u", d, 3 * d);
        rig_assert_same(rig, view, path);
    }
}

Test(backup, a_renamed_file_is_not_stored_again)
{
    AUTO(rig) struct rig *rig = rig_make();
    rig_use_cache(rig);
    tree_many(&rig->tree, 3, 100, 5000);
    tree_file(&rig->tree, "large", 7, 3 << 20);
    rig_run(rig);
    fake_outlet_next_run(&rig->fake);
    cr_assert_eq(renameat(rig->tree.fd, "dir001/file0042", rig->tree.fd, "renamed"), 0);
    cr_assert_eq(renameat(rig->tree.fd, "large", rig->tree.fd, "dir000/large"), 0);
    rig_run(rig);
    cr_assert_eq(fake_outlet_count(&rig->fake, FRAME_DATA), 0);
    AUTO(view) struct view *view = view_read(&rig->keys, &rig->fake);
    rig_assert_same(rig, view, "renamed");
    rig_assert_same(rig, view, "dir000/large");
    cr_assert_null(rig_find(rig, view, "dir001/file0042"));
}

Test(backup, a_lost_cache_costs_a_reading_and_no_sending)
{
    AUTO(rig) struct rig *rig = rig_make();
    rig_use_cache(rig);
    tree_many(&rig->tree, 10, 300, 3000);
    rig_run(rig);
    fake_outlet_next_run(&rig->fake);
    rig_lose_cache(rig);
    rig_run(rig);
    cr_assert_eq(rig->result.read_bytes, rig->result.counts.content_bytes);
    assert_same_manifest(&rig->fake);
}

Test(backup, content_with_thousands_of_pieces_has_its_references_in_nodes)
{
    AUTO(rig) struct rig *rig = rig_make();
    for (uint64_t i = 0; i < 1100; i++)
        tree_write(&rig->tree, "holes", (off_t)(i * 8192), i + 1, 4096);
    rig_run(rig);
    AUTO(view) struct view *view = view_read(&rig->keys, &rig->fake);
    const struct view_entry *entry = rig_find(rig, view, "holes");
    if (entry->holes == 0) cr_skip_test("this file system knows no holes");
    cr_assert(entry->flags & ENTRY_REFS_IN_NODES);
    cr_assert_eq(entry->refs, 2199);
    rig_assert_same(rig, view, "holes");
}

Test(backup, sealing_there_has_the_same_manifest)
{
    AUTO(rig) struct rig *rig = rig_make();
    tree_many(&rig->tree, 10, 300, 3000);
    tree_file(&rig->tree, "large", 7, 9 << 20);
    rig_run(rig);
    AUTO(fake_outlet) struct fake_outlet raw;
    fake_outlet_init(&raw, SEAL_THERE);
    rig->sealing = keys_raw(fake_outlet_outlet(&raw));
    rig_run(rig);
    cr_assert_eq(raw.invalid.code, ERR_NONE, "%s", raw.invalid.text);
    cr_assert_eq(raw.point_file.len, 0);
    size_t other = 0;
    for (size_t i = 0; i < raw.chunks.len / sizeof(struct fake_chunk); i++) {
        const struct fake_chunk *chunk = fake_outlet_chunk(&raw, i);
        struct hash id = chunk_id(rig->keys.write->dedup_key->data, chunk->type, &chunk->name);
        other += !fake_outlet_find(&rig->fake, chunk->type, &id);
    }
    cr_assert_leq(other, NODES_ABOVE);
    cr_assert_eq(fake_outlet_count(&raw, FRAME_DATA), fake_outlet_count(&rig->fake, FRAME_DATA));
    cr_assert_not_null(fake_outlet_find(&raw, FRAME_NODE, &raw.committed.root));
}

Test(backup, extended_attributes_are_kept)
{
    AUTO(rig) struct rig *rig = rig_make();
    tree_file(&rig->tree, "file", 1, 100);
    AUTO(fd) int fd = openat(rig->tree.fd, "file", O_RDONLY);
    if (fsetxattr(fd, "user.colour", "blue", 4, 0) != 0) cr_skip_test("no extended attributes here");
    rig_run(rig);
    AUTO(view) struct view *view = view_read(&rig->keys, &rig->fake);
    cr_assert_eq(rig_find(rig, view, "file")->xattr_count, 1);
}

/* Their contents are what a restore is made for. */
Test(backup, a_file_with_more_attributes_than_an_entry_holds_comes_back_without_some_and_each_run_says_so)
{
    enum { MANY = 20, LEN = 65536 };
    static const uint8_t value[LEN];
    AUTO(rig) struct rig *rig = rig_make();
    rig_use_cache(rig);
    tree_file(&rig->tree, "file", 1, 5000);
    tree_file(&rig->tree, "large", 2, 600000);
    AUTO(fd) int small = openat(rig->tree.fd, "file", O_RDONLY);
    AUTO(fd) int large = openat(rig->tree.fd, "large", O_RDONLY);
    for (int i = 0; i < MANY; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "user.%02d", i);
        if (fsetxattr(small, name, value, LEN, 0) != 0 || fsetxattr(large, name, value, LEN, 0) != 0)
            cr_skip_test("no such attributes here");
    }
    for (int run = 0; run < 2; run++) {
        rig_run(rig);
        cr_assert_eq(rig->warning_count, 2);
        cr_assert_str_eq(rig->warned.text,
                         "backed up without the extended attributes 'user.15', 'user.16', "
                         "'user.17', 'user.18', 'user.19': there is room for 1 MiB of them");
        if (run > 0) cr_assert_eq(fake_outlet_count(&rig->fake, FRAME_DATA), 0);
        AUTO(view) struct view *view = view_read(&rig->keys, &rig->fake);
        rig_assert_same(rig, view, "file");
        rig_assert_same(rig, view, "large");
        cr_assert_eq(rig_find(rig, view, "file")->xattr_count, 15);
        fake_outlet_next_run(&rig->fake);
    }
}
