#include "transporter/source/metadata.h"

#include "transporter/source/owner_names.h"
#include "transporter/source/xattrs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define TARGET_MAX 65535u

static bool vanished(struct err *err)
{
    return err_set(err, ERR_NOT_FOUND, "it vanished while it was backed up");
}

/* A descriptor of the entry itself, if it is still the one that was walked. */
struct own {
    int fd;
    enum xattrs_fd how;
};

/* Attributes of an open directory cost less than those that are asked through /proc. A mount point is not
 * opened: that could mount something, or wait for a server. */
static int open_directory(int dir, const char *name)
{
    struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
                           .resolve = RESOLVE_NO_XDEV};
    return (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));
}

/* For looking at it only, where opening it for reading fails or could have an effect. */
static int open_own(int dir, const char *name, enum entry_type type, enum xattrs_fd *how)
{
    int fd = type == ENTRY_DIRECTORY ? open_directory(dir, name) : -1;
    *how = fd >= 0 ? XATTRS_OPEN : XATTRS_PATH;
    return fd >= 0 ? fd : openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

static bool open_entry(const struct walk_entry *entry, struct own *out, struct err *err)
{
    int dir;
    if (!dir_handle_get(entry->dir, &dir, err)) return false;
    enum xattrs_fd how;
    AUTO(fd) int fd = open_own(dir, (const char *)entry->name.data, entry->type, &how);
    int failed = errno;
    dir_handle_put(entry->dir);
    if (fd < 0) return failed == ENOENT ? vanished(err) : err_sys(err, failed, "cannot open it");
    struct stat st;
    if (fstat(fd, &st) != 0) return err_sys(err, errno, "cannot open it");
    if (st.st_ino != entry->key.inode || st.st_dev != entry->mount)
        return err_set(err, ERR_NOT_FOUND, "it was replaced while it was backed up");
    *out = (struct own){fd, how};
    fd = -1;
    return true;
}

static bool read_target(int fd, struct buf *out, struct err *err)
{
    char *at = (char *)buf_grow(out, TARGET_MAX + 1);
    ssize_t len = readlinkat(fd, "", at, TARGET_MAX + 1);
    if (len < 0) return err_sys(err, errno, "cannot read the symbolic link");
    if (len == 0 || (size_t)len > TARGET_MAX)
        return err_set(err, ERR_LIMIT, "the target of the symbolic link is too long");
    out->len = (size_t)len;
    return true;
}

static void put_stat(const struct walk_entry *entry, struct entry *out)
{
    *out = (struct entry){
        .type = entry->type,
        .depth = entry->depth,
        .mode = entry->mode,
        .uid = entry->uid,
        .gid = entry->gid,
        .mtime_ns = entry->key.mtime_ns,
        .name = entry->name,
    };
    if (entry->type == ENTRY_CHAR_DEVICE || entry->type == ENTRY_BLOCK_DEVICE) {
        out->device_major = entry->device_major;
        out->device_minor = entry->device_minor;
    }
    if (entry->type == ENTRY_HARD_LINK) out->target = entry->target;
}

static void put_content(const struct metadata_content *content, struct entry *out)
{
    out->size = content->size;
    out->file_hash = content->file_hash;
    out->flags = content->flags;
    out->ref_count = content->ref_count;
    out->refs = content->refs;
}

/* What is read from the entry itself. */
struct details {
    struct buf target;
    struct xattrs xattrs;
};
static void details_deinit(struct details *details)
{
    buf_deinit(&details->target);
    xattrs_deinit(&details->xattrs);
}
DEFINE_AUTO_IN_PLACE(details, struct details, details_deinit)

/* As many as have room beside all else that the entry has. */
static void read_xattrs(int fd, enum xattrs_fd how, struct details *details, struct entry *out,
                        struct err *warning)
{
    uint64_t len = entry_len(out);
    xattrs_read(fd, how, len < ENTRY_MAX_LEN ? (size_t)(ENTRY_MAX_LEN - len) : 0, &details->xattrs, warning);
    out->xattr_count = details->xattrs.count;
    out->xattrs = buf_span(&details->xattrs.encoded);
}

/* A hard link has nothing of its own. */
static bool put_details(int fd, const struct walk_entry *entry, struct details *details, struct entry *out,
                        struct err *warning, struct err *err)
{
    if (entry->type == ENTRY_HARD_LINK) return true;
    if (fd >= 0) {
        read_xattrs(fd, XATTRS_OPEN, details, out, warning);
        return true;
    }
    struct own own = {.fd = -1, .how = XATTRS_PATH};
    if (!open_entry(entry, &own, err)) return false;
    AUTO(fd) int owned = own.fd;
    if (entry->type == ENTRY_SYMLINK) {
        if (!read_target(owned, &details->target, err)) return false;
        out->target = buf_span(&details->target);
    }
    read_xattrs(owned, own.how, details, out, warning);
    return true;
}

bool metadata_encode(struct metadata_names *names, int fd, const struct walk_entry *entry,
                     const struct metadata_content *content, struct buf *out, struct err *warning,
                     struct err *err)
{
    AUTO(details) struct details details = {0};
    struct entry encoded;
    char owner[OWNER_NAME_MAX + 1], group[OWNER_NAME_MAX + 1];
    err_clear(warning);
    put_stat(entry, &encoded);
    if (content) put_content(content, &encoded);
    encoded.owner = owner_name(names, OWNER_USER, entry->uid, owner);
    encoded.group = owner_name(names, OWNER_GROUP, entry->gid, group);
    return put_details(fd, entry, &details, &encoded, warning, err) && entry_encode(&encoded, out, err);
}
