#include "golden.h"
#include "store.h"

#include <criterion/criterion.h>
#include <string.h>

/* All paths of a leaf, one a line. */
static bool paths_of(struct span node, struct buf *out, struct err *err)
{
    AUTO(leaf_cursor) struct leaf_cursor cursor = {0};
    if (!leaf_cursor_init(&cursor, node, err)) return false;
    AUTO(buf) struct buf last = {0};
    for (;;) {
        struct entry entry;
        bool found;
        if (!leaf_next(&cursor, &entry, &found, err)) return false;
        if (!found) return true;
        cr_assert(path_valid(cursor.path));
        cr_assert(path_cmp(cursor.path, buf_span(&last)) > 0);
        cr_assert_eq(path_depth(cursor.path), entry.depth);
        buf_clear(&last);
        buf_put_span(&last, cursor.path);
        buf_put_span(out, cursor.path);
        buf_put_u8(out, '|');
    }
}

Test(leaf, golden_bytes_read_as_paths)
{
    AUTO(buf) struct buf node = {0}, paths = {0};
    struct err err;
    golden("leaf", &node);
    cr_assert(paths_of(buf_span(&node), &paths, &err), "%s", err.text);
    cr_assert_str_eq(buf_cstr(&paths), "srv/etc|srv/etc/pipe|srv/etc/sparse|srv/\xff\n name|tty|");
    golden("leaf2", &node);
    buf_clear(&paths);
    cr_assert(paths_of(buf_span(&node), &paths, &err), "%s", err.text);
    cr_assert_str_eq(buf_cstr(&paths), "var/disk|var/link|var/second|var/\xfe|");
}

Test(leaf, golden_entries_are_what_was_written)
{
    AUTO(buf) struct buf node = {0};
    AUTO(leaf_cursor) struct leaf_cursor cursor = {0};
    struct entry entry;
    bool found;
    struct err err;
    golden("leaf2", &node);
    cr_assert(leaf_cursor_init(&cursor, buf_span(&node), &err), "%s", err.text);
    cr_assert(leaf_next(&cursor, &entry, &found, &err) && found);
    cr_assert_eq(entry.type, ENTRY_BLOCK_DEVICE);
    cr_assert_eq(entry.device_major, 254);
    cr_assert_eq(entry.device_minor, 1);
    cr_assert_eq(entry.mode, 0660);
    cr_assert(leaf_next(&cursor, &entry, &found, &err) && found);
    cr_assert_eq(entry.type, ENTRY_SYMLINK);
    cr_assert_eq(entry.mtime_ns, INT64_MIN);
    cr_assert(span_eq(entry.target, span_str("../..")));
    cr_assert(leaf_next(&cursor, &entry, &found, &err) && found);
    cr_assert_eq(entry.type, ENTRY_HARD_LINK);
    cr_assert(span_eq(entry.target, span_str("srv/\xff\n name")));
    cr_assert(leaf_next(&cursor, &entry, &found, &err) && found);
    cr_assert_eq(entry.type, ENTRY_FILE);
    cr_assert_eq(entry.flags, ENTRY_REFS_IN_NODES);
    cr_assert_eq(entry.uid, 4294967295u);
    cr_assert_eq(entry.gid, 4294967294u);
    cr_assert_eq(entry.mtime_ns, INT64_MAX);
    cr_assert_eq(entry.size, 2ull << 40);
    cr_assert_eq(entry.ref_count, 2);
    cr_assert(leaf_next(&cursor, &entry, &found, &err) && !found);
}

/* Encodes again what a leaf holds. */
static void rebuild_leaf(struct span node, struct buf *out)
{
    AUTO(leaf_cursor) struct leaf_cursor cursor = {0};
    struct node_header header;
    struct reader body;
    struct err err;
    cr_assert(node_header_decode(node, &header, &body, &err), "%s", err.text);
    node_header_encode(&header, buf_grow(out, NODE_HEADER_LEN));
    uint16_t parent_len = reader_u16(&body);
    buf_put_u16(out, parent_len);
    buf_put_span(out, reader_bytes(&body, parent_len));
    cr_assert(leaf_cursor_init(&cursor, node, &err), "%s", err.text);
    for (bool found = true;;) {
        struct entry entry;
        cr_assert(leaf_next(&cursor, &entry, &found, &err), "%s", err.text);
        if (!found) break;
        cr_assert(entry_encode(&entry, out, &err), "%s", err.text);
    }
}

Test(leaf, encodes_to_the_golden_bytes)
{
    static const char *const names[] = {"leaf", "leaf2"};
    for (size_t i = 0; i < 2; i++) {
        AUTO(buf) struct buf node = {0}, again = {0};
        golden(names[i], &node);
        rebuild_leaf(buf_span(&node), &again);
        cr_assert(span_eq(buf_span(&node), buf_span(&again)), "%s", names[i]);
    }
}

