#include "golden.h"
#include "store.h"

#include <criterion/criterion.h>
#include <string.h>

/* The tree of the golden vector "stream": 40 directories of 299 files. */
struct tree {
    char (*parents)[8];
    char (*names)[64];
    struct sample *samples;
    size_t count;
};

static void tree_deinit(struct tree *tree)
{
    free(tree->parents);
    free(tree->names);
    free(tree->samples);
}
DEFINE_AUTO_IN_PLACE(tree, struct tree, tree_deinit)

static void tree_add(struct tree *tree, const char *parent, const char *name, enum entry_type type,
                     size_t size)
{
    size_t i = tree->count++;
    (void)snprintf(tree->parents[i], sizeof(*tree->parents), "%s", parent);
    (void)snprintf(tree->names[i], sizeof(*tree->names), "%s", name);
    tree->samples[i] =
        (struct sample){.parent = tree->parents[i], .name = tree->names[i], .type = type, .size = size};
}

static struct tree tree_make(unsigned directories)
{
    size_t most = (size_t)directories * 300;
    struct tree tree = {.parents = calloc(most, sizeof(*tree.parents)),
                        .names = calloc(most, sizeof(*tree.names)),
                        .samples = calloc(most, sizeof(*tree.samples))};
    cr_assert(tree.parents && tree.names && tree.samples);
    for (unsigned d = 0; d < directories; d++) {
        char folder[16], name[64];
        (void)snprintf(folder, sizeof(folder), "d%02u", d % 100);
        tree_add(&tree, "", folder, ENTRY_DIRECTORY, 0);
        for (unsigned f = 0; f < 299; f++) {
            int at = snprintf(name, sizeof(name), "file-%03u", f);
            unsigned extra = d + f % 7;
            memset(name + at, 'x', extra);
            name[(unsigned)at + extra] = 0;
            tree_add(&tree, folder, name, ENTRY_FILE, d * 1000 + f + 1);
        }
    }
    return tree;
}

/* As the golden stream: without modes of their own, references named by directory. */
static void golden_encode(const struct sample *sample, struct buf *out)
{
    AUTO(buf) struct buf refs = {0};
    struct entry entry = {.type = sample->type,
                          .mode = sample->type == ENTRY_DIRECTORY ? 0755 : 0644,
                          .size = sample->size,
                          .depth = (uint16_t)(path_depth(span_str(sample->parent)) + 1),
                          .name = span_str(sample->name)};
    if (sample->type == ENTRY_FILE) {
        struct ref ref = {.length = sample->size, .kind = REF_DATA};
        memset(ref.content.bytes, (int)strtol(sample->parent + 1, NULL, 10) + 1, HASH_LEN);
        ref_encode(&ref, &refs);
        entry.ref_count = 1;
        entry.refs = buf_span(&refs);
    }
    struct err err;
    cr_assert(entry_encode(&entry, out, &err), "%s", err.text);
}

Test(manifest, twelve_thousand_entries_make_the_golden_nodes)
{
    AUTO(store) struct store store = {0};
    AUTO(manifest_writer) struct manifest_writer *writer = manifest_writer_new(store_put, &store);
    AUTO(tree) struct tree tree = tree_make(40);
    struct err err;
    for (size_t i = 0; i < tree.count; i++) {
        AUTO(buf) struct buf encoded = {0};
        golden_encode(&tree.samples[i], &encoded);
        cr_assert(manifest_add(writer, span_str(tree.samples[i].parent), buf_span(&encoded), &err), "%s",
                  err.text);
    }
    struct hash root = manifest_close(writer);
    AUTO(buf) struct buf expected = {0};
    golden("stream", &expected);
    cr_assert_eq(store.puts - 1, le64_get(expected.data));
    cr_assert_arr_eq(root.bytes, expected.data + 8, HASH_LEN);
}

