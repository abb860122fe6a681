/* A recovery point as a reader would see it, read from the frames that a fake outlet received. */
#ifndef SEALIFT_TEST_VIEW_H
#define SEALIFT_TEST_VIEW_H

#include "fake_outlet.h"
#include "keys.h"
#include "transporter/core/manifest.h"

struct view_entry {
    char *path;
    enum entry_type type;
    uint8_t flags;
    uint32_t mode;
    uint64_t size;
    char *target;
    uint16_t xattr_count;
    uint32_t holes;        /* references to holes */
    uint32_t refs;         /* of all kinds, those in nodes included */
    struct buf ref_list;   /* struct ref each */
    struct hash content;   /* HASH of the bytes that the references yield */
    struct hash file_hash; /* what the entry says */
};

struct view {
    struct view_entry *entries;
    size_t count;
    uint64_t chunk_bytes;      /* of the data chunks that are referred to, each once and whole */
    struct manifest_root root; /* spans are not valid */
};

/* Reads the point that was committed; asserts that everything is there and opens. */
struct view *view_read(const struct keys *keys, const struct fake_outlet *fake);
void view_free(struct view *view);
DEFINE_AUTO(view, struct view *, view_free)
/* NULL: no such path */
const struct view_entry *view_find(const struct view *view, const char *path);

#endif