Test(root, encodes_to_the_golden_bytes)
{
    AUTO(buf) struct buf node = {0}, again = {0}, tree = {0};
    struct manifest_root root;
    struct err err;
    golden("root", &node);
    golden("tree", &tree);
    cr_assert(node_root_decode(buf_span(&node), &root, &err), "%s", err.text);
    struct hash top = hash_of(buf_span(&tree));
    cr_assert(hash_eq(&root.top, &top));
    cr_assert_eq(root.entries, 9);
    cr_assert_eq(root.content_bytes, (2ull << 40) + 5000);
    cr_assert_eq(root.kind, OBJECT_TREE);
    cr_assert_eq(root.chunk_average, 1048576);
    cr_assert(span_eq(root.host, span_str("host")));
    cr_assert_eq(root.path_count, 3);
    cr_assert(node_root_encode(&root, &again, &err), "%s", err.text);
    cr_assert(span_eq(buf_span(&node), buf_span(&again)));
}

Test(tree, golden_bytes_read_as_children)
{
    AUTO(buf) struct buf node = {0}, leaf = {0}, again = {0};
    struct tree_cursor cursor;
    struct tree_child child;
    bool found;
    struct err err;
    golden("tree", &node);
    golden("leaf2", &leaf);
    const struct node_header header = {.kind = NODE_TREE, .level = 1, .count = 2};
    node_header_encode(&header, buf_grow(&again, NODE_HEADER_LEN));
    cr_assert(tree_cursor_init(&cursor, buf_span(&node), &err), "%s", err.text);
    cr_assert_eq(cursor.level, 1);
    cr_assert(tree_next(&cursor, &child, &found, &err) && found);
    cr_assert(span_eq(child.first_path, span_str("srv/etc")));
    cr_assert_eq(child.entries, 5);
    tree_child_encode(&child, &again);
    cr_assert(tree_next(&cursor, &child, &found, &err) && found);
    struct hash content = hash_of(buf_span(&leaf));
    cr_assert(hash_eq(&child.content, &content));
    cr_assert_eq(child.content_bytes, 2ull << 40);
    tree_child_encode(&child, &again);
    cr_assert(tree_next(&cursor, &child, &found, &err) && !found);
    cr_assert(span_eq(buf_span(&node), buf_span(&again)));
}

static bool count_child(void *arg, enum frame_type type, const struct hash *content, struct err *err)
{
    unsigned *counts = arg;
    counts[type]++;
    cr_assert(!hash_is_zero(content));
    return true;
}

Test(node, children_are_told_by_their_type)
{
    static const struct {
        const char *name;
        enum node_kind kind;
        unsigned data, nodes;
    } cases[] = {{"leaf", NODE_LEAF, 1, 0}, {"leaf2", NODE_LEAF, 0, 2}, {"tree", NODE_TREE, 0, 2},
                 {"refs", NODE_REFS, 2, 0}, {"refs1", NODE_REFS, 0, 1}, {"root", NODE_ROOT, 0, 1}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        AUTO(buf) struct buf node = {0};
        enum node_kind kind;
        unsigned counts[3] = {0};
        struct err err;
        golden(cases[i].name, &node);
        cr_assert(node_children(buf_span(&node), &kind, count_child, counts, &err), "%s", err.text);
        cr_assert_eq(kind, cases[i].kind);
        cr_assert_eq(counts[FRAME_DATA], cases[i].data, "%s", cases[i].name);
        cr_assert_eq(counts[FRAME_NODE], cases[i].nodes, "%s", cases[i].name);
    }
}

static bool stop_child(void *arg, enum frame_type type, const struct hash *content, struct err *err)
{
    return err_set(err, ERR_CANCELLED, "enough");
}

static const char *const all_nodes[] = {"leaf", "leaf2", "tree", "refs", "refs1", "root"};
#define NODES (sizeof(all_nodes) / sizeof(all_nodes[0]))

Test(node, a_child_callback_can_stop)
{
    for (size_t i = 0; i < NODES; i++) {
        AUTO(buf) struct buf node = {0};
        enum node_kind kind = 0;
        struct err err;
        golden(all_nodes[i], &node);
        cr_assert(!node_children(buf_span(&node), &kind, stop_child, NULL, &err));
        cr_assert_eq(err.code, ERR_CANCELLED);
        cr_assert_eq(kind, 0);
    }
}

Test(node, is_refused_when_cut_at_any_length)
{
    for (size_t i = 0; i < NODES; i++) {
        AUTO(buf) struct buf node = {0};
        golden(all_nodes[i], &node);
        for (size_t len = 0; len < node.len; len++) {
            AUTO(free) uint8_t *exact = malloc(len ? len : 1);
            memcpy(exact, node.data, len);
            enum node_kind kind;
            unsigned counts[3] = {0};
            struct err err;
            cr_assert(!node_children(span_of(exact, len), &kind, count_child, counts, &err), "%s at %zu",
                      all_nodes[i], len);
            cr_assert(err.code == ERR_TRUNCATED || err.code == ERR_DAMAGED, "%s at %zu: %s", all_nodes[i],
                      len, err.text);
        }
    }
}

