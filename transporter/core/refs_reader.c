/* Reading the references of a content, through all refs nodes. */
#include "transporter/core/refs.h"

#include "common/base/alloc.h"

static bool damaged(struct err *err, const char *what)
{
    return err_set(err, ERR_DAMAGED, "damaged refs node: %s", what);
}

bool refs_cursor_init(struct refs_cursor *cursor, struct span node, struct err *err)
{
    struct node_header header;
    struct reader body;
    if (!node_header_decode(node, &header, &body, err)) return false;
    if (header.kind != NODE_REFS) return damaged(err, "it is another kind of node");
    if (header.count == 0 || header.count > REFS_NODE_MAX)
        return damaged(err, "its number of references is out of range");
    *cursor = (struct refs_cursor){.reader = body, .left = header.count, .level = header.level};
    return true;
}

bool refs_cursor_next(struct refs_cursor *cursor, struct ref *out, bool *found, struct err *err)
{
    if (cursor->left == 0) {
        if (reader_left(&cursor->reader) > 0) return damaged(err, "bytes after its last reference");
        *found = false;
        return true;
    }
    struct ref ref;
    if (!ref_decode(&cursor->reader, &ref, err)) return false;
    if ((ref.kind == REF_NODE) != (cursor->level > 0)) return damaged(err, "a reference of another level");
    cursor->left--;
    *out = ref;
    *found = true;
    return true;
}

/* A node being read, and what its references must still add up to. */
struct open_node {
    struct buf node;
    struct refs_cursor cursor;
    uint64_t length_left;
};

struct refs_reader {
    manifest_load_fn *load;
    void *arg;
    struct buf inline_refs;
    struct reader reader; /* of inline_refs */
    unsigned height;      /* open nodes; the innermost is nodes[height - 1] */
    struct open_node nodes[NODE_LEVEL_MAX + 1];
};

struct refs_reader *refs_reader_new(manifest_load_fn *load, void *arg, struct span refs)
{
    struct refs_reader *reader = xcalloc(1, sizeof(*reader));
    reader->load = load;
    reader->arg = arg;
    buf_put_span(&reader->inline_refs, refs);
    reader->reader = reader_of(buf_span(&reader->inline_refs));
    return reader;
}

void refs_reader_free(struct refs_reader *reader)
{
    if (!reader) return;
    for (unsigned i = 0; i <= NODE_LEVEL_MAX; i++)
        buf_deinit(&reader->nodes[i].node);
    buf_deinit(&reader->inline_refs);
    free(reader);
}

/* Levels fall by one at each step, so that no descent is longer than the first node's level. */
static bool descend(struct refs_reader *reader, const struct ref *ref, struct err *err)
{
    if (reader->height > NODE_LEVEL_MAX) return damaged(err, "nodes nested too deep");
    struct open_node *inner = &reader->nodes[reader->height];
    struct refs_cursor cursor = {0};
    if (!reader->load(reader->arg, &ref->content, &inner->node, err)) return false;
    if (!refs_cursor_init(&cursor, buf_span(&inner->node), err)) return false;
    if (reader->height > 0 && cursor.level + 1 != reader->nodes[reader->height - 1].cursor.level)
        return damaged(err, "it stands on the wrong level");
    inner->cursor = cursor;
    inner->length_left = ref->length;
    reader->height++;
    return true;
}

/* The next reference of the innermost open node, closing nodes that are at their end. */
static bool next_item(struct refs_reader *reader, struct ref *out, bool *found, struct err *err)
{
    while (reader->height > 0) {
        struct open_node *open = &reader->nodes[reader->height - 1];
        if (!refs_cursor_next(&open->cursor, out, found, err)) return false;
        if (!*found) {
            if (open->length_left > 0) return damaged(err, "its references do not add up");
            reader->height--;
            continue;
        }
        if (out->length > open->length_left) return damaged(err, "its references do not add up");
        open->length_left -= out->length;
        return true;
    }
    *found = reader_left(&reader->reader) > 0;
    return *found ? ref_decode(&reader->reader, out, err) : true;
}

bool refs_next(struct refs_reader *reader, struct ref *out, bool *found, struct err *err)
{
    for (;;) {
        struct ref ref;
        bool more = false;
        if (!next_item(reader, &ref, &more, err)) return false;
        if (!more || ref.kind != REF_NODE) {
            if (more) *out = ref;
            *found = more;
            return true;
        }
        if (!descend(reader, &ref, err)) return false;
    }
}