Test(manifest, three_thousand_leaves_make_the_golden_tree_nodes)
{
    AUTO(store) struct store store = {.forget = true};
    AUTO(manifest_writer) struct manifest_writer *writer = manifest_writer_new(store_put, &store);
    AUTO(buf) struct buf target = {0}, encoded = {0}, expected = {0};
    struct err err;
    memset(buf_grow(&target, 65500), 't', 65500);
    for (unsigned i = 0; i < 3000; i++) {
        char name[8];
        (void)snprintf(name, sizeof(name), "%04u", i);
        const struct entry entry = {.type = ENTRY_SYMLINK,
                                    .depth = 1,
                                    .name = span_str(name),
                                    .target = span_of(target.data, 65000 + i % 500)};
        buf_clear(&encoded);
        cr_assert(entry_encode(&entry, &encoded, &err), "%s", err.text);
        cr_assert(manifest_add(writer, span_str(""), buf_span(&encoded), &err), "%s", err.text);
    }
    struct hash root = manifest_close(writer);
    golden("wide", &expected);
    cr_assert_eq(store.puts - 1, le64_get(expected.data));
    cr_assert_arr_eq(root.bytes, expected.data + 8, HASH_LEN);
}

static struct hash write_tree(struct store *store, const struct tree *tree)
{
    AUTO(manifest_writer) struct manifest_writer *writer = manifest_writer_new(store_put, store);
    for (size_t i = 0; i < tree->count; i++)
        if (tree->samples[i].name) sample_add(writer, &tree->samples[i]);
    return manifest_close(writer);
}

Test(manifest, comes_back_entry_by_entry)
{
    AUTO(store) struct store store = {0};
    AUTO(tree) struct tree tree = tree_make(40);
    struct hash root = write_tree(&store, &tree);
    AUTO(manifest_reader) struct manifest_reader *reader = store_reader(&store, &root);
    cr_assert_eq(manifest_reader_root(reader)->entries, tree.count);
    uint64_t size = 0;
    for (size_t i = 0; i < tree.count; i++) {
        expect_next(reader, &tree.samples[i]);
        size += tree.samples[i].size;
    }
    cr_assert_eq(manifest_reader_root(reader)->content_bytes, size);
    expect_end(reader);
    expect_end(reader);
    cr_assert_eq(store.loads, store.puts, "each node is loaded once");
}

Test(manifest, equal_streams_have_equal_nodes)
{
    AUTO(store) struct store store = {0};
    AUTO(tree) struct tree tree = tree_make(40);
    struct hash first = write_tree(&store, &tree);
    size_t nodes = store.count;
    struct hash second = write_tree(&store, &tree);
    cr_assert(hash_eq(&first, &second));
    cr_assert_eq(store.count, nodes);
}

Test(manifest, a_changed_entry_changes_one_leaf_and_what_is_above)
{
    AUTO(store) struct store store = {0};
    AUTO(tree) struct tree tree = tree_make(40);
    (void)write_tree(&store, &tree);
    for (size_t i = 0; i < tree.count; i += 397) {
        size_t before = store.count;
        tree.samples[i].mtime_ns = 1;
        (void)write_tree(&store, &tree);
        cr_assert_eq(store.count - before, 3, "entry %zu: leaf, tree node and root", i);
        tree.samples[i].mtime_ns = 0;
    }
}

Test(manifest, entries_that_come_and_go_change_few_leaves)
{
    AUTO(store) struct store store = {0};
    AUTO(tree) struct tree tree = tree_make(40);
    (void)write_tree(&store, &tree);
    size_t leaves = store.count - 2, changed = 0, trials = 0;
    for (size_t i = 1; i < tree.count; i += 397) {
        const char *name = tree.samples[i].name;
        if (tree.samples[i].type == ENTRY_DIRECTORY) continue;
        size_t before = store.count;
        tree.samples[i].name = NULL;
        (void)write_tree(&store, &tree);
        tree.samples[i].name = name;
        changed += store.count - before - 2;
        trials++;
    }
    cr_assert_gt(leaves, 20);
    cr_assert_lt(changed, trials * 2, "%zu leaves for %zu changes", changed, trials);
}

Test(manifest, an_empty_backup_has_one_empty_leaf)
{
    AUTO(store) struct store store = {0};
    AUTO(manifest_writer) struct manifest_writer *writer = manifest_writer_new(store_put, &store);
    struct hash root = manifest_close(writer);
    cr_assert_eq(store.puts, 2);
    AUTO(manifest_reader) struct manifest_reader *reader = store_reader(&store, &root);
    cr_assert_eq(manifest_reader_root(reader)->entries, 0);
    expect_end(reader);
    struct err err;
    cr_assert(manifest_seek(reader, span_str("a"), &err), "%s", err.text);
    expect_end(reader);
}

