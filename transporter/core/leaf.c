#include "transporter/core/leaf.h"

#include "transporter/core/node.h"

static bool damaged(struct err *err, const char *what)
{
    return err_set(err, ERR_DAMAGED, "damaged manifest leaf: %s", what);
}

static bool read_head(struct span node, struct reader *body, uint32_t *count, struct span *parent,
                      struct err *err)
{
    struct node_header header;
    if (!node_header_decode(node, &header, body, err)) return false;
    if (header.kind != NODE_LEAF) return damaged(err, "it is another kind of node");
    *parent = reader_bytes(body, reader_u16(body));
    if (!reader_ok(body)) return err_set(err, ERR_TRUNCATED, "truncated manifest leaf");
    if (header.count > reader_left(body) / ENTRY_FIXED_LEN)
        return err_set(err, ERR_TRUNCATED,
                       "truncated manifest leaf: it claims more entries than it can hold");
    *count = header.count;
    return true;
}

static void take(struct leaf_cursor *cursor, struct reader body, uint32_t count, struct span parent)
{
    cursor->path = span_of(NULL, 0);
    cursor->reader = body;
    cursor->left = count;
    cursor->first_depth = path_depth(parent) + 1;
}

bool leaf_cursor_init(struct leaf_cursor *cursor, struct span node, struct err *err)
{
    struct reader body = {0};
    uint32_t count = 0;
    struct span parent = {0};
    if (!read_head(node, &body, &count, &parent, err)) return false;
    if (!trail_begin(&cursor->trail, parent)) return damaged(err, "an improper path");
    take(cursor, body, count, parent);
    return true;
}

bool leaf_cursor_continue(struct leaf_cursor *cursor, struct span node, struct err *err)
{
    struct reader body = {0};
    uint32_t count = 0;
    struct span parent = {0};
    if (!read_head(node, &body, &count, &parent, err)) return false;
    if (!trail_inside(&cursor->trail, parent)) return damaged(err, "it does not follow the leaf before it");
    take(cursor, body, count, parent);
    return true;
}

void leaf_cursor_deinit(struct leaf_cursor *cursor)
{
    trail_deinit(&cursor->trail);
}

/* What the path of an entry must be beside in order. */
static const char *place_fault(const struct leaf_cursor *cursor, const struct entry *entry)
{
    if (entry->type == ENTRY_HARD_LINK && path_cmp(entry->target, cursor->path) >= 0)
        return "a hard link to a later entry";
    return NULL;
}

bool leaf_next(struct leaf_cursor *cursor, struct entry *out, bool *found, struct err *err)
{
    if (cursor->left == 0) {
        if (reader_left(&cursor->reader) > 0) return damaged(err, "bytes after its last entry");
        *found = false;
        return true;
    }
    struct entry entry;
    if (!entry_decode(&cursor->reader, &entry, err)) return false;
    if (cursor->first_depth && entry.depth != cursor->first_depth)
        return damaged(err, "its first entry is not in its directory");
    const char *fault = trail_step(&cursor->trail, entry.depth, entry.name, entry.type == ENTRY_DIRECTORY);
    if (fault) return damaged(err, fault);
    cursor->path = buf_span(&cursor->trail.path);
    fault = place_fault(cursor, &entry);
    if (fault) return damaged(err, fault);
    cursor->left--;
    cursor->first_depth = 0;
    *out = entry;
    *found = true;
    return true;
}
