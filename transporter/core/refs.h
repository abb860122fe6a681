/* References of one content, however many: up to REFS_INLINE_MAX stand in its entry, more go into refs
 * nodes of their own, those into refs nodes again. Pure: nodes come and go through callbacks. */
#ifndef SEALIFT_TCORE_REFS_H
#define SEALIFT_TCORE_REFS_H

#include "transporter/core/entry.h"
#include "transporter/core/node.h"

#define REFS_NODE_MAX 1024u

/* A builder for one long content: feed references in file order, get the (few) that the entry holds.
 * Memory: at most 48 KiB a level. */
struct refs_writer;
struct refs_writer *refs_writer_new(manifest_node_fn *node, void *arg);
void refs_writer_free(struct refs_writer *writer);
DEFINE_AUTO(refs_writer, struct refs_writer *, refs_writer_free)
/* REF_DATA or REF_HOLE */
bool refs_add(struct refs_writer *writer, const struct ref *ref, struct err *err) MUST_CHECK;
/* Appends encoded references to `out`: inline when there were at most REFS_INLINE_MAX, else REF_NODEs.
 * *count and *flags (ENTRY_REFS_IN_NODES or 0) tell which. The writer is then empty: the next content. */
bool refs_finish(struct refs_writer *writer, struct buf *out, uint32_t *count, uint8_t *flags,
                 struct err *err) MUST_CHECK;

/* Reads all references of a decoded entry in file order, those in refs nodes through `load`, one node a
 * level in memory. Gives REF_DATA and REF_HOLE only. `refs` is copied. */
struct refs_reader;
struct refs_reader *refs_reader_new(manifest_load_fn *load, void *arg, struct span refs);
void refs_reader_free(struct refs_reader *reader);
DEFINE_AUTO(refs_reader, struct refs_reader *, refs_reader_free)
bool refs_next(struct refs_reader *reader, struct ref *out, bool *found, struct err *err) MUST_CHECK;

/* The items of one refs node; it must stay while the cursor is used. */
struct refs_cursor {
    struct reader reader;
    uint32_t left;
    unsigned level; /* 0: data and holes; else refs nodes of the level below */
};
bool refs_cursor_init(struct refs_cursor *cursor, struct span node, struct err *err) MUST_CHECK;
bool refs_cursor_next(struct refs_cursor *cursor, struct ref *out, bool *found, struct err *err) MUST_CHECK;

#endif