Test(manifest, seek_finds_each_path_in_any_order)
{
    AUTO(store) struct store store = {0};
    AUTO(tree) struct tree tree = tree_make(40);
    struct hash root = write_tree(&store, &tree);
    AUTO(manifest_reader) struct manifest_reader *reader = store_reader(&store, &root);
    for (size_t step = 0; step < tree.count; step += 7) {
        size_t i = step * 5003 % tree.count;
        AUTO(buf) struct buf path = {0};
        struct err err;
        sample_path(&tree.samples[i], &path);
        store.loads = 0;
        cr_assert(manifest_seek(reader, buf_span(&path), &err), "%s", err.text);
        expect_next(reader, &tree.samples[i]);
        cr_assert_leq(store.loads, 2, "one path of nodes");
        if (i + 1 < tree.count) expect_next(reader, &tree.samples[i + 1]);
    }
}

Test(manifest, seek_between_entries_finds_the_next)
{
    AUTO(store) struct store store = {0};
    AUTO(tree) struct tree tree = tree_make(40);
    struct hash root = write_tree(&store, &tree);
    AUTO(manifest_reader) struct manifest_reader *reader = store_reader(&store, &root);
    for (size_t i = 0; i + 1 < tree.count; i += 13) {
        AUTO(buf) struct buf path = {0};
        struct err err;
        sample_path(&tree.samples[i], &path);
        /* right behind the entry, and before what a directory holds */
        buf_put_str(&path, tree.samples[i].type == ENTRY_DIRECTORY ? "/\x01" : "\x01");
        cr_assert(manifest_seek(reader, buf_span(&path), &err), "%s", err.text);
        expect_next(reader, &tree.samples[i + 1]);
    }
}

Test(manifest, seek_beyond_the_ends)
{
    AUTO(store) struct store store = {0};
    AUTO(tree) struct tree tree = tree_make(40);
    struct hash root = write_tree(&store, &tree);
    AUTO(manifest_reader) struct manifest_reader *reader = store_reader(&store, &root);
    struct err err;
    cr_assert(manifest_seek(reader, span_str("\x01"), &err), "%s", err.text);
    expect_next(reader, &tree.samples[0]);
    cr_assert(manifest_seek(reader, span_str("zzz"), &err), "%s", err.text);
    expect_end(reader);
    cr_assert(manifest_seek(reader, span_str(""), &err), "%s", err.text);
    expect_next(reader, &tree.samples[0]);
    cr_assert(manifest_seek(reader, span_str("d39/file-298"), &err), "%s", err.text);
    expect_next(reader, &tree.samples[tree.count - 1]);
    expect_end(reader);
}

