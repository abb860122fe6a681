/* Manifest nodes (docs/format.md section 9): entries, references, and the four kinds of nodes as
 * plaintext bytes. Pure: no I/O, no keys. Every decoder validates all of its input. */
#ifndef SEALIFT_TCORE_MANIFEST_H
#define SEALIFT_TCORE_MANIFEST_H

#include "common/base/bytes.h"
#include "common/base/err.h"
#include "common/crypto/hash.h"

#define ENTRY_FIXED_LEN 80
#define ENTRY_MAX_LEN (1024u * 1024)
#define REF_LEN 48
#define REFS_INLINE_MAX 1000u /* more go into refs nodes */
#define PATH_LEN_MAX 65535u
#define DEPTH_MAX 2048u

enum entry_type {
    ENTRY_DIRECTORY = 1,
    ENTRY_FILE = 2,
    ENTRY_SYMLINK = 3,
    ENTRY_FIFO = 4,
    ENTRY_CHAR_DEVICE = 5,
    ENTRY_BLOCK_DEVICE = 6,
    ENTRY_HARD_LINK = 7,
};
enum entry_flags { ENTRY_INEXACT = 1, ENTRY_REFS_IN_NODES = 2 };
enum ref_kind { REF_DATA = 0, REF_HOLE = 1, REF_NODE = 2 };

struct ref {
    struct hash content; /* H of the chunk or refs node; zero for a hole */
    uint64_t length;
    uint32_t offset; /* within the chunk */
    enum ref_kind kind;
};
void ref_encode(const struct ref *ref, struct buf *out);
bool ref_decode(struct reader *reader, struct ref *out, struct err *err) MUST_CHECK;

/* All spans are borrowed. `xattrs` and `refs` are in their encoded form. */
struct entry {
    enum entry_type type;
    uint8_t flags; /* enum entry_flags */
    uint16_t depth;
    uint32_t mode; /* 07777 */
    uint32_t uid;
    uint32_t gid;
    int64_t mtime_ns;
    uint64_t size; /* ENTRY_FILE */
    uint32_t device_major, device_minor;
    struct span name;
    struct span target; /* symlink text; path of the first name of a hard link */
    struct span owner;
    struct span group;
    uint16_t xattr_count;
    struct span xattrs;
    struct hash file_hash;
    uint32_t ref_count;
    struct span refs;
};
/* Appends. The caller keeps the limits (ENTRY_MAX_LEN): ERR_LIMIT names the entry otherwise. */
bool entry_encode(const struct entry *entry, struct buf *out, struct err *err) MUST_CHECK;
/* Decodes one entry at the reader: lengths, type rules, names (no '/', NUL, ".", ".."), the sum of
 * references against the size. ERR_DAMAGED or ERR_TRUNCATED. */
bool entry_decode(struct reader *reader, struct entry *out, struct err *err) MUST_CHECK;
/* xattrs one after the other; false when none is left */
bool xattr_next(struct reader *xattrs, struct span *name, struct span *value);
void xattr_encode(struct span name, struct span value, struct buf *out);

enum object_kind { OBJECT_TREE = 1, OBJECT_IMAGE = 2, OBJECT_STREAM = 3 };

struct manifest_root {
    struct hash top;
    uint64_t entries;
    uint64_t content_bytes;
    enum object_kind kind;
    uint32_t chunk_min, chunk_average, chunk_max;
    struct span host;
    uint32_t path_count;
    struct span paths; /* encoded: {length (2), path} each */
};

/* Called with a finished node's plaintext; returns its H through `content`. */
typedef bool manifest_node_fn(void *arg, struct span node, struct hash *content, struct err *err);

/* Builds leaves and trees from encoded entries in path order, cutting as the format says. */
struct manifest_writer;
struct manifest_writer *manifest_writer_new(manifest_node_fn *node, void *arg);
void manifest_writer_free(struct manifest_writer *writer);
DEFINE_AUTO(manifest_writer, struct manifest_writer *, manifest_writer_free)
/* `encoded` is one entry_encode result. `parent` is the path of the directory that it is in (empty at
 * depth 1). Order is checked: ERR_FAILED if an entry comes out of path order. */
