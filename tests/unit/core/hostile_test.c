/* Manifests whose nodes are each well-formed and lie about one another. */
#include "store.h"

#include <criterion/criterion.h>
#include <string.h>

static void put_leaf(struct store *store, struct hash as, const char *parent, const struct sample *samples,
                     uint32_t count)
{
    AUTO(buf) struct buf node = {0};
    const struct node_header header = {.kind = NODE_LEAF, .count = count};
    node_header_encode(&header, buf_grow(&node, NODE_HEADER_LEN));
    buf_put_u16(&node, (uint16_t)strlen(parent));
    buf_put_str(&node, parent);
    for (uint32_t i = 0; i < count; i++)
        sample_encode(&samples[i], &node);
    store_put_as(store, &as, buf_span(&node));
}

static void put_tree(struct store *store, struct hash as, unsigned level, const struct tree_child *children,
                     uint32_t count)
{
    AUTO(buf) struct buf node = {0};
    const struct node_header header = {.kind = NODE_TREE, .level = level, .count = count};
    node_header_encode(&header, buf_grow(&node, NODE_HEADER_LEN));
    for (uint32_t i = 0; i < count; i++)
        tree_child_encode(&children[i], &node);
    store_put_as(store, &as, buf_span(&node));
}

static struct hash put_root(struct store *store, struct hash top, uint64_t entries, uint64_t content_bytes)
{
    AUTO(buf) struct buf node = {0};
    const struct manifest_root root = {
        .top = top, .entries = entries, .content_bytes = content_bytes, .kind = OBJECT_TREE};
    struct hash content = {{0xee}};
    struct err err;
    cr_assert(node_root_encode(&root, &node, &err), "%s", err.text);
    store_put_as(store, &content, buf_span(&node));
    return content;
}

static bool read_all(struct store *store, const struct hash *root, size_t *count, struct err *err)
{
    AUTO(manifest_reader) struct manifest_reader *reader = NULL;
    *count = 0;
    store->loads = 0;
    if (!manifest_reader_new(store_load, store, root, &reader, err)) return false;
    for (;;) {
        struct span path;
        struct entry entry;
        bool found;
        if (!manifest_next(reader, &path, &entry, &found, err)) return false;
        if (!found) return true;
        cr_assert(path_valid(path));
        cr_assert_lt(++*count, (size_t)100000, "no end");
    }
}

static void expect_damage(struct store *store, const struct hash *root, const char *text)
{
    size_t count;
    struct err err;
    cr_assert(!read_all(store, root, &count, &err), "%s", text);
    cr_assert_eq(err.code, ERR_DAMAGED, "%s", err.text);
    cr_assert_str_eq(err.text, text);
    cr_assert_lt(store->loads, (size_t)64, "the descent is bounded");
}

static const struct hash top = {{1}}, left = {{2}}, right = {{3}};
#define PATH(text) .first_path = {(const uint8_t *)(text), sizeof(text) - 1}

/* Two leaves under one tree node: "a/" with "f", and what follows. */
static void two_leaves(struct store *store, struct tree_child children[static 2])
{
    static const struct sample first[] = {{.parent = "", .name = "a", .type = ENTRY_DIRECTORY},
                                          {.parent = "a", .name = "f", .type = ENTRY_FILE, .size = 10}};
    static const struct sample second[] = {{.parent = "a", .name = "g", .type = ENTRY_FILE, .size = 5},
                                           {.parent = "", .name = "b", .type = ENTRY_DIRECTORY}};
    const struct tree_child honest[] = {
        {.content = left, .entries = 2, .content_bytes = 10, PATH("a")},
        {.content = right, .entries = 2, .content_bytes = 5, PATH("a/g")},
    };
    put_leaf(store, left, "", first, 2);
    put_leaf(store, right, "a", second, 2);
    memcpy(children, honest, sizeof(honest));
}

Test(hostile, the_honest_version_is_read)
{
    AUTO(store) struct store store = {0};
    struct tree_child children[2];
    size_t count;
    struct err err;
    two_leaves(&store, children);
    put_tree(&store, top, 1, children, 2);
    struct hash root = put_root(&store, top, 4, 15);
    cr_assert(read_all(&store, &root, &count, &err), "%s", err.text);
    cr_assert_eq(count, 4);
}

