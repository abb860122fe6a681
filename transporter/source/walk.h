/* Parallel walk of file trees with delivery in path order (docs/format.md section 9).
 *
 * Scanner threads read directories ahead (names, statx, stat cache look-up); walk_next, called by one
 * thread, yields entries depth first. Memory held ahead is bounded by `ahead_bytes`. */
#ifndef SEALIFT_SOURCE_WALK_H
#define SEALIFT_SOURCE_WALK_H

#include "common/base/bytes.h"
#include "common/base/err.h"
#include "transporter/core/manifest.h"

#include <sys/stat.h>

struct stat_cache;
struct walk;

enum mount_rule { MOUNT_CROSS, MOUNT_STAY };

struct walk_options {
    const char *const *paths; /* absolute; the walk delivers the union, parents included */
    size_t path_count;
    const char *const *excludes; /* patterns, see exclude.h */
    size_t exclude_count;
    const char *const *always_excluded; /* absolute paths: our own state, local repositories */
    size_t always_count;
    enum mount_rule mounts;
    unsigned threads;
    size_t ahead_bytes;           /* 0: 32 MiB */
    struct stat_cache *cache;     /* NULL: none */
    uint64_t now_ns;              /* entries whose ctime is within 2 s of it are not trusted */
};

/* What a stat cache remembers an entry by. */
struct stat_key {
    uint64_t inode;
    uint64_t size;
    int64_t mtime_ns;
    int64_t ctime_ns;
};

struct walk_entry {
    struct span path;   /* without leading '/' */
    struct span parent; /* path of its directory, empty at depth 1 */
    struct span name;
    uint16_t depth;
    enum entry_type type;
    uint32_t mode, uid, gid;
    uint32_t device_major, device_minor;
    struct stat_key key;
    uint64_t blocks;   /* of 512 bytes: fewer than the size says means holes */
    uint64_t mount;    /* device number of the file system */
    uint32_t links;
    struct span cached; /* the encoded entry of the last committed run if nothing changed; else empty */
    bool cacheable;     /* old enough for the cache to trust it later */
};

enum walk_event {
    WALK_ENTRY,
    WALK_WARNING, /* *err says what could not be read; path names it */
    WALK_SKIPPED, /* excluded, a socket, a pseudo file system: *err says why */
    WALK_LEAVE,   /* all entries below the directory `path` were delivered: the time to store its cache record */
    WALK_END
};

bool walk_new(const struct walk_options *options, struct walk **out, struct err *err) MUST_CHECK;
void walk_free(struct walk *walk); /* may be called at any time: stops the threads */
DEFINE_AUTO(walk, struct walk *, walk_free)
/* Spans are good until the next call. false only for a failure that ends the run. */
bool walk_next(struct walk *walk, enum walk_event *event, struct walk_entry *entry, struct err *warning,
               struct err *err) MUST_CHECK;

#endif