bool manifest_add(struct manifest_writer *writer, struct span parent, struct span encoded,
                  struct err *err) MUST_CHECK;
/* Ends the tree and emits the root node. `root->top`, entries and content_bytes are filled in. */
bool manifest_finish(struct manifest_writer *writer, struct manifest_root *root, struct hash *root_content,
                     struct err *err) MUST_CHECK;

/* A refs-node builder for one long content: feed references, get the (few) REF_NODE references. */
struct refs_writer;
struct refs_writer *refs_writer_new(manifest_node_fn *node, void *arg);
void refs_writer_free(struct refs_writer *writer);
DEFINE_AUTO(refs_writer, struct refs_writer *, refs_writer_free)
bool refs_add(struct refs_writer *writer, const struct ref *ref, struct err *err) MUST_CHECK;
/* Appends encoded references to `out`: inline when there were at most REFS_INLINE_MAX, else REF_NODEs.
 * *count and *flags (ENTRY_REFS_IN_NODES) tell which. */
bool refs_finish(struct refs_writer *writer, struct buf *out, uint32_t *count, uint8_t *flags,
                 struct err *err) MUST_CHECK;

/* What a node refers to: for whoever seals (clear list), and for walks. */
enum node_kind { NODE_LEAF = 1, NODE_TREE = 2, NODE_REFS = 3, NODE_ROOT = 4 };
typedef bool node_child_fn(void *arg, enum frame_type type, const struct hash *content, struct err *err);
/* Validates the whole node and tells each child (repeats possible). */
bool node_children(struct span node, enum node_kind *kind, node_child_fn *child, void *arg,
                   struct err *err) MUST_CHECK;
bool node_root_decode(struct span node, struct manifest_root *out, struct err *err) MUST_CHECK;

/* Cursor over the entries of a leaf with the full path of each. */
struct leaf_cursor {
    struct reader reader;
    uint32_t left;
    struct buf path;     /* of the current entry */
    struct buf depths;   /* internal: end offset of each component */
};
bool leaf_cursor_init(struct leaf_cursor *cursor, struct span node, struct err *err) MUST_CHECK;
void leaf_cursor_deinit(struct leaf_cursor *cursor);
DEFINE_AUTO_IN_PLACE(leaf_cursor, struct leaf_cursor, leaf_cursor_deinit)
/* *found = false at the end. cursor->path then holds the path without a leading '/'. */
bool leaf_next(struct leaf_cursor *cursor, struct entry *out, bool *found, struct err *err) MUST_CHECK;

/* Children of a tree node. */
struct tree_child {
    struct hash content;
    uint64_t entries;
    uint64_t content_bytes;
    struct span first_path;
};
struct tree_cursor {
    struct reader reader;
    uint32_t left;
};
bool tree_cursor_init(struct tree_cursor *cursor, struct span node, struct err *err) MUST_CHECK;
bool tree_next(struct tree_cursor *cursor, struct tree_child *out, bool *found, struct err *err) MUST_CHECK;

/* Path order of two full paths: depth first, '/' before every other byte. <0, 0, >0 */
int path_cmp(struct span a, struct span b);

/* Reads a whole manifest in path order through a callback that brings a node's plaintext by H.
 * Skips what lies outside [from, ...): pass an empty span for everything. */
typedef bool manifest_load_fn(void *arg, const struct hash *content, struct buf *node, struct err *err);
struct manifest_reader;
bool manifest_reader_new(manifest_load_fn *load, void *arg, const struct hash *root,
                         struct manifest_reader **out, struct err *err) MUST_CHECK;
void manifest_reader_free(struct manifest_reader *reader);
DEFINE_AUTO(manifest_reader, struct manifest_reader *, manifest_reader_free)
const struct manifest_root *manifest_reader_root(const struct manifest_reader *reader);
/* Positions before the first entry whose path is not before `path` in path order. */
bool manifest_seek(struct manifest_reader *reader, struct span path, struct err *err) MUST_CHECK;
/* The next entry; spans stay good until the next call. *found = false at the end. */
bool manifest_next(struct manifest_reader *reader, struct span *path, struct entry *out, bool *found,
                   struct err *err) MUST_CHECK;

#endif
