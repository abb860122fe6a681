#include "transporter/core/node.h"

#include "transporter/core/leaf.h"
#include "transporter/core/path.h"
#include "transporter/core/refs.h"
#include "transporter/core/tree.h"

#include <string.h>

#define NODE_VERSION 1

static const char *const object_names[] = {
    [OBJECT_TREE] = "tree",
    [OBJECT_IMAGE] = "image",
    [OBJECT_STREAM] = "stream",
};

const char *object_kind_name(enum object_kind kind)
{
    return object_names[kind];
}

bool object_kind_parse(const char *name, enum object_kind *out, struct err *err)
{
    for (int kind = OBJECT_TREE; kind <= OBJECT_STREAM; kind++) {
        if (strcmp(name, object_names[kind]) != 0) continue;
        *out = (enum object_kind)kind;
        return true;
    }
    return err_set(err, ERR_VERSION, "unknown kind of object '%s'", name);
}

void node_header_encode(const struct node_header *header, uint8_t out[static NODE_HEADER_LEN])
{
    out[0] = NODE_VERSION;
    out[1] = (uint8_t)header->kind;
    out[2] = (uint8_t)header->level;
    out[3] = 0;
    le32_put(out + 4, header->count);
}

static bool level_fits(enum node_kind kind, unsigned level)
{
    switch (kind) {
    case NODE_LEAF:
    case NODE_ROOT:
        return level == 0;
    case NODE_TREE:
        return level >= 1 && level <= NODE_LEVEL_MAX;
    case NODE_REFS:
        return level <= NODE_LEVEL_MAX;
    }
    return false;
}

bool node_header_decode(struct span node, struct node_header *out, struct reader *body, struct err *err)
{
    struct reader reader = reader_of(node);
    uint8_t version = reader_u8(&reader);
    struct node_header header = {.kind = (enum node_kind)reader_u8(&reader)};
    header.level = reader_u8(&reader);
    uint8_t reserved = reader_u8(&reader);
    header.count = reader_u32(&reader);
    if (!reader_ok(&reader)) return err_set(err, ERR_TRUNCATED, "truncated manifest node");
    if (version != NODE_VERSION) return err_set(err, ERR_VERSION, "unknown manifest version %u", version);
    if (node.len > NODE_MAX_LEN || reserved || !level_fits(header.kind, header.level))
        return err_set(err, ERR_DAMAGED, "damaged manifest node: its header breaks a rule");
    *out = header;
    *body = reader;
    return true;
}

static bool damaged_root(struct err *err, const char *what)
{
    return err_set(err, ERR_DAMAGED, "damaged manifest root: %s", what);
}

bool node_root_encode(const struct manifest_root *root, struct buf *out, struct err *err)
{
    if (root->host.len > UINT16_MAX || root->path_count > UINT16_MAX || root->paths.len > NODE_MAX_LEN / 2)
        return err_set(err, ERR_LIMIT, "too many paths to back up");
    const struct node_header header = {.kind = NODE_ROOT, .count = 1};
    node_header_encode(&header, buf_grow(out, NODE_HEADER_LEN));
    buf_put(out, root->top.bytes, HASH_LEN);
    buf_put_u64(out, root->entries);
    buf_put_u64(out, root->content_bytes);
    buf_put_u32(out, (uint32_t)root->kind); /* and three reserved bytes */
    buf_put_u32(out, root->chunk_min);
    buf_put_u32(out, root->chunk_average);
    buf_put_u32(out, root->chunk_max);
    buf_put_u16(out, (uint16_t)root->host.len);
    buf_put_span(out, root->host);
    buf_put_u16(out, (uint16_t)root->path_count);
    buf_put_span(out, root->paths);
    return true;
}

/* Checks the list of chosen paths and gives its extent. */
static const char *read_paths(struct reader *reader, struct manifest_root *root)
{
    root->path_count = reader_u16(reader);
    size_t start = reader->pos;
    for (uint32_t i = 0; i < root->path_count; i++) {
        struct span path = reader_bytes(reader, reader_u16(reader));
        if (path.len > 0 && !path_valid(path)) return "an improper path";
    }
    if (!reader_ok(reader)) return NULL;
    root->paths = span_of(reader->data + start, reader->pos - start);
    return NULL;
}

