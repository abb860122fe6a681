#include "transporter/source/file_reader.h"

#include "common/base/clock.h"

#include <errno.h>
#include <fcntl.h>

static struct stat_key key_of(const struct stat *st)
{
    return (struct stat_key){.inode = st->st_ino,
                             .size = (uint64_t)st->st_size,
                             .mtime_ns = clock_ns_of(&st->st_mtim),
                             .ctime_ns = clock_ns_of(&st->st_ctim)};
}

void file_reader_close(struct file_reader *reader)
{
    if (reader->fd >= 0) (void)close(reader->fd);
    reader->fd = -1;
}

static bool open_file(const struct walk_entry *entry, int *out, struct err *err)
{
    int dir;
    if (!dir_handle_get(entry->dir, &dir, err)) return false;
    /* O_NONBLOCK: should a fifo stand there by now, opening it must not wait */
    int fd = openat(dir, (const char *)entry->name.data, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    int failed = errno;
    dir_handle_put(entry->dir);
    *out = fd;
    if (fd >= 0) return true;
    if (failed == ENOENT) return err_set(err, ERR_NOT_FOUND, "it vanished while it was backed up");
    if (failed == ELOOP || failed == ENXIO)
        return err_set(err, ERR_FAILED, "it was replaced by something else while it was backed up");
    return err_sys(err, failed, "cannot open it");
}

/* The entry as the file is now. */
static void refresh(struct walk_entry *entry, const struct stat *st)
{
    struct stat_key key = key_of(st);
    if (!stat_key_eq(&key, &entry->key)) entry->cacheable = false;
    entry->key = key;
    entry->mode = st->st_mode & 07777;
    entry->uid = st->st_uid;
    entry->gid = st->st_gid;
    entry->blocks = (uint64_t)st->st_blocks;
}

static bool ask(int fd, const struct walk_entry *entry, struct stat *out, struct err *err)
{
    if (fstat(fd, out) != 0) return err_sys(err, errno, "cannot read it");
    if (!S_ISREG(out->st_mode) || out->st_dev != entry->mount)
        return err_set(err, ERR_FAILED, "it was replaced by something else while it was backed up");
    /* the other names of the file would be taken for names of this one */
    if (out->st_ino != entry->key.inode && entry->links > 1)
        return err_set(err, ERR_FAILED, "one of its several names was given to another file");
    return true;
}

bool file_reader_open(const struct walk_entry *entry, enum reader_trust trust, struct file_reader *out,
                      struct err *err)
{
    AUTO(fd) int fd = -1;
    struct stat st;
    if (!open_file(entry, &fd, err)) return false;
    if (trust == READER_ASKS && !ask(fd, entry, &st, err)) return false;
    out->fd = fd;
    fd = -1;
    out->entry = *entry;
    out->entry.cached = out->entry.fallback = span_of(NULL, 0);
    if (trust == READER_ASKS) refresh(&out->entry, &st);
    return true;
}

bool file_reader_extent(const struct file_reader *reader, uint64_t from, struct extent *out, bool *found,
                        struct err *err)
{
    uint64_t size = reader->entry.key.size;
    *found = from < size;
    if (!*found) return true;
    struct extent rest = {.offset = from, .length = size - from, .kind = EXTENT_DATA};
    if (reader->entry.blocks >= size / 512) {
        *out = rest;
        return true;
    }
    off_t data = lseek(reader->fd, (off_t)from, SEEK_DATA);
    if (data < 0 && errno != ENXIO && errno != EINVAL && errno != ENOTSUP)
        return err_sys(err, errno, "cannot find its data");
    if (data < 0 && errno == ENXIO)
        rest.kind = EXTENT_HOLE; /* none is left */
    else if (data >= 0 && (uint64_t)data > from) {
        rest.kind = EXTENT_HOLE;
        if ((uint64_t)data < size) rest.length = (uint64_t)data - from;
    } else if (data >= 0) {
        off_t hole = lseek(reader->fd, data, SEEK_HOLE);
        if (hole > data && (uint64_t)hole < size) rest.length = (uint64_t)hole - from;
    }
    *out = rest;
    return true;
}

bool file_reader_read(const struct file_reader *reader, uint64_t offset, void *out, size_t len, size_t *got,
                      struct err *err)
{
    size_t done = 0;
    while (done < len) {
        ssize_t more = pread(reader->fd, (uint8_t *)out + done, len - done, (off_t)(offset + done));
        if (more < 0 && errno == EINTR) continue;
        if (more < 0) return err_sys(err, errno, "cannot read it");
        if (more == 0) break;
        done += (size_t)more;
    }
    *got = done;
    return true;
}

bool file_reader_state(const struct file_reader *reader, enum file_state *state, struct err *err)
{
    struct stat st;
    if (fstat(reader->fd, &st) != 0) return err_sys(err, errno, "cannot read it");
    struct stat_key key = key_of(&st);
    bool same =
        S_ISREG(st.st_mode) && st.st_dev == reader->entry.mount && stat_key_eq(&key, &reader->entry.key);
    *state = same ? FILE_SAME : FILE_CHANGED;
    return true;
}
