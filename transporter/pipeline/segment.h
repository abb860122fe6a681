/* A segment: some consecutive entries of the walk, the unit of work of a backup. A worker reads its files
 * and encodes its entries; the ordering thread adds them to the manifest in path order.
 *
 * Small files of a segment share one data chunk, their bundle. Where segments end depends on names and
 * sizes only, so equal trees have equal bundles whatever the number of threads, and after a change the
 * cuts fall again where they fell before. Private to the backup engine; one thread at a time. */
#ifndef SEALIFT_PIPELINE_SEGMENT_H
#define SEALIFT_PIPELINE_SEGMENT_H

#include "transporter/source/walk.h"

enum {
    /* Files up to this size are read whole and bundled; larger ones are cut by the chunker, whose smallest
     * chunk is twice as large. */
    SEGMENT_SMALL_FILE = 128 * 1024,
    /* A segment with so many bytes of small files ends after the next file whose name says so, … */
    SEGMENT_BYTES_LEAST = 128 * 1024,
    /* … and before it would have more than this. */
    SEGMENT_BYTES_MOST = 256 * 1024,
    SEGMENT_WORK_MOST = 256,   /* entries that need work */
    SEGMENT_ITEMS_MOST = 1024, /* entries, unchanged ones included */
    /* Bytes of paths: only where they are far longer than usual, on average, a segment ends by them. */
    SEGMENT_NAMES_MOST = 4 * 1024 * 1024,
};

enum item_kind { ITEM_ENTRY, ITEM_LEAVE };
enum item_state {
    ITEM_TO_DO,
    ITEM_ENCODED, /* finished */
    ITEM_BUNDLED, /* encoded, but where the content lies is not known yet */
    ITEM_LOST     /* could not be read: left out */
};

struct item {
    enum item_kind kind;
    enum item_state state;
    enum entry_type type;
    struct walk_entry *entry; /* owned; NULL for unchanged entries and ITEM_LEAVE */
    size_t text;              /* without `entry`: parent and name in the segment's text */
    size_t parent_len;        /* ITEM_LEAVE: of the directory's path */
    size_t name_len;
    struct stat_key key; /* what the cache shall remember, if `cacheable` */
    bool cacheable;
    struct span cached; /* an unchanged entry, borrowed from the cache */
    size_t encoded;     /* else: offset in the segment's `encoded` */
    size_t encoded_len;
    uint64_t size;          /* of a regular file's content */
    struct hash file_hash;  /* ITEM_BUNDLED */
    uint32_t bundle_offset; /* ITEM_BUNDLED */
};

struct segment {
    struct buf items; /* struct item each */
    struct buf text;
    struct buf encoded;
    struct buf leftover;    /* bundled bytes too few for a chunk of their own */
    uint64_t leftover_base; /* their place in the chunk that they end up in */
    size_t work;            /* items that need work */
    size_t kept_names;      /* bytes of their paths and targets */
    uint64_t small_bytes;
    size_t bytes;         /* that it took when it was handed out; the ordering thread's */
    size_t held_bytes;    /* of `encoded`, as told to the work queue */
    bool queued;          /* a worker has it or will have it */
    bool done;            /* guarded by the work queue */
    struct segment *next; /* in a list of the ordering thread */
};

struct segment *segment_new(void);
void segment_free(struct segment *segment);
DEFINE_AUTO(segment, struct segment *, segment_free)

/* Adds what the walk yielded; the spans are copied, but for `cached`. */
void segment_add(struct segment *segment, const struct walk_entry *entry);
void segment_leave(struct segment *segment, struct span directory);
/* Whether the segment must end before this entry, or should end now that it was added. */
bool segment_ends_before(const struct segment *segment, const struct walk_entry *entry);
bool segment_ends_after(const struct segment *segment, const struct walk_entry *entry);

size_t segment_count(const struct segment *segment);
/* Memory that its entries take, about, before any work. */
size_t segment_bytes(const struct segment *segment);
struct item *segment_item(struct segment *segment, size_t index);
struct span item_parent(const struct segment *segment, const struct item *item);
struct span item_name(const struct segment *segment, const struct item *item);
struct span item_encoded(const struct segment *segment, const struct item *item);

/* Writes the one reference of a bundled item, which then is finished. */
void item_place(struct segment *segment, struct item *item, const struct ref *ref);

#endif
