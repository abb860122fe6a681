/* What the stat cache's files share. Private to stat_cache*.c. */
#ifndef SEALIFT_SOURCE_STAT_CACHE_PARTS_H
#define SEALIFT_SOURCE_STAT_CACHE_PARTS_H

#include "transporter/source/cache_contents.h"
#include "transporter/source/cache_db.h"
#include "transporter/source/cache_record.h"
#include "transporter/source/stat_cache.h"

struct stat_cache {
    struct cache_db db;
    struct hash binding;
    uint32_t run;      /* the last that was applied */
    struct buf sparse; /* keys of the bundles whose files are to be stored anew, in order */

    pthread_mutex_t stage_mutex; /* for the rest */
    int stage_fd;
    uint64_t stage_len;               /* in the file */
    struct buf stage;                 /* to be appended */
    struct stat_cache_record *newest; /* of those being filled */
};

/* A cursor over a record's children, from its first part on. */
struct stat_cache_dir {
    struct stat_cache *cache;
    struct part_key key;
    uint32_t part;
    bool last; /* the part is the last */
    struct reader reader;
    bool has_child;
    struct cached_child child; /* the current one */
};
/* Moves on to the next child; has_child is false at the end. */
void stat_cache_dir_step(struct stat_cache_dir *dir);

/* Under which the sparse bundles' keys are in the table `meta`. */
#define SPARSE_NAME "sparse"
/* After opening, and after each change: which run was applied last, and the sparse bundles. */
bool stat_cache_read_state(struct stat_cache *cache, struct err *err) MUST_CHECK;

/* Adds an item to the staging file. Any thread. */
bool stage_put(struct stat_cache *cache, enum stage_kind kind, struct span first, struct span second,
               struct err *err) MUST_CHECK;
bool stage_flush(struct stat_cache *cache, struct err *err) MUST_CHECK;
bool stage_empty(struct stat_cache *cache, struct err *err) MUST_CHECK;

#endif
