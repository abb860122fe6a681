#include "transporter/source/image_reader.h"

#include "common/base/clock.h"
#include "common/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#define TRUSTED_AGE_NS 2000000000 /* as files of a walk */

void image_reader_close(struct image_reader *reader)
{
    if (reader->fd >= 0) (void)close(reader->fd);
    reader->fd = -1;
}

static struct stat_key key_of(const struct stat *st, uint64_t size)
{
    return (struct stat_key){.inode = st->st_ino,
                             .size = size,
                             .mtime_ns = clock_ns_of(&st->st_mtim),
                             .ctime_ns = clock_ns_of(&st->st_ctim)};
}

/* O_NONBLOCK: should it be a fifo, opening it must not wait. */
static bool open_path(const char *path, enum image_links links, int *out, struct err *err)
{
    const int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;
    if (path[0] != '/') return err_set(err, ERR_USAGE, "'%s' is not an absolute path", path);
    AUTO(fd) int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) return err_sys(err, errno, "cannot open '/'");
    path += strspn(path, "/");
    int fd =
        links == IMAGE_LINKS_FOLLOWED ? openat(root, path, flags) : file_open_beneath(root, path, flags, 0);
    *out = fd;
    if (fd >= 0) return true;
    if (errno == ENOENT) return err_set(err, ERR_NOT_FOUND, "there is no '/%s'", path);
    if (errno == ELOOP)
        return err_set(err, ERR_POLICY,
                       "'/%s' leads through a symbolic link: the configuration must list it by this name",
                       path);
    return err_sys(err, errno, "cannot open '/%s'", path);
}

static bool size_of(const struct image_reader *reader, const struct stat *st, uint64_t *out, struct err *err)
{
    if (reader->kind == IMAGE_FILE) {
        *out = (uint64_t)st->st_size;
        return true;
    }
    return ioctl(reader->fd, BLKGETSIZE64, out) == 0 ||
           err_sys(err, errno, "cannot tell the size of '%s'", reader->path);
}

/* The kernel gives a device in use to nobody alone. The claim is given up at once: a mount may come. */
static bool is_in_use(const struct image_reader *reader)
{
    char again[64];
    if (reader->kind == IMAGE_FILE) return false;
    (void)snprintf(again, sizeof(again), "/proc/self/fd/%d", reader->fd);
    AUTO(fd) int claim = open(again, O_RDONLY | O_EXCL | O_CLOEXEC);
    return claim < 0;
}

/* A device has an owner and a mode that say nothing about its content: where it is restored to a file, only
 * root may read that. */
static struct walk_entry entry_of(const struct image_reader *reader, const struct stat *st, uint64_t now_ns)
{
    const char *slash = strrchr(reader->path, '/');
    struct walk_entry entry = {
        .path = span_str(slash + 1),
        .name = span_str(slash + 1),
        .depth = 1,
        .type = ENTRY_FILE,
        .mode = 0600,
        .key = key_of(st, reader->size),
        .blocks = (uint64_t)st->st_blocks,
        .mount = st->st_dev,
        .links = 1,
    };
    if (reader->kind == IMAGE_DEVICE) {
        entry.key.mtime_ns = (int64_t)now_ns;
        return entry;
    }
    entry.mode = st->st_mode & 07777;
    entry.uid = st->st_uid;
    entry.gid = st->st_gid;
    entry.cacheable = entry.key.ctime_ns <= (int64_t)now_ns - TRUSTED_AGE_NS;
    return entry;
}

bool image_reader_open(const char *path, enum image_links links, uint64_t now_ns, struct image_reader *out,
                       struct err *err)
{
    AUTO(image_reader) struct image_reader reader = {.fd = -1, .path = path};
    struct stat st;
    if (!open_path(path, links, &reader.fd, err)) return false;
    if (fstat(reader.fd, &st) != 0) return err_sys(err, errno, "cannot read '%s'", path);
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
        return err_set(err, ERR_USAGE, "'%s' is neither a block device nor a regular file", path);
    reader.kind = S_ISBLK(st.st_mode) ? IMAGE_DEVICE : IMAGE_FILE;
    if (!size_of(&reader, &st, &reader.size, err)) return false;
    reader.in_use = is_in_use(&reader);
    reader.entry = entry_of(&reader, &st, now_ns);
    *out = reader;
    reader.fd = -1;
    return true;
}

bool image_reader_extent(const struct image_reader *reader, uint64_t from, struct extent *out,
                         struct err *err)
{
    struct extent rest = {.offset = from, .length = reader->size - from, .kind = EXTENT_DATA};
    *out = rest;
    if (reader->kind == IMAGE_DEVICE || reader->entry.blocks >= reader->size / 512) return true;
    off_t data = lseek(reader->fd, (off_t)from, SEEK_DATA);
    if (data < 0 && errno != ENXIO && errno != EINVAL && errno != ENOTSUP)
        return err_sys(err, errno, "cannot find the data of '%s' from offset %llu on", reader->path,
                       (unsigned long long)from);
    if (data < 0) {
        if (errno == ENXIO) out->kind = EXTENT_HOLE; /* none is left */
        return true;
    }
    uint64_t end = (uint64_t)data;
    if (end > from) {
        out->kind = EXTENT_HOLE;
    } else {
        off_t hole = lseek(reader->fd, data, SEEK_HOLE);
        if (hole <= data) return true;
        end = (uint64_t)hole;
    }
    if (end < reader->size) out->length = end - from;
    return true;
}

bool image_reader_read(const struct image_reader *reader, uint64_t offset, void *out, size_t len,
                       struct err *err)
{
    size_t done = 0;
    while (done < len) {
        unsigned long long at = offset + done;
        ssize_t more = pread(reader->fd, (uint8_t *)out + done, len - done, (off_t)at);
        if (more < 0 && errno == EINTR) continue;
        if (more < 0) return err_sys(err, errno, "cannot read '%s' at offset %llu", reader->path, at);
        if (more == 0)
            return err_set(err, ERR_FAILED, "'%s' ends at offset %llu: it had %llu bytes when the run began",
                           reader->path, at, (unsigned long long)reader->size);
        done += (size_t)more;
    }
    return true;
}

bool image_reader_state(struct image_reader *reader, enum file_state *state, struct err *err)
{
    struct stat st;
    uint64_t size;
    if (fstat(reader->fd, &st) != 0) return err_sys(err, errno, "cannot read '%s'", reader->path);
    if (!size_of(reader, &st, &size, err)) return false;
    struct stat_key now = key_of(&st, size);
    const struct stat_key *then = &reader->entry.key;
    bool same = now.size == then->size;
    if (reader->kind == IMAGE_FILE)
        same = same && now.mtime_ns == then->mtime_ns && now.ctime_ns == then->ctime_ns;
    reader->in_use = reader->in_use || is_in_use(reader);
    *state = same ? FILE_SAME : FILE_CHANGED;
    return true;
}