static const char *root_fault(const struct manifest_root *root)
{
    if (root->kind < OBJECT_TREE || root->kind > OBJECT_STREAM) return "an unknown kind of object";
    if (root->chunk_min > root->chunk_average || root->chunk_average > root->chunk_max)
        return "chunk sizes out of order";
    if (root->host.len > 0 && memchr(root->host.data, 0, root->host.len)) return "an improper host name";
    return NULL;
}

bool node_root_decode(struct span node, struct manifest_root *out, struct err *err)
{
    struct node_header header = {0};
    struct reader reader = {0};
    if (!node_header_decode(node, &header, &reader, err)) return false;
    if (header.kind != NODE_ROOT || header.count != 1) return damaged_root(err, "it is another kind of node");
    struct manifest_root root = {0};
    reader_copy(&reader, root.top.bytes, HASH_LEN);
    root.entries = reader_u64(&reader);
    root.content_bytes = reader_u64(&reader);
    root.kind = (enum object_kind)reader_u32(&reader);
    root.chunk_min = reader_u32(&reader);
    root.chunk_average = reader_u32(&reader);
    root.chunk_max = reader_u32(&reader);
    root.host = reader_bytes(&reader, reader_u16(&reader));
    const char *fault = read_paths(&reader, &root);
    if (!reader_ok(&reader)) return err_set(err, ERR_TRUNCATED, "truncated manifest root");
    if (!fault) fault = root_fault(&root);
    if (!fault && reader_left(&reader) > 0) fault = "bytes after its end";
    if (fault) return damaged_root(err, fault);
    *out = root;
    return true;
}

static bool entry_children(const struct entry *entry, node_child_fn *child, void *arg, struct err *err)
{
    struct reader refs = reader_of(entry->refs);
    for (uint32_t i = 0; i < entry->ref_count; i++) {
        struct ref ref;
        if (!ref_decode(&refs, &ref, err)) return false;
        if (ref.kind == REF_HOLE) continue;
        if (!child(arg, ref.kind == REF_NODE ? FRAME_NODE : FRAME_DATA, &ref.content, err)) return false;
    }
    return true;
}

static bool leaf_children(struct span node, node_child_fn *child, void *arg, struct err *err)
{
    AUTO(leaf_cursor) struct leaf_cursor cursor = {0};
    if (!leaf_cursor_init(&cursor, node, err)) return false;
    for (;;) {
        struct entry entry;
        bool found;
        if (!leaf_next(&cursor, &entry, &found, err)) return false;
        if (!found) return true;
        if (!entry_children(&entry, child, arg, err)) return false;
    }
}

static bool tree_children(struct span node, node_child_fn *child, void *arg, struct err *err)
{
    struct tree_cursor cursor;
    if (!tree_cursor_init(&cursor, node, err)) return false;
    for (;;) {
        struct tree_child item;
        bool found;
        if (!tree_next(&cursor, &item, &found, err)) return false;
        if (!found) return true;
        if (!child(arg, FRAME_NODE, &item.content, err)) return false;
    }
}

static bool refs_children(struct span node, node_child_fn *child, void *arg, struct err *err)
{
    struct refs_cursor cursor;
    if (!refs_cursor_init(&cursor, node, err)) return false;
    for (;;) {
        struct ref ref;
        bool found;
        if (!refs_cursor_next(&cursor, &ref, &found, err)) return false;
        if (!found) return true;
        if (ref.kind == REF_HOLE) continue;
        if (!child(arg, ref.kind == REF_NODE ? FRAME_NODE : FRAME_DATA, &ref.content, err)) return false;
    }
}

static bool root_children(struct span node, node_child_fn *child, void *arg, struct err *err)
{
    struct manifest_root root;
    return node_root_decode(node, &root, err) && child(arg, FRAME_NODE, &root.top, err);
}

bool node_children(struct span node, enum node_kind *kind, node_child_fn *child, void *arg, struct err *err)
{
    struct node_header header;
    struct reader body;
    if (!node_header_decode(node, &header, &body, err)) return false;
    bool ok = false;
    switch (header.kind) {
    case NODE_LEAF:
        ok = leaf_children(node, child, arg, err);
        break;
    case NODE_TREE:
        ok = tree_children(node, child, arg, err);
        break;
    case NODE_REFS:
        ok = refs_children(node, child, arg, err);
        break;
    case NODE_ROOT:
        ok = root_children(node, child, arg, err);
        break;
    }
    if (ok) *kind = header.kind;
    return ok;
}
