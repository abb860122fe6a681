/* Writing a manifest: entries in, nodes out. */
#include "transporter/core/manifest.h"

#include "common/base/alloc.h"

#define LEAF_MIN (64u * 1024)
#define LEAF_MAX (128u * 1024)
#define LEAF_CUT_BELOW 2048u /* of 65,536: one entry in 32 */
#define TREE_MIN 64u
#define TREE_BYTES_MAX (1024u * 1024)

/* An open node: what tree_child will say of it, and its bytes. */
struct open_node {
    struct buf bytes;
    uint32_t count;
    uint64_t entries, content_bytes;
    struct buf first_path;
    bool emitted; /* a node of this level went out before */
};

struct manifest_writer {
    manifest_node_fn *node;
    void *arg;
    struct trail trail;
    uint64_t entries, content_bytes;
    size_t leaf_entry_bytes;                     /* in the open leaf */
    struct open_node levels[NODE_LEVEL_MAX + 1]; /* 0: the leaf */
};

struct manifest_writer *manifest_writer_new(manifest_node_fn *node, void *arg)
{
    struct manifest_writer *writer = xcalloc(1, sizeof(*writer));
    writer->node = node;
    writer->arg = arg;
    writer->trail.in_directory = true;
    return writer;
}

void manifest_writer_free(struct manifest_writer *writer)
{
    if (!writer) return;
    for (unsigned i = 0; i <= NODE_LEVEL_MAX; i++) {
        buf_deinit(&writer->levels[i].bytes);
        buf_deinit(&writer->levels[i].first_path);
    }
    trail_deinit(&writer->trail);
    free(writer);
}

static void node_begin(struct open_node *open, struct span first_path)
{
    buf_clear(&open->bytes);
    (void)buf_grow(&open->bytes, NODE_HEADER_LEN);
    buf_clear(&open->first_path);
    buf_put_span(&open->first_path, first_path);
    open->count = 0;
    open->entries = 0;
    open->content_bytes = 0;
}

/* Cuts depend on paths alone, so that an entry or a node that changes moves none. */
static uint32_t cut_value(struct span path)
{
    struct hash hash = hash_of(path);
    return (uint32_t)hash.bytes[0] << 8 | hash.bytes[1];
}

static bool tree_add(struct manifest_writer *writer, unsigned at, const struct tree_child *child,
                     struct err *err);

static bool node_emit(struct manifest_writer *writer, unsigned at, struct err *err)
{
    struct open_node *open = &writer->levels[at];
    const struct node_header header = {.kind = at ? NODE_TREE : NODE_LEAF, .level = at, .count = open->count};
    node_header_encode(&header, open->bytes.data);
    struct tree_child child = {.entries = open->entries,
                               .content_bytes = open->content_bytes,
                               .first_path = buf_span(&open->first_path)};
    if (!writer->node(writer->arg, buf_span(&open->bytes), &child.content, err)) return false;
    open->emitted = true;
    open->count = 0;
    return tree_add(writer, at + 1, &child, err);
}

static bool tree_add(struct manifest_writer *writer, unsigned at, const struct tree_child *child,
                     struct err *err)
{
    if (at > NODE_LEVEL_MAX) return err_set(err, ERR_LIMIT, "a manifest of too many levels");
    struct open_node *open = &writer->levels[at];
    size_t len = TREE_CHILD_FIXED_LEN + child->first_path.len;
    if (open->count > 0 && open->bytes.len + len > TREE_BYTES_MAX && !node_emit(writer, at, err))
        return false;
    if (open->count == 0) node_begin(open, child->first_path);
    tree_child_encode(child, &open->bytes);
    open->count++;
    open->entries += child->entries;
    open->content_bytes += child->content_bytes;
    bool full = open->count >= TREE_CHILDREN_MAX;
    if (!full && open->count >= TREE_MIN) full = cut_value(child->first_path) < 256;
    return full ? node_emit(writer, at, err) : true;
}

static void leaf_begin(struct manifest_writer *writer)
{
    struct open_node *leaf = &writer->levels[0];
    struct span parent = trail_parent(&writer->trail);
    node_begin(leaf, buf_span(&writer->trail.path));
    buf_put_u16(&leaf->bytes, (uint16_t)parent.len);
    buf_put_span(&leaf->bytes, parent);
    writer->leaf_entry_bytes = 0;
}

