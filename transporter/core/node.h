/* What all manifest nodes have in common (docs/format.md section 9): the header, the root node, and the
 * list of what a node refers to. Pure: no I/O, no keys. Every decoder validates all of its input. */
#ifndef SEALIFT_TCORE_NODE_H
#define SEALIFT_TCORE_NODE_H

#include "common/base/bytes.h"
#include "common/base/err.h"
#include "common/crypto/hash.h"

#define NODE_HEADER_LEN 8
#define NODE_MAX_LEN (2u * 1024 * 1024)
#define NODE_LEVEL_MAX 15u /* bounds every descent, whatever nodes claim of each other */

enum node_kind { NODE_LEAF = 1, NODE_TREE = 2, NODE_REFS = 3, NODE_ROOT = 4 };

struct node_header {
    enum node_kind kind;
    unsigned level; /* how many levels of nodes of the same sort lie below: 0 for leaves */
    uint32_t count;
};
void node_header_encode(const struct node_header *header, uint8_t out[static NODE_HEADER_LEN]);
/* Reads the header; `body` then stands behind it. ERR_TRUNCATED, ERR_VERSION, ERR_DAMAGED. */
bool node_header_decode(struct span node, struct node_header *out, struct reader *body,
                        struct err *err) MUST_CHECK;

enum object_kind { OBJECT_TREE = 1, OBJECT_IMAGE = 2, OBJECT_STREAM = 3 };
/* tree, image, stream */
const char *object_kind_name(enum object_kind kind);
/* ERR_VERSION names the kind that is not known here. */
bool object_kind_parse(const char *name, enum object_kind *out, struct err *err) MUST_CHECK;

struct manifest_root {
    struct hash top;
    uint64_t entries;
    uint64_t content_bytes; /* the sum of the sizes of regular files */
    enum object_kind kind;
    uint32_t chunk_min, chunk_average, chunk_max;
    struct span host;
    uint32_t path_count; /* of the paths that were chosen for backup */
    struct span paths;   /* encoded: {length (2), path} each; the empty path is '/' */
};
/* ERR_LIMIT if host or paths do not fit. */
bool node_root_encode(const struct manifest_root *root, struct buf *out, struct err *err) MUST_CHECK;
/* Spans are borrowed from `node`. */
bool node_root_decode(struct span node, struct manifest_root *out, struct err *err) MUST_CHECK;

/* What a node refers to: for whoever seals (clear list), and for walks. Validates the whole node and
 * tells each child (repeats possible). False of `child` stops with its error. */
typedef bool node_child_fn(void *arg, enum frame_type type, const struct hash *content, struct err *err);
bool node_children(struct span node, enum node_kind *kind, node_child_fn *child, void *arg,
                   struct err *err) MUST_CHECK;

/* How readers get nodes: puts the plaintext with that H into `node`, in place of what it held. It has
 * checked the bytes against H. */
typedef bool manifest_load_fn(void *arg, const struct hash *content, struct buf *node, struct err *err);
/* How writers hand them out: called with a finished node's plaintext; returns its H through `content`. */
typedef bool manifest_node_fn(void *arg, struct span node, struct hash *content, struct err *err);

#endif
