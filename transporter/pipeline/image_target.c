#include "transporter/pipeline/image_target.h"

#include "common/base/alloc.h"
#include "common/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BLOCK = 4096, /* zeros are left out of a new file by aligned pieces of so many bytes */
    PART_MODE = 0600,
    NAME_MAX_LEN = 255,
};

struct image_target {
    enum { TARGET_FILE, TARGET_DEVICE } kind;
    int fd;
    const char *shown; /* what errors call it */
    bool fresh;        /* all zeros as it is */
    bool compares;     /* image_target_compares */
    uint64_t size;     /* of the content */
    uint64_t room;     /* of a device */
    uint32_t sector;   /* of a device: what its ranges are aligned to */
    enum overwrite overwrite;
    /* a file's */
    struct destination *destination;
    struct destination_cursor cursor;
    int dir; /* the cursor's */
    char name[NAME_MAX_LEN + 1];
    char part[NAME_MAX_LEN + 1];
};

void image_target_free(struct image_target *target)
{
    if (!target) return;
    auto_close_fd(target->fd);
    if (target->destination) destination_cursor_deinit(&target->cursor);
    destination_close(target->destination);
    free(target);
}

/* --- devices --- */

static bool may_open_device(const struct restore_options *options, struct err *err)
{
    const char *root = options->destination_root, *path = options->destination;
    if (root && strcmp(root, path) != 0)
        return err_set(err, ERR_POLICY,
                       "'%s' is a device: the configuration must list it by its name (setting 'restore')",
                       path);
    if (options->overwrite == OVERWRITE_NEVER)
        return err_set(err, ERR_EXISTS,
                       "'%s' is a device, which is never empty: overwrite it with 'changed' or 'always'",
                       path);
    return true;
}

/* O_EXCL: the kernel refuses what is mounted, swapped to, or part of another device. */
static bool open_device(struct image_target *target, const char *path, struct err *err)
{
    struct stat st;
    int sector;
    target->kind = TARGET_DEVICE;
    target->shown = path;
    target->fd = open(path, O_RDWR | O_EXCL | O_CLOEXEC);
    if (target->fd < 0 && errno == EBUSY)
        return err_set(err, ERR_FAILED, "'%s' is mounted or otherwise in use: nothing was written to it",
                       path);
    if (target->fd < 0 || fstat(target->fd, &st) != 0) return err_sys(err, errno, "cannot open '%s'", path);
    if (!S_ISBLK(st.st_mode)) return err_set(err, ERR_FAILED, "'%s' is no block device any more", path);
    if (ioctl(target->fd, BLKGETSIZE64, &target->room) != 0 || ioctl(target->fd, BLKSSZGET, &sector) != 0)
        return err_sys(err, errno, "cannot tell the size of '%s'", path);
    if (target->room < target->size)
        return err_set(err, ERR_LIMIT, "'%s' has %llu bytes, and the content %llu: nothing was written to it",
                       path, (unsigned long long)target->room, (unsigned long long)target->size);
    target->sector = sector > 0 ? (uint32_t)sector : BLOCK;
    target->compares = target->overwrite == OVERWRITE_CHANGED;
    return true;
}

/* --- files --- */

static bool set_names(struct image_target *target, struct span name, struct err *err)
{
    if (name.len == 0 || name.len + strlen(IMAGE_TARGET_PART) > NAME_MAX_LEN)
        return err_set(err, ERR_LIMIT, "a file with a name of %zu bytes cannot be restored", name.len);
    memcpy(target->name, name.data, name.len);
    target->name[name.len] = '\0';
    (void)snprintf(target->part, sizeof(target->part), "%.*s%s", (int)name.len, (const char *)name.data,
                   IMAGE_TARGET_PART);
    return true;
}

