#include "transporter/core/tree.h"

#include "transporter/core/node.h"
#include "transporter/core/path.h"

static bool damaged(struct err *err, const char *what)
{
    return err_set(err, ERR_DAMAGED, "damaged manifest tree: %s", what);
}

void tree_child_encode(const struct tree_child *child, struct buf *out)
{
    buf_put(out, child->content.bytes, HASH_LEN);
    buf_put_u64(out, child->entries);
    buf_put_u64(out, child->content_bytes);
    buf_put_u16(out, (uint16_t)child->first_path.len);
    buf_put_span(out, child->first_path);
}

bool tree_cursor_init(struct tree_cursor *cursor, struct span node, struct err *err)
{
    struct node_header header;
    struct reader body;
    if (!node_header_decode(node, &header, &body, err)) return false;
    if (header.kind != NODE_TREE) return damaged(err, "it is another kind of node");
    if (header.count == 0 || header.count > TREE_CHILDREN_MAX)
        return damaged(err, "its number of children is out of range");
    *cursor = (struct tree_cursor){.reader = body, .left = header.count, .level = header.level};
    return true;
}

bool tree_next(struct tree_cursor *cursor, struct tree_child *out, bool *found, struct err *err)
{
    if (cursor->left == 0) {
        if (reader_left(&cursor->reader) > 0) return damaged(err, "bytes after its last child");
        *found = false;
        return true;
    }
    struct tree_child child;
    reader_copy(&cursor->reader, child.content.bytes, HASH_LEN);
    child.entries = reader_u64(&cursor->reader);
    child.content_bytes = reader_u64(&cursor->reader);
    child.first_path = reader_bytes(&cursor->reader, reader_u16(&cursor->reader));
    if (!reader_ok(&cursor->reader)) return err_set(err, ERR_TRUNCATED, "truncated manifest tree");
    if (child.entries == 0) return damaged(err, "an empty child");
    if (!path_valid(child.first_path)) return damaged(err, "an improper path");
    if (path_cmp(child.first_path, cursor->last_path) <= 0) return damaged(err, "children out of order");
    cursor->last_path = child.first_path;
    cursor->left--;
    *out = child;
    *found = true;
    return true;
}
