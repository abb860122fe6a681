/* Parallel walk of file trees with delivery in path order (docs/format.md section 9).
 *
 * Scanner threads read directories ahead (names, statx, stat cache look-up); walk_next, called by one
 * thread, yields entries depth first. Memory held ahead is bounded by `ahead_bytes`; a directory of more
 * than WALK_SORT_MAX names is sorted through an unlinked spill file, and so is the table of hard links
 * when it grows.
 *
 * Symbolic links are never followed, not even one that is put in the place of a directory while the walk
 * runs. The walk descends into everything but: what the patterns exclude; what `always_excluded` names,
 * under whatever mount; pseudo file systems (proc, sysfs, cgroup …); under MOUNT_STAY, other file systems
 * than the chosen path's; directories with a valid CACHEDIR.TAG (bford.info/cachedir), of which the
 * directory and the tag are kept. A directory where it does not descend still has its own entry. */
#ifndef SEALIFT_SOURCE_WALK_H
#define SEALIFT_SOURCE_WALK_H

#include "common/base/bytes.h"
#include "common/base/err.h"
#include "transporter/core/manifest.h"
#include "transporter/source/dir_handle.h"

#include <sys/stat.h>

#define WALK_SORT_MAX 64000u

struct stat_cache;
struct walk;

enum mount_rule { MOUNT_CROSS, MOUNT_STAY };

/* Borrowed until walk_new returns, but for `cache`, which must outlive the walk. */
struct walk_options {
    const char *const *paths; /* absolute; the walk delivers the union, parents included */
    size_t path_count;
    const char *const *excludes; /* patterns, see exclude.h */
    size_t exclude_count;
    const char *const *always_excluded; /* absolute paths: our own state, local repositories */
    size_t always_count;
    enum mount_rule mounts;
    unsigned threads;         /* 0: 2 */
    size_t ahead_bytes;       /* 0: 32 MiB */
    const char *spill_dir;    /* where unlinked temporary files may grow; NULL: /var/tmp */
    struct stat_cache *cache; /* NULL: none */
    uint64_t now_ns;          /* entries whose ctime is within 2 s of it are not trusted later */
};

/* What a stat cache remembers an entry by. */
struct stat_key {
    uint64_t inode;
    uint64_t size;
    int64_t mtime_ns;
    int64_t ctime_ns;
};
static inline bool stat_key_eq(const struct stat_key *a, const struct stat_key *b)
{
    return a->inode == b->inode && a->size == b->size && a->mtime_ns == b->mtime_ns &&
           a->ctime_ns == b->ctime_ns;
}

struct walk_entry {
    struct span path;       /* without leading '/' */
    struct span parent;     /* path of its directory, empty at depth 1 */
    struct span name;       /* its last part; a NUL follows */
    struct span target;     /* ENTRY_HARD_LINK: path of the name that came first */
    struct dir_handle *dir; /* the directory that it is in; take a reference to keep it */
    uint16_t depth;
    enum entry_type type;
    enum entry_type linked_type; /* ENTRY_HARD_LINK: what it is a name of */
    uint32_t mode, uid, gid;     /* mode: 07777 */
    uint32_t device_major, device_minor;
    struct stat_key key;
    uint64_t blocks; /* of 512 bytes: fewer than the size says means holes */
    uint64_t mount;  /* device number of the file system */
    uint32_t links;
    /* The encoded entry of the last committed run if nothing changed; else empty. Good until the cache is
     * applied, reset or closed. Never a hard link's. */
    struct span cached;
    /* In place of `cached` if nothing changed and the content should be stored anew all the same
     * (stat_cache_wants_anew): what the file is backed up as if it cannot be read. */
    struct span fallback;
    /* The encoded entry that the last committed run had under this name, if anything else changed since: the
     * content may still be the same. Empty: none, or its content should be stored anew. As good as `cached`.
     */
    struct span previous;
    bool cacheable; /* old enough for the cache to trust it later */
};

/* A copy with its own spans (but `cached`) and directory, for work that goes on in other threads. */
struct walk_entry *walk_entry_keep(const struct walk_entry *entry);
void walk_entry_free(struct walk_entry *entry);
DEFINE_AUTO(walk_entry, struct walk_entry *, walk_entry_free)

enum walk_event {
    WALK_ENTRY,
    WALK_WARNING, /* `note` says what could not be read; entry->path names it, other fields are empty */
    WALK_SKIPPED, /* a socket, a pseudo file system …, not what the patterns exclude: `note` says why */
    WALK_LEAVE,   /* all entries below the directory entry->path were delivered: the time to store its cache
                     record. One for each directory entry, and one with the empty path before WALK_END */
    WALK_END
};

/* ERR_USAGE for a path that is not absolute and normal, or a bad pattern; ERR_NOT_FOUND when none of the
 * paths exists. One that is missing while others are there is a warning. */
bool walk_new(const struct walk_options *options, struct walk **out, struct err *err) MUST_CHECK;
void walk_free(struct walk *walk); /* may be called at any time: stops the threads */
DEFINE_AUTO(walk, struct walk *, walk_free)
/* Spans are good until the next call. false only for a failure that ends the run. */
bool walk_next(struct walk *walk, enum walk_event *event, struct walk_entry *entry, struct err *note,
               struct err *err) MUST_CHECK;

#endif