Test(manifest, what_is_out_of_order_is_not_written)
{
    static const struct {
        struct sample first, second;
        const char *text;
    } cases[] = {
        {{.parent = "", .name = "b", .type = ENTRY_FILE},
         {.parent = "", .name = "a", .type = ENTRY_FILE},
         "cannot add 'a' to the manifest: it is out of order"},
        {{.parent = "", .name = "b", .type = ENTRY_FILE},
         {.parent = "", .name = "b", .type = ENTRY_FILE},
         "cannot add 'b' to the manifest: it is out of order"},
        {{.parent = "", .name = "b", .type = ENTRY_FILE},
         {.parent = "b", .name = "a", .type = ENTRY_FILE},
         "cannot add 'b/a' to the manifest: its directory did not come before it"},
        {{.parent = "", .name = "b", .type = ENTRY_DIRECTORY},
         {.parent = "c", .name = "a", .type = ENTRY_FILE},
         "cannot add 'c/a' to the manifest: its directory did not come before it"},
        {{.parent = "", .name = "b", .type = ENTRY_SYMLINK},
         {.parent = "b", .name = "a", .type = ENTRY_FILE},
         "cannot add 'b/a' to the manifest: its directory did not come before it"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        AUTO(store) struct store store = {0};
        AUTO(manifest_writer) struct manifest_writer *writer = manifest_writer_new(store_put, &store);
        AUTO(buf) struct buf encoded = {0};
        struct err err;
        sample_add(writer, &cases[i].first);
        sample_encode(&cases[i].second, &encoded);
        cr_assert(!manifest_add(writer, span_str(cases[i].second.parent), buf_span(&encoded), &err));
        cr_assert_eq(err.code, ERR_FAILED);
        cr_assert_str_eq(err.text, cases[i].text);
    }
}

Test(manifest, an_entry_with_another_depth_than_its_parents_is_not_written)
{
    AUTO(store) struct store store = {0};
    AUTO(manifest_writer) struct manifest_writer *writer = manifest_writer_new(store_put, &store);
    AUTO(buf) struct buf encoded = {0};
    struct err err;
    sample_encode(&(struct sample){.parent = "a", .name = "b", .type = ENTRY_FILE}, &encoded);
    cr_assert(!manifest_add(writer, span_str(""), buf_span(&encoded), &err));
    buf_put_u8(&encoded, 0);
    cr_assert(!manifest_add(writer, span_str("a"), buf_span(&encoded), &err));
    cr_assert(!manifest_add(writer, span_str("a"), span_of(encoded.data, 20), &err));
    cr_assert_eq(err.code, ERR_TRUNCATED);
}

Test(manifest, a_hard_link_points_back)
{
    static const struct {
        const char *target;
        bool fine;
    } cases[] = {{"a", true}, {"b", false}, {"c", false}};
    for (size_t i = 0; i < 3; i++) {
        AUTO(store) struct store store = {0};
        AUTO(manifest_writer) struct manifest_writer *writer = manifest_writer_new(store_put, &store);
        AUTO(buf) struct buf encoded = {0};
        const struct entry link = {
            .type = ENTRY_HARD_LINK, .depth = 1, .name = span_str("b"), .target = span_str(cases[i].target)};
        struct err err;
        sample_add(writer, &(struct sample){.parent = "", .name = "a", .type = ENTRY_FILE});
        cr_assert(entry_encode(&link, &encoded, &err), "%s", err.text);
        cr_assert_eq(manifest_add(writer, span_str(""), buf_span(&encoded), &err), cases[i].fine);
    }
}

Test(manifest, each_failing_node_is_reported)
{
    AUTO(store) struct store store = {0};
    AUTO(tree) struct tree tree = tree_make(10);
    struct hash root = write_tree(&store, &tree);
    size_t nodes = store.puts;
    struct err err;
    for (size_t at = 1; at <= nodes; at++) {
        store.puts = store.loads = 0;
        store.fail_at = at;
        AUTO(manifest_writer) struct manifest_writer *writer = manifest_writer_new(store_put, &store);
        struct manifest_root made = {.kind = OBJECT_TREE};
        struct hash content;
        bool ok = true;
        for (size_t i = 0; i < tree.count && ok; i++) {
            AUTO(buf) struct buf encoded = {0};
            sample_encode(&tree.samples[i], &encoded);
            ok = manifest_add(writer, span_str(tree.samples[i].parent), buf_span(&encoded), &err);
        }
        cr_assert(!ok || !manifest_finish(writer, &made, &content, &err), "%zu", at);
        cr_assert_eq(err.code, ERR_NO_SPACE);
    }
    for (size_t at = 2; at <= nodes; at++) {
        store.puts = store.loads = 0;
        store.fail_at = at;
        AUTO(manifest_reader) struct manifest_reader *reader = store_reader(&store, &root);
        struct span path;
        struct entry entry;
        bool found = true;
        while (manifest_next(reader, &path, &entry, &found, &err))
            cr_assert(found, "the end was reached with a node missing");
        cr_assert_eq(err.code, ERR_UNREACHABLE);
        err_clear(&err);
        cr_assert(!manifest_next(reader, &path, &entry, &found, &err), "it does not go on behind a gap");
        cr_assert_eq(err.code, ERR_UNREACHABLE);
        cr_assert(manifest_seek(reader, span_str("d09"), &err), "%s", err.text);
        cr_assert(manifest_next(reader, &path, &entry, &found, &err), "%s", err.text);
        cr_assert(span_eq(path, span_str("d09")));
    }
}
