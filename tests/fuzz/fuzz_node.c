/* Manifest nodes. The first byte is 0: the rest is one node. Else the rest are nodes, each after its
 * length (3 bytes, little-endian), the first being the root; a content hash finds the node whose number
 * is its first byte, so nodes can claim anything of one another, circles too. */
#include "transporter/core/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NODES_MOST = 256, ENTRIES_MOST = 100000 };

struct nodes {
    struct span nodes[NODES_MOST];
    size_t count;
    size_t loads;
};

static void check(bool holds)
{
    if (!holds) abort();
}

static void check_err(const struct err *err)
{
    check(err->code == ERR_DAMAGED || err->code == ERR_TRUNCATED || err->code == ERR_VERSION ||
          err->code == ERR_NOT_FOUND);
}

/* What was decoded must encode to the bytes that it came from. */
static void check_same(const struct entry *entry, struct span bytes)
{
    AUTO(buf) struct buf again = {0};
    struct err err;
    check(entry_encode(entry, &again, &err));
    check(span_eq(buf_span(&again), bytes));
}

static void read_leaf(struct span node)
{
    AUTO(leaf_cursor) struct leaf_cursor cursor = {0};
    AUTO(buf) struct buf last = {0};
    struct err err = {0};
    if (!leaf_cursor_init(&cursor, node, &err)) return;
    for (;;) {
        struct entry entry;
        bool found;
        size_t from = cursor.reader.pos;
        if (!leaf_next(&cursor, &entry, &found, &err)) {
            check_err(&err);
            return;
        }
        if (!found) return;
        check_same(&entry, span_of(cursor.reader.data + from, cursor.reader.pos - from));
        check(path_valid(cursor.path) && path_depth(cursor.path) == entry.depth);
        check(path_cmp(cursor.path, buf_span(&last)) > 0);
        buf_clear(&last);
        buf_put_span(&last, cursor.path);
    }
}

static bool note_child(void *arg, enum frame_type type, const struct hash *content, struct err *err)
{
    check(type == FRAME_DATA || type == FRAME_NODE);
    return true;
}

static bool load(void *arg, const struct hash *content, struct buf *node, struct err *err)
{
    struct nodes *nodes = arg;
    size_t at = content->bytes[0];
    if (at >= nodes->count || ++nodes->loads > 10000) return err_set(err, ERR_NOT_FOUND, "no such node");
    buf_clear(node);
    buf_put_span(node, nodes->nodes[at]);
    return true;
}

static void read_refs(struct nodes *nodes, const struct entry *entry)
{
    AUTO(refs_reader) struct refs_reader *reader = refs_reader_new(load, nodes, entry->refs);
    struct err err = {0};
    uint64_t sum = 0;
    for (size_t i = 0; i < ENTRIES_MOST; i++) {
        struct ref ref;
        bool found;
        if (!refs_next(reader, &ref, &found, &err)) {
            check_err(&err);
            return;
        }
        if (!found) {
            check(sum == entry->size);
            return;
        }
        check(ref.kind != REF_NODE && ref.length <= entry->size - sum);
        sum += ref.length;
    }
}

/* Returns how many entries it read. */
static size_t read_from_here(struct nodes *nodes, struct manifest_reader *reader, struct buf *first)
{
    AUTO(buf) struct buf last = {0};
    struct err err = {0};
    for (size_t i = 0; i < ENTRIES_MOST; i++) {
        struct span path;
        struct entry entry;
        bool found;
        if (!manifest_next(reader, &path, &entry, &found, &err)) {
            check_err(&err);
            return i;
        }
        if (!found) return i;
        check(path_valid(path) && path_cmp(path, buf_span(&last)) > 0);
        buf_clear(&last);
        buf_put_span(&last, path);
        if (i == 0) buf_put_span(first, path);
        read_refs(nodes, &entry);
    }
    return ENTRIES_MOST;
}

static void read_manifest(struct nodes *nodes)
{
    AUTO(manifest_reader) struct manifest_reader *reader = NULL;
    const struct hash root = {0};
    struct err err = {0};
    if (!manifest_reader_new(load, nodes, &root, &reader, &err)) {
        check_err(&err);
        return;
    }
    AUTO(buf) struct buf first = {0}, again = {0};
    if (read_from_here(nodes, reader, &first) == 0) return;
    if (!manifest_seek(reader, buf_span(&first), &err)) return;
    (void)read_from_here(nodes, reader, &again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader reader = reader_of(span_of(data, size));
    if (reader_u8(&reader) == 0) {
        struct span node = reader_bytes(&reader, reader_left(&reader));
        enum node_kind kind;
        struct err err = {0};
        if (!node_children(node, &kind, note_child, NULL, &err)) check_err(&err);
        read_leaf(node);
        return 0;
    }
    struct nodes nodes = {0};
    while (nodes.count < NODES_MOST && reader_left(&reader) > 0) {
        size_t len = reader_u16(&reader);
        len |= (size_t)reader_u8(&reader) << 16;
        nodes.nodes[nodes.count++] = reader_bytes(&reader, len);
    }
    read_manifest(&nodes);
    return 0;
}
