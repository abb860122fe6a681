/* Reading a manifest, from its start or from a path on. */
#include "transporter/core/manifest.h"

#include "common/base/alloc.h"

struct inner_node {
    struct buf bytes;
    struct tree_cursor cursor; /* behind the child that is open below */
};

struct manifest_reader {
    manifest_load_fn *load;
    void *arg;
    struct buf root_node;
    struct manifest_root root;

    struct buf incoming; /* a node whose kind is not known yet */
    unsigned height;     /* inner nodes open, from the top */
    struct inner_node inner[NODE_LEVEL_MAX];

    bool leaf_open;
    struct buf leaf;
    struct leaf_cursor cursor;
    uint64_t content_left;  /* of the leaf's claim */
    struct span first_path; /* its claim too, until the first entry was read; borrowed from the parent */
    bool follows;           /* the next leaf comes right after what the cursor's trail stands at */

    bool top_read;
    bool has_pending; /* manifest_seek read one entry too many */
    struct entry pending;
    struct err failure; /* what the last call failed with: only a seek leads on */
};

static bool damaged(struct err *err, const char *what)
{
    return err_set(err, ERR_DAMAGED, "damaged manifest: %s", what);
}

/* To before the first entry. */
static void rewind_to_start(struct manifest_reader *reader)
{
    reader->height = 0;
    reader->leaf_open = false;
    reader->top_read = false;
    reader->has_pending = false;
    reader->follows = trail_begin(&reader->cursor.trail, span_of(NULL, 0));
    err_clear(&reader->failure);
}

bool manifest_reader_new(manifest_load_fn *load, void *arg, const struct hash *root,
                         struct manifest_reader **out, struct err *err)
{
    AUTO(manifest_reader) struct manifest_reader *reader = xcalloc(1, sizeof(*reader));
    reader->load = load;
    reader->arg = arg;
    if (!load(arg, root, &reader->root_node, err)) return false;
    if (!node_root_decode(buf_span(&reader->root_node), &reader->root, err)) return false;
    rewind_to_start(reader);
    *out = reader;
    reader = NULL;
    return true;
}

void manifest_reader_free(struct manifest_reader *reader)
{
    if (!reader) return;
    for (unsigned i = 0; i < NODE_LEVEL_MAX; i++)
        buf_deinit(&reader->inner[i].bytes);
    leaf_cursor_deinit(&reader->cursor);
    buf_deinit(&reader->leaf);
    buf_deinit(&reader->incoming);
    buf_deinit(&reader->root_node);
    free(reader);
}

const struct manifest_root *manifest_reader_root(const struct manifest_reader *reader)
{
    return &reader->root;
}

static struct buf swap_in(struct buf *slot, struct buf fresh)
{
    struct buf old = *slot;
    *slot = fresh;
    return old;
}

/* Whether the children of a tree node add up to what its parent claims of it. */
static bool tree_check(struct span node, const struct tree_child *claim, struct err *err)
{
    struct tree_cursor cursor;
    if (!tree_cursor_init(&cursor, node, err)) return false;
    uint64_t entries = 0, content_bytes = 0;
    for (bool first = true;; first = false) {
        struct tree_child child;
        bool found;
        if (!tree_next(&cursor, &child, &found, err)) return false;
        if (!found) break;
        if (first && claim->first_path.len && !span_eq(child.first_path, claim->first_path))
            return damaged(err, "a tree node starts at another path than its parent says");
        if (!add_u64(entries, child.entries, &entries) ||
            !add_u64(content_bytes, child.content_bytes, &content_bytes))
            return damaged(err, "the counts of a tree node overflow");
    }
    if (entries != claim->entries || content_bytes != claim->content_bytes)
        return damaged(err, "the counts of a tree node are not what its parent says");
    return true;
}

static bool tree_open(struct manifest_reader *reader, const struct tree_child *claim, struct err *err)
{
    if (reader->height == NODE_LEVEL_MAX) return damaged(err, "nodes nested too deep");
    if (!tree_check(buf_span(&reader->incoming), claim, err)) return false;
    struct inner_node *inner = &reader->inner[reader->height];
    reader->incoming = swap_in(&inner->bytes, reader->incoming);
    reader->height++;
    return tree_cursor_init(&inner->cursor, buf_span(&inner->bytes), err);
}

static bool leaf_open(struct manifest_reader *reader, const struct tree_child *claim, uint32_t count,
                      struct err *err)
{
    if (count != claim->entries) return damaged(err, "a leaf has not as many entries as its parent says");
    reader->incoming = swap_in(&reader->leaf, reader->incoming);
    struct span node = buf_span(&reader->leaf);
    if (!(reader->follows ? leaf_cursor_continue(&reader->cursor, node, err)
                          : leaf_cursor_init(&reader->cursor, node, err)))
        return false;
    reader->content_left = claim->content_bytes;
    reader->first_path = claim->first_path;
    reader->leaf_open = true;
    reader->follows = true;
    return true;
}