Test(hostile, claims_of_a_parent_are_checked)
{
    static const struct {
        uint64_t left_entries, left_bytes, right_entries, right_bytes, root_entries, root_bytes;
        const char *text;
    } cases[] = {
        {2, 10, 2, 5, 5, 15, "damaged manifest: the counts of a tree node are not what its parent says"},
        {2, 10, 2, 5, 4, 16, "damaged manifest: the counts of a tree node are not what its parent says"},
        {3, 10, 2, 5, 5, 15, "damaged manifest: a leaf has not as many entries as its parent says"},
        {2, 10, 1, 5, 3, 15, "damaged manifest: a leaf has not as many entries as its parent says"},
        {2, 9, 2, 5, 4, 14, "damaged manifest: a leaf has more content than its parent says"},
        {2, 11, 2, 5, 4, 16, "damaged manifest: a leaf has less content than its parent says"},
        {2, 10, 2, 6, 4, 16, "damaged manifest: a leaf has less content than its parent says"},
        {2, UINT64_MAX, 2, 5, 4, 4, "damaged manifest: the counts of a tree node overflow"},
        {UINT64_MAX, 10, 2, 5, 1, 15, "damaged manifest: the counts of a tree node overflow"},
        {0, 10, 4, 5, 4, 15, "damaged manifest tree: an empty child"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        AUTO(store) struct store store = {0};
        struct tree_child children[2];
        two_leaves(&store, children);
        children[0].entries = cases[i].left_entries;
        children[0].content_bytes = cases[i].left_bytes;
        children[1].entries = cases[i].right_entries;
        children[1].content_bytes = cases[i].right_bytes;
        put_tree(&store, top, 1, children, 2);
        struct hash root = put_root(&store, top, cases[i].root_entries, cases[i].root_bytes);
        expect_damage(&store, &root, cases[i].text);
    }
}

Test(hostile, first_paths_are_checked)
{
    AUTO(store) struct store store = {0};
    struct tree_child children[2];
    two_leaves(&store, children);
    children[1].first_path = span_str("a/h");
    put_tree(&store, top, 1, children, 2);
    struct hash root = put_root(&store, top, 4, 15);
    expect_damage(&store, &root, "damaged manifest: a leaf starts at another path than its parent says");
    children[1].first_path = span_str("a");
    put_tree(&store, top, 1, children, 2);
    expect_damage(&store, &root, "damaged manifest tree: children out of order");
    children[1].first_path = span_str("../a");
    put_tree(&store, top, 1, children, 2);
    expect_damage(&store, &root, "damaged manifest tree: an improper path");
}

Test(hostile, first_paths_of_inner_nodes_are_checked)
{
    AUTO(store) struct store store = {0};
    struct tree_child children[2];
    const struct hash inner = {{4}};
    const struct tree_child claim = {.content = inner, .entries = 4, .content_bytes = 15, PATH("b")};
    two_leaves(&store, children);
    put_tree(&store, inner, 1, children, 2);
    put_tree(&store, top, 2, &claim, 1);
    struct hash root = put_root(&store, top, 4, 15);
    expect_damage(&store, &root, "damaged manifest: a tree node starts at another path than its parent says");
}

Test(hostile, a_leaf_must_follow_the_one_before)
{
    static const struct {
        struct sample first[2];
        struct sample second;
        const char *parent, *path, *text;
    } cases[] = {
        /* below a symbolic link: what a restore must never follow */
        {{{.parent = "", .name = "a", .type = ENTRY_DIRECTORY},
          {.parent = "a", .name = "f", .type = ENTRY_SYMLINK}},
         {.parent = "a/f", .name = "x", .type = ENTRY_FILE},
         "a/f",
         "a/f/x",
         "damaged manifest leaf: it does not follow the leaf before it"},
        {{{.parent = "", .name = "a", .type = ENTRY_DIRECTORY},
          {.parent = "a", .name = "f", .type = ENTRY_FILE}},
         {.parent = "b", .name = "x", .type = ENTRY_FILE},
         "b",
         "b/x",
         "damaged manifest leaf: it does not follow the leaf before it"},
        {{{.parent = "", .name = "a", .type = ENTRY_DIRECTORY},
          {.parent = "a", .name = "f", .type = ENTRY_FILE}},
         {.parent = "", .name = "0", .type = ENTRY_FILE},
         "",
         "a/g",
         "damaged manifest leaf: it is out of order"},
        {{{.parent = "", .name = "a", .type = ENTRY_DIRECTORY},
          {.parent = "a", .name = "f", .type = ENTRY_FILE}},
         {.parent = "a", .name = "e", .type = ENTRY_FILE},
         "a",
         "a/g",
         "damaged manifest leaf: it is out of order"},
        {{{.parent = "", .name = "a", .type = ENTRY_DIRECTORY},
          {.parent = "a", .name = "f", .type = ENTRY_FILE}},
         {.parent = "a", .name = "g", .type = ENTRY_FILE},
         "",
         "a/g",
         "damaged manifest leaf: its first entry is not in its directory"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        AUTO(store) struct store store = {0};
        const struct tree_child children[] = {
            {.content = left, .entries = 2, PATH("a")},
            {.content = right, .entries = 1, .first_path = span_str(cases[i].path)},
        };
        put_leaf(&store, left, "", cases[i].first, 2);
        put_leaf(&store, right, cases[i].parent, &cases[i].second, 1);
        put_tree(&store, top, 1, children, 2);
        struct hash root = put_root(&store, top, 3, 0);
        expect_damage(&store, &root, cases[i].text);
    }
}

Test(hostile, a_hard_link_must_point_back)
{
    static const char *const targets[] = {"b", "c", "b/c"};
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        AUTO(store) struct store store = {0};
        AUTO(buf) struct buf node = {0};
        const struct node_header header = {.kind = NODE_LEAF, .count = 1};
        const struct entry link = {
            .type = ENTRY_HARD_LINK, .depth = 1, .name = span_str("b"), .target = span_str(targets[i])};
        struct err err;
        node_header_encode(&header, buf_grow(&node, NODE_HEADER_LEN));
        buf_put_u16(&node, 0);
        cr_assert(entry_encode(&link, &node, &err), "%s", err.text);
        store_put_as(&store, &top, buf_span(&node));
        struct hash root = put_root(&store, top, 1, 0);
        expect_damage(&store, &root, "damaged manifest leaf: a hard link to a later entry");
    }
}

Test(hostile, a_manifest_starts_at_the_root)
{
    AUTO(store) struct store store = {0};
    const struct sample sample = {.parent = "a", .name = "f", .type = ENTRY_FILE};
    put_leaf(&store, top, "a", &sample, 1);
    struct hash root = put_root(&store, top, 1, 0);
    expect_damage(&store, &root, "damaged manifest leaf: it does not follow the leaf before it");
}

Test(hostile, circles_and_jumps_of_levels_end)
{
    for (unsigned level = 1; level <= NODE_LEVEL_MAX; level++) {
        AUTO(store) struct store store = {0};
        const struct tree_child self = {.content = top, .entries = 1, PATH("a")};
        put_tree(&store, top, level, &self, 1);
        struct hash root = put_root(&store, top, 1, 0);
        expect_damage(&store, &root, "damaged manifest: a node stands on the wrong level");
        AUTO(manifest_reader) struct manifest_reader *reader = NULL;
        struct err err;
        cr_assert(manifest_reader_new(store_load, &store, &root, &reader, &err), "%s", err.text);
        cr_assert(!manifest_seek(reader, span_str("a"), &err));
        cr_assert_eq(err.code, ERR_DAMAGED);
    }
    AUTO(store) struct store store = {0};
    struct tree_child children[2];
    two_leaves(&store, children);
    put_tree(&store, top, 2, children, 2);
    struct hash root = put_root(&store, top, 4, 15);
    expect_damage(&store, &root, "damaged manifest: a node stands on the wrong level");
}

Test(hostile, the_deepest_chain_is_read_and_ends)
{
    AUTO(store) struct store store = {0};
    const struct sample sample = {.parent = "", .name = "a", .type = ENTRY_FILE};
    put_leaf(&store, (struct hash){{100}}, "", &sample, 1);
    for (unsigned level = 1; level <= NODE_LEVEL_MAX; level++) {
        const struct tree_child child = {.content = {{(uint8_t)(100 + level - 1)}}, .entries = 1, PATH("a")};
        put_tree(&store, (struct hash){{(uint8_t)(100 + level)}}, level, &child, 1);
    }
    struct hash root = put_root(&store, (struct hash){{100 + NODE_LEVEL_MAX}}, 1, 0);
    size_t count;
    struct err err;
    cr_assert(read_all(&store, &root, &count, &err), "%s", err.text);
    cr_assert_eq(count, 1);
}

Test(hostile, nodes_of_another_kind_are_refused)
{
    AUTO(store) struct store store = {0};
    struct hash root = put_root(&store, (struct hash){{0xee}}, 1, 0); /* the top is the root itself */
    expect_damage(&store, &root, "damaged manifest: a node of another kind");
    struct tree_child children[2];
    size_t count;
    struct err err;
    two_leaves(&store, children);
    cr_assert(!read_all(&store, &left, &count, &err));
    cr_assert_str_eq(err.text, "damaged manifest root: it is another kind of node");
}

Test(hostile, a_seek_into_damage_fails_and_the_next_may_succeed)
{
    AUTO(store) struct store store = {0};
    struct tree_child children[2];
    AUTO(manifest_reader) struct manifest_reader *reader = NULL;
    struct span path;
    struct entry entry;
    bool found;
    struct err err;
    two_leaves(&store, children);
    children[1].content_bytes = 6;
    put_tree(&store, top, 1, children, 2);
    struct hash root = put_root(&store, top, 4, 16);
    cr_assert(manifest_reader_new(store_load, &store, &root, &reader, &err), "%s", err.text);
    cr_assert(!manifest_seek(reader, span_str("z"), &err));
    cr_assert(!manifest_next(reader, &path, &entry, &found, &err));
    cr_assert(manifest_seek(reader, span_str("a/f"), &err), "%s", err.text);
    cr_assert(manifest_next(reader, &path, &entry, &found, &err) && found);
    cr_assert(span_eq(path, span_str("a/f")));
}
