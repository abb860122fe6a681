#include "transporter/pipeline/restore_spill.h"

#include "common/base/alloc.h"
#include "common/base/file.h"

#include <errno.h>
#include <fcntl.h>

enum { FLUSH_AT = 256 * 1024 };

/* record: length (4) ‖ path length (4) ‖ target length (4) ‖ type (4) ‖ mode ‖ uid ‖ gid (4 each) ‖ mtime (8)
 * ‖ xattr count (4) ‖ reserved (4) ‖ device ‖ inode (8 each) ‖ path ‖ target ‖ xattrs ‖ length (4) again, for
 * reading backward */
enum { FIXED_LEN = 4 + 4 + 4 + 4 + 4 + 4 + 4 + 8 + 4 + 4 + 8 + 8 };

struct restore_spill {
    int fd;
    uint64_t written;
    struct buf pending;
};

bool restore_spill_new(struct restore_spill **out, struct err *err)
{
    const char *dir = getenv("TMPDIR");
    int fd = open(dir ? dir : "/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) return err_sys(err, errno, "cannot make a temporary file in '%s'", dir ? dir : "/var/tmp");
    struct restore_spill *spill = xcalloc(1, sizeof(*spill));
    spill->fd = fd;
    *out = spill;
    return true;
}

void restore_spill_free(struct restore_spill *spill)
{
    if (!spill) return;
    auto_close_fd(spill->fd);
    buf_deinit(&spill->pending);
    free(spill);
}

static bool flush(struct restore_spill *spill, struct err *err)
{
    if (!fd_pwrite_all(spill->fd, buf_span(&spill->pending), spill->written, "a temporary file", err))
        return false;
    spill->written += spill->pending.len;
    buf_clear(&spill->pending);
    return true;
}

bool restore_spill_put(struct restore_spill *spill, struct span path, const struct entry *entry,
                       const struct spilled_inode *own, struct err *err)
{
    uint32_t len = (uint32_t)(FIXED_LEN + path.len + entry->target.len + entry->xattrs.len + 4);
    struct buf *out = &spill->pending;
    buf_put_u32(out, len);
    buf_put_u32(out, (uint32_t)path.len);
    buf_put_u32(out, (uint32_t)entry->target.len);
    buf_put_u32(out, (uint32_t)entry->type);
    buf_put_u32(out, entry->mode);
    buf_put_u32(out, entry->uid);
    buf_put_u32(out, entry->gid);
    buf_put_u64(out, (uint64_t)entry->mtime_ns);
    buf_put_u32(out, entry->xattr_count);
    buf_put_u32(out, 0);
    buf_put_u64(out, own->device);
    buf_put_u64(out, own->inode);
    buf_put_span(out, path);
    buf_put_span(out, entry->target);
    buf_put_span(out, entry->xattrs);
    buf_put_u32(out, len);
    return out->len < FLUSH_AT || flush(spill, err);
}

static bool tell(struct span record, restore_spill_fn *each, void *arg, struct err *err)
{
    struct reader reader = reader_of(record);
    (void)reader_u32(&reader);
    uint32_t path_len = reader_u32(&reader), target_len = reader_u32(&reader);
    struct spilled spilled = {.metadata.type = (enum entry_type)reader_u32(&reader)};
    struct inode_metadata *metadata = &spilled.metadata;
    metadata->mode = reader_u32(&reader);
    metadata->uid = reader_u32(&reader);
    metadata->gid = reader_u32(&reader);
    metadata->mtime_ns = (int64_t)reader_u64(&reader);
    metadata->xattr_count = (uint16_t)reader_u32(&reader);
    (void)reader_u32(&reader);
    spilled.own.device = reader_u64(&reader);
    spilled.own.inode = reader_u64(&reader);
    spilled.path = reader_bytes(&reader, path_len);
    spilled.target = reader_bytes(&reader, target_len);
    if (!reader_ok(&reader) || reader_left(&reader) < 4)
        return err_set(err, ERR_FAILED, "a temporary file was changed");
    metadata->xattrs = reader_bytes(&reader, reader_left(&reader) - 4);
    return each(arg, &spilled, err);
}

bool restore_spill_each_backward(struct restore_spill *spill, restore_spill_fn *each, void *arg,
                                 struct err *err)
{
    if (!flush(spill, err)) return false;
    AUTO(buf) struct buf record = {0};
    uint64_t end = spill->written;
    while (end > 0) {
        uint8_t tail[4];
        if (!fd_pread_all(spill->fd, tail, sizeof(tail), end - 4, "a temporary file", err)) return false;
        uint32_t len = le32_get(tail);
        if (len < FIXED_LEN + 4 || len > end) return err_set(err, ERR_FAILED, "a temporary file was changed");
        buf_clear(&record);
        uint8_t *to = buf_grow(&record, len);
        if (!fd_pread_all(spill->fd, to, len, end - len, "a temporary file", err)) return false;
        if (!tell(buf_span(&record), each, arg, err)) return false;
        end -= len;
    }
    return true;
}
