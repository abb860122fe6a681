/* The stat cache's own bytes: a directory's record in parts, the items of the staging file. Private to
 * stat_cache*.c. They come from our own disk, and are checked all the same: damage ends a record early. */
#ifndef SEALIFT_SOURCE_CACHE_RECORD_H
#define SEALIFT_SOURCE_CACHE_RECORD_H

#include "transporter/source/walk.h"

/* A part's key: 16 bytes of the hash of the directory's path, the part's number big-endian, so that parts
 * stand in order. Its value: 1 byte that is 1 in the last part, then children. */
#define PART_KEY_LEN 20
#define PART_FULL ((size_t)64 * 1024)

struct part_key {
    uint8_t bytes[PART_KEY_LEN];
};
struct part_key part_key_of(struct span dir_path);
void part_key_set(struct part_key *key, uint32_t part);

/* name length (2), key (32), entry length (4), name, entry */
struct cached_child {
    struct span name;
    struct stat_key key; /* all ones: not to be trusted */
    struct span encoded; /* empty: a directory of which no more is known than that it is there */
};
/* key: NULL if it is not to be trusted. */
void cached_child_encode(struct span name, const struct stat_key *key, struct span encoded, struct buf *out);
/* false at the end, or at damage */
bool cached_child_next(struct reader *reader, struct cached_child *out);
/* Whether the child has this key, and the cache may trust it. */
bool cached_child_is_unchanged(const struct cached_child *child, const struct stat_key *key);
bool cached_child_is_directory(const struct cached_child *child);
/* The encoded reference of a file whose content is one reference to a data chunk; else NULL. Its file hash
 * is where CACHED_FILE_HASH says. */
const uint8_t *cached_child_ref(const struct cached_child *child);
#define CACHED_FILE_HASH 48 /* in the encoded entry */

enum stage_kind {
    STAGE_PART = 1,    /* part key, value */
    STAGE_TRIM = 2,    /* part key: this and later parts are no more */
    STAGE_GONE = 3,    /* path of a directory that is no more */
    STAGE_CONTENT = 4, /* file hash, encoded reference */
};
/* kind (1), length (4), payload */
#define STAGE_HEAD_LEN 5

#endif
