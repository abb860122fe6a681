/* One directory of a walk: its entries in name order, with their stat, what the cache knows of them, and
 * which of them are left out. Scanned by any thread, then read by one. */
#ifndef SEALIFT_SOURCE_SCAN_H
#define SEALIFT_SOURCE_SCAN_H

#include "transporter/source/exclude.h"
#include "transporter/source/names.h"
#include "transporter/source/plan.h"
#include "transporter/source/stat_cache.h"

#include <stdatomic.h>

/* Entries in memory at a time; the consumer asks for more. */
#define SCAN_BATCH 4096u

/* What all scans of a walk share. Read-only but for the counter. */
struct scan_rules {
    struct plan *plan;
    struct exclude *exclude;
    enum mount_rule mounts;
    struct names_limits names;
    struct stat_cache *cache;
    uint64_t now_ns;
    struct always *always; /* what is never walked */
    size_t always_count;
};
/* A path that is never walked: by its name, and by what it was when the walk began, under any name. */
struct always {
    struct buf path;
    bool exists;
    uint64_t device, inode;
};

/* What is to be told of an entry or a directory. */
enum scan_note {
    NOTE_NONE,
    NOTE_FAULT, /* `sys` says why it could not be read */
    NOTE_GONE,  /* vanished since it was listed */
    NOTE_REPLACED,
    NOTE_LONG_PATH,
    NOTE_LINK_CHOSEN,
    NOTE_LINK_ON_THE_WAY,
    /* these are no fault */
    NOTE_SOCKET,
    NOTE_ALWAYS_EXCLUDED,
    NOTE_PSEUDO,
    NOTE_OTHER_MOUNT,
    NOTE_TAGGED,
};

struct scan_item {
    struct span name;
    bool listed; /* an entry; else only the note is told */
    enum scan_note note;
    int sys;
    struct scan *below; /* a directory's own scan; owned until it is taken */

    enum entry_type type;
    uint32_t mode, uid, gid, links;
    uint32_t device_major, device_minor;
    uint64_t mount, blocks;
    int64_t born_ns; /* 0: the file system does not tell */
    struct stat_key key;
    struct span cached, fallback, previous; /* as in walk_entry */
    bool cacheable;
};

enum scan_state { SCAN_NEW, SCAN_WAITING, SCAN_RUNNING, SCAN_DONE };

struct scan {
    struct dir_handle *dir;
    const struct plan *plan; /* chosen paths at or below, or NULL */
    bool whole;              /* everything in it; else only what leads to chosen paths */
    unsigned depth;          /* of the directory; 0: '/' */
    uint64_t mount;          /* device number */
    uint64_t home_mount;     /* that of the chosen path: where MOUNT_STAY stays */
    bool crossed;            /* on another file system than its parent directory */

    enum scan_note note;
    int sys;
    struct names *names;          /* more to come; NULL at the end */
    struct stat_cache_dir *known; /* what the cache knows */
    struct scan_item *items;
    size_t count;
    struct buf text; /* of the names */
    size_t bytes;    /* of memory that it holds, that of scans below included until they are run */

    /* the walk's */
    enum scan_state state;
    struct scan *newer, *older; /* among the waiting */

    size_t path_len;
    uint8_t path[];
};

/* Of '/'. Takes a reference of `dir`. */
struct scan *scan_root(const struct scan_rules *rules, struct dir_handle *dir, uint64_t mount);
/* with the scans below that were not taken */
void scan_free(struct scan *scan);
DEFINE_AUTO(scan, struct scan *, scan_free)

/* Per thread, reused from scan to scan. */
struct scan_scratch {
    struct buf path;
    struct buf name;
};
void scan_scratch_deinit(struct scan_scratch *scratch);

/* Reads the directory, and the first batch of entries. What cannot be read becomes a note; false is for
 * the temporary file alone. */
bool scan_run(struct scan *scan, struct scan_rules *rules, struct scan_scratch *scratch,
              struct err *err) MUST_CHECK;
/* The next batch in place of the one before, whose scans below must have been taken. */
bool scan_more(struct scan *scan, struct scan_rules *rules, struct scan_scratch *scratch,
               struct err *err) MUST_CHECK;

static inline struct span scan_path(const struct scan *scan)
{
    return span_of(scan->path, scan->path_len);
}

#endif