Test(node, is_refused_with_bytes_behind_its_end)
{
    for (size_t i = 0; i < NODES; i++) {
        AUTO(buf) struct buf node = {0};
        enum node_kind kind;
        unsigned counts[3] = {0};
        struct err err;
        golden(all_nodes[i], &node);
        buf_put_u8(&node, 0);
        cr_assert(!node_children(buf_span(&node), &kind, count_child, counts, &err), "%s", all_nodes[i]);
        cr_assert_eq(err.code, ERR_DAMAGED);
    }
}

static bool any_child(void *arg, enum frame_type type, const struct hash *content, struct err *err)
{
    return true;
}

/* paths_of asserts what every path must hold. */
Test(node, any_byte_changed_never_yields_an_unsound_path)
{
    static const uint8_t values[] = {0, '/', '.', 1, 0xff, 0x80, 8};
    size_t refused = 0;
    for (size_t i = 0; i < NODES; i++) {
        AUTO(buf) struct buf node = {0};
        golden(all_nodes[i], &node);
        for (size_t at = 0; at < node.len; at++) {
            uint8_t was = node.data[at];
            for (unsigned v = 0; v < sizeof(values) + 8; v++) {
                AUTO(buf) struct buf paths = {0};
                enum node_kind kind;
                struct err err;
                node.data[at] = v < 8 ? was ^ (uint8_t)(1u << v) : values[v - 8];
                if (!node_children(buf_span(&node), &kind, any_child, NULL, &err)) refused++;
                if (!paths_of(buf_span(&node), &paths, &err)) refused++;
            }
            node.data[at] = was;
        }
    }
    cr_assert_gt(refused, 10000);
}

Test(node, header_rules_are_kept)
{
    static const struct {
        uint8_t bytes[NODE_HEADER_LEN];
        enum err_code code;
    } cases[] = {
        {{2, 1, 0, 0}, ERR_VERSION}, {{0, 1, 0, 0}, ERR_VERSION},  {{1, 0, 0, 0}, ERR_DAMAGED},
        {{1, 5, 0, 0}, ERR_DAMAGED}, {{1, 1, 1, 0}, ERR_DAMAGED},  {{1, 1, 0, 1}, ERR_DAMAGED},
        {{1, 2, 0, 0}, ERR_DAMAGED}, {{1, 2, 16, 0}, ERR_DAMAGED}, {{1, 3, 16, 0}, ERR_DAMAGED},
        {{1, 4, 1, 0}, ERR_DAMAGED},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct node_header header;
        struct reader body;
        struct err err;
        cr_assert(!node_header_decode(span_of(cases[i].bytes, NODE_HEADER_LEN), &header, &body, &err), "%zu",
                  i);
        cr_assert_eq(err.code, cases[i].code, "%zu", i);
    }
    AUTO(buf) struct buf huge = {0};
    golden("leaf", &huge);
    (void)buf_grow(&huge, NODE_MAX_LEN);
    struct node_header header;
    struct reader body;
    struct err err;
    cr_assert(!node_header_decode(buf_span(&huge), &header, &body, &err));
}

Test(node, counts_that_lie_are_refused)
{
    for (size_t i = 0; i < NODES; i++) {
        static const uint32_t lies[] = {0, 1, 3, 4, 6, 1024, 1025, 0x7fffffff, 0xffffffff};
        AUTO(buf) struct buf node = {0};
        golden(all_nodes[i], &node);
        uint32_t truth = le32_get(node.data + 4);
        for (size_t j = 0; j < sizeof(lies) / sizeof(lies[0]); j++) {
            if (lies[j] == truth) continue;
            enum node_kind kind;
            struct err err;
            le32_put(node.data + 4, lies[j]);
            cr_assert(!node_children(buf_span(&node), &kind, any_child, NULL, &err), "%s %u", all_nodes[i],
                      lies[j]);
        }
    }
}

Test(leaf, the_first_entry_must_be_in_the_leafs_directory)
{
    static const char *const parents[] = {"srv/etc", "", "/", "srv/", "..", "srv/.."};
    AUTO(buf) struct buf entry = {0};
    const struct sample sample = {.parent = "srv", .name = "x", .type = ENTRY_FILE};
    sample_encode(&sample, &entry);
    for (size_t i = 0; i < sizeof(parents) / sizeof(parents[0]); i++) {
        AUTO(buf) struct buf node = {0}, paths = {0};
        const struct node_header header = {.kind = NODE_LEAF, .count = 1};
        struct err err;
        node_header_encode(&header, buf_grow(&node, NODE_HEADER_LEN));
        buf_put_u16(&node, (uint16_t)strlen(parents[i]));
        buf_put_str(&node, parents[i]);
        buf_put_span(&node, buf_span(&entry));
        cr_assert(!paths_of(buf_span(&node), &paths, &err), "'%s'", parents[i]);
        cr_assert_eq(err.code, ERR_DAMAGED, "'%s': %s", parents[i], err.text);
    }
}
