#include "director/cli/bundle_reader.h"

#include "common/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

void bundle_reader_deinit(struct bundle_reader *reader)
{
    bundle_stream_free(reader->stream);
    auto_close_fd(reader->fd);
    *reader = (struct bundle_reader){.fd = -1};
}

static bool read_header(int fd, uint64_t size, const char *path, uint8_t header[static BUNDLE_HEADER_LEN],
                        struct bundle_facts *facts, struct err *err)
{
    size_t len = size < BUNDLE_HEADER_LEN ? (size_t)size : BUNDLE_HEADER_LEN;
    return fd_pread_all(fd, header, len, 0, path, err) &&
           bundle_header_decode(span_of(header, len), facts, err);
}

bool bundle_reader_open(const char *path, struct bundle_reader *out, struct err *err)
{
    uint8_t header[BUNDLE_HEADER_LEN];
    struct stat there;
    struct bundle_facts facts;
    AUTO(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &there) != 0) return err_sys(err, errno, "cannot open '%s'", path);
    if (!S_ISREG(there.st_mode))
        return err_set(err, ERR_DAMAGED, "'%s': it is no bundle, not even a file", path);
    uint64_t size = (uint64_t)there.st_size;
    if (!read_header(fd, size, path, header, &facts, err)) return err_wrap(err, "'%s'", path);
    uint64_t wanted = bundle_file_len(facts.content_len);
    if (size < wanted)
        return err_set(err, ERR_TRUNCATED, "'%s': the bundle is cut: it has %llu of %llu bytes", path,
                       (unsigned long long)size, (unsigned long long)wanted);
    if (size > wanted)
        return err_set(err, ERR_DAMAGED, "'%s': %llu bytes follow the bundle's end", path,
                       (unsigned long long)(size - wanted));
    *out = (struct bundle_reader){.fd = fd, .path = path, .facts = facts, .at = BUNDLE_HEADER_LEN};
    fd = -1;
    return true;
}

bool bundle_reader_unlock(struct bundle_reader *reader, const struct secret *password, struct err *err)
{
    uint8_t header[BUNDLE_HEADER_LEN];
    AUTO(box_pair) struct box_pair *pair = NULL;
    if (!fd_pread_all(reader->fd, header, sizeof(header), 0, reader->path, err)) return false;
    return (bundle_unlock(&reader->facts.lock, password, &pair, err) &&
            bundle_open_begin(span_of(header, sizeof(header)), pair, &reader->stream, err)) ||
           err_wrap(err, "'%s'", reader->path);
}

bool bundle_reader_next(struct bundle_reader *reader, struct secret **out, struct err *err)
{
    AUTO(buf) struct buf sealed = {0};
    if (bundle_over(reader->stream)) {
        *out = NULL;
        return true;
    }
    size_t len = bundle_piece_len(reader->stream) + SMALL_OVERHEAD;
    if (!fd_pread_all(reader->fd, buf_grow(&sealed, len), len, reader->at, reader->path, err)) return false;
    if (!bundle_open_piece(reader->stream, buf_span(&sealed), out, err))
        return err_wrap(err, "'%s'", reader->path);
    reader->at += len;
    return true;
}

bool bundle_reader_rehearse(struct bundle_reader *reader, struct err *err)
{
    for (;;) {
        AUTO(secret) struct secret *piece = NULL;
        if (!bundle_reader_next(reader, &piece, err)) return false;
        if (!piece) return true;
    }
}