/* Checks the entry and moves the trail to it. */
static bool place(struct manifest_writer *writer, struct span parent, struct span encoded,
                  struct entry *entry, struct err *err)
{
    struct reader reader = reader_of(encoded);
    if (!entry_decode(&reader, entry, err)) return false;
    if (reader_left(&reader) > 0) return err_set(err, ERR_FAILED, "bytes after a manifest entry");
    const char *fault = "its directory did not come before it";
    if (trail_inside(&writer->trail, parent) && path_depth(parent) + 1 == entry->depth)
        fault = trail_step(&writer->trail, entry->depth, entry->name, entry->type == ENTRY_DIRECTORY);
    if (!fault && entry->type == ENTRY_HARD_LINK &&
        path_cmp(entry->target, buf_span(&writer->trail.path)) >= 0)
        fault = "it is a hard link to a later entry";
    if (!fault) return true;
    return err_set(err, ERR_FAILED, "cannot add '%.*s%s%.*s' to the manifest: %s",
                   (int)(parent.len > 200 ? 200 : parent.len), (const char *)parent.data,
                   parent.len ? "/" : "", (int)(entry->name.len > 200 ? 200 : entry->name.len),
                   (const char *)entry->name.data, fault);
}

bool manifest_add(struct manifest_writer *writer, struct span parent, struct span encoded, struct err *err)
{
    struct entry entry;
    if (!place(writer, parent, encoded, &entry, err)) return false;
    if (!add_u64(writer->content_bytes, entry.size, &writer->content_bytes))
        return err_set(err, ERR_LIMIT, "the sizes of all files overflow");
    struct open_node *leaf = &writer->levels[0];
    if (leaf->count > 0 && writer->leaf_entry_bytes + encoded.len > LEAF_MAX && !node_emit(writer, 0, err))
        return false;
    if (leaf->count == 0) leaf_begin(writer);
    buf_put_span(&leaf->bytes, encoded);
    writer->leaf_entry_bytes += encoded.len;
    writer->entries++;
    leaf->count++;
    leaf->entries++;
    leaf->content_bytes += entry.size;
    if (writer->leaf_entry_bytes < LEAF_MIN) return true;
    return cut_value(buf_span(&writer->trail.path)) < LEAF_CUT_BELOW ? node_emit(writer, 0, err) : true;
}

/* Closes what is open, level by level, until one node is left that stands for everything. */
static bool close_levels(struct manifest_writer *writer, struct hash *top, struct err *err)
{
    if (writer->levels[0].count > 0 && !node_emit(writer, 0, err)) return false;
    for (unsigned at = 1; at <= NODE_LEVEL_MAX; at++) {
        struct open_node *open = &writer->levels[at];
        if (!open->emitted && open->count == 1) {
            struct reader item = reader_of(buf_span(&open->bytes));
            (void)reader_bytes(&item, NODE_HEADER_LEN);
            reader_copy(&item, top->bytes, HASH_LEN);
            return true;
        }
        if (open->count > 0 && !node_emit(writer, at, err)) return false;
    }
    return err_set(err, ERR_LIMIT, "a manifest of too many levels");
}

/* The one node that may be empty: the leaf of a backup of nothing. */
static bool emit_empty_leaf(struct manifest_writer *writer, struct hash *top, struct err *err)
{
    struct buf *bytes = &writer->levels[0].bytes;
    leaf_begin(writer);
    const struct node_header header = {.kind = NODE_LEAF};
    node_header_encode(&header, bytes->data);
    return writer->node(writer->arg, buf_span(bytes), top, err);
}

bool manifest_finish(struct manifest_writer *writer, struct manifest_root *root, struct hash *root_content,
                     struct err *err)
{
    struct manifest_root filled = *root;
    filled.entries = writer->entries;
    filled.content_bytes = writer->content_bytes;
    if (writer->entries == 0 ? !emit_empty_leaf(writer, &filled.top, err)
                             : !close_levels(writer, &filled.top, err))
        return false;
    AUTO(buf) struct buf node = {0};
    if (!node_root_encode(&filled, &node, err)) return false;
    if (!writer->node(writer->arg, buf_span(&node), root_content, err)) return false;
    *root = filled;
    return true;
}