/* Loads the node of `claim`. A child's level is one below its parent's, so that no chain of nodes is
 * longer than the top's level. */
static bool node_open(struct manifest_reader *reader, const struct tree_child *claim, struct err *err)
{
    if (!reader->load(reader->arg, &claim->content, &reader->incoming, err)) return false;
    struct node_header header;
    struct reader body;
    if (!node_header_decode(buf_span(&reader->incoming), &header, &body, err)) return false;
    if (header.kind != NODE_LEAF && header.kind != NODE_TREE) return damaged(err, "a node of another kind");
    if (reader->height > 0 && header.level + 1 != reader->inner[reader->height - 1].cursor.level)
        return damaged(err, "a node stands on the wrong level");
    if (header.kind == NODE_TREE) return tree_open(reader, claim, err);
    return leaf_open(reader, claim, header.count, err);
}

static bool top_open(struct manifest_reader *reader, struct err *err)
{
    const struct tree_child claim = {.content = reader->root.top,
                                     .entries = reader->root.entries,
                                     .content_bytes = reader->root.content_bytes};
    reader->top_read = true;
    return node_open(reader, &claim, err);
}

/* The next entry of the open leaf, held against what its parent claims. */
static bool next_in_leaf(struct manifest_reader *reader, struct entry *out, bool *found, struct err *err)
{
    if (!leaf_next(&reader->cursor, out, found, err)) return false;
    if (!*found) {
        if (reader->content_left > 0) return damaged(err, "a leaf has less content than its parent says");
        reader->leaf_open = false;
        return true;
    }
    if (reader->first_path.len && !span_eq(reader->cursor.path, reader->first_path))
        return damaged(err, "a leaf starts at another path than its parent says");
    reader->first_path = span_of(NULL, 0);
    if (out->size > reader->content_left) return damaged(err, "a leaf has more content than its parent says");
    reader->content_left -= out->size;
    return true;
}

/* Opens the next leaf; none is open after the last. */
static bool next_leaf(struct manifest_reader *reader, struct err *err)
{
    if (!reader->top_read && !top_open(reader, err)) return false;
    while (!reader->leaf_open && reader->height > 0) {
        struct tree_child child;
        bool found = false;
        if (!tree_next(&reader->inner[reader->height - 1].cursor, &child, &found, err)) return false;
        if (!found)
            reader->height--;
        else if (!node_open(reader, &child, err))
            return false;
    }
    return true;
}

static bool next_entry(struct manifest_reader *reader, struct entry *out, bool *found, struct err *err)
{
    for (;;) {
        bool in_leaf = false;
        if (reader->leaf_open && !next_in_leaf(reader, out, &in_leaf, err)) return false;
        if (in_leaf) {
            *found = true;
            return true;
        }
        if (!next_leaf(reader, err)) return false;
        if (!reader->leaf_open) {
            *found = false;
            return true;
        }
    }
}

bool manifest_next(struct manifest_reader *reader, struct span *path, struct entry *out, bool *found,
                   struct err *err)
{
    struct entry entry;
    bool more = true;
    if (reader->failure.code != ERR_NONE) {
        *err = reader->failure;
        return false;
    }
    if (reader->has_pending) {
        entry = reader->pending;
        reader->has_pending = false;
    } else if (!next_entry(reader, &entry, &more, err)) {
        reader->failure = *err;
        return false;
    }
    *found = more;
    if (!more) return true;
    *path = reader->cursor.path;
    *out = entry;
    return true;
}

/* Opens the last child of the innermost tree node that starts at or before `path`, or its first. */
static bool choose_child(struct manifest_reader *reader, struct span path, struct err *err)
{
    struct inner_node *inner = &reader->inner[reader->height - 1];
    struct tree_child chosen;
    bool found;
    if (!tree_next(&inner->cursor, &chosen, &found, err)) return false;
    for (struct tree_cursor ahead = inner->cursor;; inner->cursor = ahead) {
        struct tree_child child;
        if (!tree_next(&ahead, &child, &found, err)) return false;
        if (!found || path_cmp(child.first_path, path) > 0) break;
        chosen = child;
    }
    return node_open(reader, &chosen, err);
}

static bool seek(struct manifest_reader *reader, struct span path, struct err *err)
{
    reader->follows = false;
    if (!top_open(reader, err)) return false;
    while (!reader->leaf_open)
        if (!choose_child(reader, path, err)) return false;
    while (reader->leaf_open) {
        bool found = false;
        if (!next_in_leaf(reader, &reader->pending, &found, err)) return false;
        reader->has_pending = found && path_cmp(reader->cursor.path, path) >= 0;
        if (reader->has_pending) break;
    }
    return true;
}

bool manifest_seek(struct manifest_reader *reader, struct span path, struct err *err)
{
    rewind_to_start(reader);
    if (path.len == 0) return true;
    if (seek(reader, path, err)) return true;
    reader->failure = *err;
    return false;
}
