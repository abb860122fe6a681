/* Files, done whole: reads with a limit, writes that are durable or absent. Paths are bytes. */
#ifndef SEALIFT_BASE_FILE_H
#define SEALIFT_BASE_FILE_H

#include "common/base/bytes.h"
#include "common/base/err.h"

#include <sys/types.h>

/* Unfinished files carry names with this prefix, beside their target. A process that dies leaves
 * them; whoever owns the directory may remove them when it starts. */
#define FILE_TEMP_PREFIX ".tmp-"

/* The whole file in place of what `out` held, ERR_LIMIT if it is larger than `limit`. dirfd may be AT_FDCWD.
 */
bool file_read(int dirfd, const char *path, size_t limit, struct buf *out, struct err *err) MUST_CHECK;
/* The same of a regular file only (ERR_CONFIG): opening a fifo in its place does not wait. */
bool file_read_regular(const char *path, size_t limit, struct buf *out, struct err *err) MUST_CHECK;
/* Replaces `path` atomically: temporary file in the same directory, fsync, rename, fsync of the
 * directory. `mode` as given, whatever the umask. */
bool file_replace(int dirfd, const char *path, struct span bytes, mode_t mode, struct err *err) MUST_CHECK;
/* Creates `path`, which must not exist (ERR_EXISTS), durable on return: temporary file, fsync,
 * link, unlink, fsync of the directory. */
bool file_create(int dirfd, const char *path, struct span bytes, mode_t mode, struct err *err) MUST_CHECK;
/* Gives a file that is whole and synced its name, in the same directory: ERR_EXISTS if the name is taken. By
 * a hard link where there are any; on a memory stick by a rename. The directory is the caller's to sync. */
bool file_publish(int dirfd, const char *temp, const char *path, struct err *err) MUST_CHECK;
/* As openat, but of nothing that lies outside `dirfd` or behind a symbolic link, in whatever component,
 * also when somebody changes the path meanwhile (openat2, Linux 5.6). -1 and errno; ELOOP or EXDEV for
 * these. */
int file_open_beneath(int dirfd, const char *path, int flags, mode_t mode);
/* mkdir -p and open of a directory beneath `dirfd`, in the same way: no component is followed through a
 * symbolic link. New names are durable on return, the umask narrows `mode`; "" is `dirfd` itself. *out can
 * be used as dirfd only (O_PATH). */
bool dir_open_beneath(int dirfd, struct span path, mode_t mode, int *out, struct err *err) MUST_CHECK;
/* mkdir -p, durable on return; existing directories are fine. The umask narrows `mode`. */
bool dir_make(const char *path, mode_t mode, struct err *err) MUST_CHECK;
/* makes names that were created, renamed or removed in the directory durable */
bool dir_sync(int dirfd, const char *path, struct err *err) MUST_CHECK;
/* all of it, retrying short writes and EINTR */
bool fd_write_all(int fd, struct span bytes, const char *name, struct err *err) MUST_CHECK;
bool fd_pwrite_all(int fd, struct span bytes, uint64_t offset, const char *name, struct err *err) MUST_CHECK;
/* exactly `len` bytes, ERR_TRUNCATED if the file ends before; on failure the
 * content of `out` is unspecified */
bool fd_pread_all(int fd, void *out, size_t len, uint64_t offset, const char *name,
                  struct err *err) MUST_CHECK;

#endif
