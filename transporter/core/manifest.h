/* A whole manifest (docs/format.md section 9): a stream of entries in path order, cut by content into
 * leaves under a small tree, under one root node. Pure: nodes come and go through callbacks. */
#ifndef SEALIFT_TCORE_MANIFEST_H
#define SEALIFT_TCORE_MANIFEST_H

#include "transporter/core/entry.h"
#include "transporter/core/leaf.h"
#include "transporter/core/node.h"
#include "transporter/core/path.h"
#include "transporter/core/refs.h"
#include "transporter/core/tree.h"

/* Builds leaves and trees from encoded entries in path order, cutting as the format says. Holds one open
 * node a level: its memory does not grow with the number of entries. One thread at a time. */
struct manifest_writer;
struct manifest_writer *manifest_writer_new(manifest_node_fn *node, void *arg);
void manifest_writer_free(struct manifest_writer *writer);
DEFINE_AUTO(manifest_writer, struct manifest_writer *, manifest_writer_free)
/* `encoded` is one entry_encode result. `parent` is the path of the directory that it is in (empty at
 * depth 1). The entry is checked as a reader would: ERR_FAILED if it comes out of path order or its
 * directory did not come before it, ERR_DAMAGED if it breaks a rule. After a failure only free. */
bool manifest_add(struct manifest_writer *writer, struct span parent, struct span encoded,
                  struct err *err) MUST_CHECK;
/* Ends the tree and emits the root node. `root->top`, entries and content_bytes are filled in. */
bool manifest_finish(struct manifest_writer *writer, struct manifest_root *root, struct hash *root_content,
                     struct err *err) MUST_CHECK;

/* Reads a whole manifest in path order through a callback that brings a node's plaintext by H. Holds one
 * node a level. Checks all that nodes claim of each other. One thread at a time. */
struct manifest_reader;
bool manifest_reader_new(manifest_load_fn *load, void *arg, const struct hash *root,
                         struct manifest_reader **out, struct err *err) MUST_CHECK;
void manifest_reader_free(struct manifest_reader *reader);
DEFINE_AUTO(manifest_reader, struct manifest_reader *, manifest_reader_free)
const struct manifest_root *manifest_reader_root(const struct manifest_reader *reader);
/* Positions before the first entry whose path is not before `path` in path order; reads one path of
 * nodes. May be called at any time, forwards or backwards. An empty path: the beginning. */
bool manifest_seek(struct manifest_reader *reader, struct span path, struct err *err) MUST_CHECK;
/* The next entry; spans stay good until the next call. *found = false at the end. After a failure
 * manifest_seek may find a place behind the damage. */
bool manifest_next(struct manifest_reader *reader, struct span *path, struct entry *out, bool *found,
                   struct err *err) MUST_CHECK;

#endif
