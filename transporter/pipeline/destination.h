/* The directory that a restore writes into. Nothing here leaves it: every path is resolved beneath the
 * root with symlinks refused (file_open_beneath). */
#ifndef SEALIFT_PIPELINE_DESTINATION_H
#define SEALIFT_PIPELINE_DESTINATION_H

#include "common/base/bytes.h"
#include "common/base/err.h"
#include "transporter/core/entry.h"

#include <sys/stat.h>

struct destination; /* any thread */

/* `path` is absolute; the directory is made if absent. Below `root`, which it begins with, no symlink is
 * followed: others may own what lies there (ERR_POLICY). NULL: the whole path is the caller's own, and is
 * followed as it stands. *fresh: it was empty (nothing can be in the way). */
bool destination_open(const char *root, const char *path, struct destination **out, bool *fresh,
                      struct err *err) MUST_CHECK;
void destination_close(struct destination *destination);
DEFINE_AUTO(destination, struct destination *, destination_close)
/* makes everything that was written durable */
bool destination_sync(struct destination *destination, struct err *err) MUST_CHECK;

/* One thread's way around: keeps the directory of the last call open. */
struct destination_cursor {
    struct destination *destination;
    struct buf dir;
    int fd;
};
void destination_cursor_init(struct destination_cursor *cursor, struct destination *destination);
void destination_cursor_deinit(struct destination_cursor *cursor);
DEFINE_AUTO_IN_PLACE(destination_cursor, struct destination_cursor, destination_cursor_deinit)
/* The open directory that `path` is in, borrowed until the next call, and the last component as text. */
bool destination_parent(struct destination_cursor *cursor, struct span path, int *dir, char name[static 256],
                        struct err *err) MUST_CHECK;

/* What an entry says about its inode, for applying after the content. Spans are borrowed. */
struct inode_metadata {
    enum entry_type type;
    uint32_t mode, uid, gid;
    int64_t mtime_ns;
    uint16_t xattr_count;
    struct span xattrs;
};
struct inode_metadata inode_metadata_of(const struct entry *entry);

/* Whether what is there is a file of the entry's size and time, and so taken for the same. */
bool inode_is_unchanged(const struct stat *there, const struct entry *entry);

/* Of an open directory; false if it cannot be told. */
bool inode_is_empty_directory(int dir);

enum metadata_loss {
    METADATA_WHOLE = 0,
    METADATA_OWNER_KEPT = 1, /* not root: ownership was left as it is */
    METADATA_XATTR_LOST = 2, /* an xattr was refused; *err names it */
};
/* Owner and mode (only if they differ), xattrs, mtime last, to an open file. Losses are added to
 * *losses; returns false only for what should not happen (I/O errors). */
bool inode_metadata_apply(const struct inode_metadata *metadata, int fd, unsigned *losses,
                          struct err *err) MUST_CHECK;
/* The same for what cannot be opened: symlinks, fifos, devices, by name below `dir`. ERR_POLICY: something
 * else has that name. */
bool inode_metadata_apply_at(const struct inode_metadata *metadata, int dir, const char *name,
                             unsigned *losses, struct err *err) MUST_CHECK;

#endif