/* The directory that the file is in, and its name: the destination may be either. */
static bool open_place(struct image_target *target, const struct restore_options *options,
                       struct span image_name, struct err *err)
{
    struct stat there;
    const char *path = options->destination, *root = options->destination_root;
    AUTO(free) char *dir = xstrdup(path);
    size_t len = strlen(path);
    struct span name = image_name;
    char ignored[NAME_MAX_LEN + 1];
    bool fresh, is_directory = path[len - 1] == '/' || (stat(path, &there) == 0 && S_ISDIR(there.st_mode));
    while (len > 1 && dir[len - 1] == '/')
        dir[--len] = '\0';
    if (!is_directory) {
        char *slash = strrchr(dir, '/');
        name = span_str(path + (slash - dir) + 1);
        slash[slash == dir] = '\0';
        if (root && strlen(root) > strlen(dir)) root = NULL; /* it is the file itself that is listed */
    }
    if (!set_names(target, name, err)) return false;
    if (!destination_open(root, dir, &target->destination, &fresh, err)) return false;
    destination_cursor_init(&target->cursor, target->destination);
    return destination_parent(&target->cursor, name, &target->dir, ignored, err);
}

/* Whether what has the file's name stays. */
static bool look_at_place(const struct image_target *target, const struct entry *entry, bool *stays,
                          struct err *err)
{
    struct stat there;
    *stays = false;
    if (fstatat(target->dir, target->name, &there, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT || err_sys(err, errno, "cannot stat '%s'", target->name);
    *stays = target->overwrite == OVERWRITE_NEVER ||
             (target->overwrite == OVERWRITE_CHANGED && inode_is_unchanged(&there, entry));
    if (*stays || S_ISREG(there.st_mode) || S_ISLNK(there.st_mode)) return true;
    return err_set(err, ERR_EXISTS, "'%s' is something else than a file, and in the way", target->name);
}

/* A part is gone on with only if it is surely ours: nobody else may hold a name of it, or write to it. */
static bool adopt_part(struct image_target *target, struct err *err)
{
    struct stat st;
    if (fstat(target->fd, &st) != 0) return err_sys(err, errno, "cannot stat '%s'", target->part);
    if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_nlink != 1 || (st.st_mode & 077) != 0)
        return err_set(err, ERR_EXISTS, "'%s' is not what an interrupted restore leaves, and in the way",
                       target->part);
    target->fresh = st.st_blocks == 0;
    target->compares = !target->fresh;
    return true;
}

static bool open_part(struct image_target *target, struct err *err)
{
    target->shown = target->part;
    target->fd =
        openat(target->dir, target->part, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, PART_MODE);
    if (target->fd < 0) return err_sys(err, errno, "cannot create '%s'", target->part);
    if (flock(target->fd, LOCK_EX | LOCK_NB) != 0)
        return err_set(err, ERR_FAILED, "another restore is writing '%s'", target->part);
    if (!adopt_part(target, err)) return false;
    return ftruncate(target->fd, (off_t)target->size) == 0 ||
           err_sys(err, errno, "cannot set the size of '%s'", target->part);
}

bool image_target_open(const struct restore_options *options, const struct entry *entry,
                       struct image_target **out, struct err *err)
{
    AUTO(image_target) struct image_target *target = xcalloc(1, sizeof(*target));
    struct stat there;
    bool stays = false;
    target->fd = -1;
    target->size = entry->size;
    target->overwrite = options->overwrite;
    if (stat(options->destination, &there) == 0 && S_ISBLK(there.st_mode)) {
        if (!may_open_device(options, err) || !open_device(target, options->destination, err)) return false;
    } else {
        if (!open_place(target, options, entry->name, err)) return false;
        if (!look_at_place(target, entry, &stays, err)) return false;
        if (!stays && !open_part(target, err)) return false;
    }
    *out = stays ? NULL : target;
    if (!stays) target = NULL;
    return true;
}

uint64_t image_target_excess(const struct image_target *target)
{
    return target->kind == TARGET_DEVICE ? target->room - target->size : 0;
}

/* --- reading --- */

bool image_target_compares(const struct image_target *target)
{
    return target->compares;
}

bool image_target_holds(const struct image_target *target, uint64_t offset, uint64_t length,
                        const struct hash *content, struct buf *scratch)
{
    struct err ignored;
    buf_clear(scratch);
    uint8_t *bytes = buf_grow(scratch, (size_t)length);
    if (!fd_pread_all(target->fd, bytes, (size_t)length, offset, target->shown, &ignored)) return false;
    struct hash found = hash_of(span_of(bytes, (size_t)length));
    return hash_eq(&found, content);
}

/* --- writing --- */

static const uint8_t zeros[64 * 1024];

static size_t to_block_end(uint64_t offset, size_t left)
{
    size_t len = BLOCK - (size_t)(offset % BLOCK);
    return len < left ? len : left;
}

/* The length of what is at the start of `bytes` all zeros, or all not, by blocks of the file. */
static size_t run_length(struct span bytes, uint64_t offset, bool *zero)
{
    size_t len = 0;
    while (len < bytes.len) {
        size_t block = to_block_end(offset + len, bytes.len - len);
        bool same = memcmp(bytes.data + len, zeros, block) == 0;
        if (len == 0) *zero = same;
        if (same != *zero) break;
        len += block;
    }
    return len;
}

bool image_target_write(struct image_target *target, struct span bytes, uint64_t offset, struct err *err)
{
    if (!target->fresh) return fd_pwrite_all(target->fd, bytes, offset, target->shown, err);
    while (bytes.len > 0) {
        bool zero;
        size_t len = run_length(bytes, offset, &zero);
        if (!zero && !fd_pwrite_all(target->fd, span_of(bytes.data, len), offset, target->shown, err))
            return false;
        bytes = span_of(bytes.data + len, bytes.len - len);
        offset += len;
    }
    return true;
}

static bool write_zeros(struct image_target *target, uint64_t offset, uint64_t length, struct err *err)
{
    while (length > 0) {
        size_t step = length < sizeof(zeros) ? (size_t)length : sizeof(zeros);
        if (!fd_pwrite_all(target->fd, span_of(zeros, step), offset, target->shown, err)) return false;
        offset += step;
        length -= step;
    }
    return true;
}

/* What the kernel or the device does faster, and without taking room where it can. */
static bool clear_range(struct image_target *target, uint64_t offset, uint64_t length)
{
    if (target->kind == TARGET_FILE)
        return fallocate(target->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
                         (off_t)length) == 0;
    uint64_t range[2] = {offset, length};
    return ioctl(target->fd, BLKZEROOUT, range) == 0;
}

bool image_target_zero(struct image_target *target, uint64_t offset, uint64_t length, struct err *err)
{
    if (target->fresh || length == 0) return true;
    /* of a device only whole sectors can be cleared; an image's hole starts with one, but may end in one */
    uint64_t tail = target->kind == TARGET_DEVICE ? length % target->sector : 0;
    bool aligned = target->kind == TARGET_FILE || offset % target->sector == 0;
    if (!aligned || (length > tail && !clear_range(target, offset, length - tail))) tail = length;
    return write_zeros(target, offset + length - tail, tail, err);
}

bool image_target_sync(struct image_target *target, struct err *err)
{
    return fsync(target->fd) == 0 || err_sys(err, errno, "cannot sync '%s'", target->shown);
}

/* --- the end --- */

/* Under `never` nothing is replaced, even if it came meanwhile. */
static bool take_place(struct image_target *target, struct err *err)
{
    unsigned flags = target->overwrite == OVERWRITE_NEVER ? RENAME_NOREPLACE : 0;
    if (renameat2(target->dir, target->part, target->dir, target->name, flags) != 0)
        return err_sys(err, errno, "cannot give '%s' its name '%s'", target->part, target->name);
    return destination_sync(target->destination, err);
}

bool image_target_finish(struct image_target *target, const struct entry *entry, unsigned *losses,
                         struct err *loss, struct err *err)
{
    if (target->kind == TARGET_DEVICE) return image_target_sync(target, err);
    struct inode_metadata metadata = inode_metadata_of(entry);
    if (!inode_metadata_apply(&metadata, target->fd, losses, loss)) {
        *err = *loss;
        return false;
    }
    return image_target_sync(target, err) && take_place(target, err);
}
