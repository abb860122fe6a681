#include "transporter/kms/secret_file.h"

#include "common/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static bool check_owner(const struct stat *st, const char *path, struct err *err)
{
    if (st->st_uid != geteuid() && st->st_uid != 0)
        return err_set(err, ERR_CONFIG, "'%s' belongs to another user", path);
    return (st->st_mode & (S_IRWXG | S_IRWXO)) == 0 ||
           err_set(err, ERR_CONFIG, "'%s' can be read by others: its mode must be 0600", path);
}

static bool check(int fd, const char *path, size_t most, enum secret_file_links links, size_t *len,
                  struct err *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0) return err_sys(err, errno, "cannot read '%s'", path);
    if (!S_ISREG(st.st_mode)) return err_set(err, ERR_CONFIG, "'%s' is not a regular file", path);
    if (links != SECRET_FILE_MOUNTED && !check_owner(&st, path, err)) return false;
    if (st.st_size < 0 || (uint64_t)st.st_size > most)
        return err_set(err, ERR_CONFIG, "'%s' has %lld bytes, and at most %zu are read", path,
                       (long long)st.st_size, most);
    *len = (size_t)st.st_size;
    return true;
}

bool secret_file_read(const char *path, size_t most, enum secret_file_links links, struct secret **out,
                      struct err *err)
{
    size_t len = 0;
    int follow = links == SECRET_FILE_NO_LINK ? O_NOFOLLOW : 0;
    AUTO(fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | follow);
    if (fd < 0) return err_sys(err, errno, "cannot open '%s'", path);
    if (!check(fd, path, most, links, &len, err)) return false;
    AUTO(secret) struct secret *bytes = secret_new(len + 1);
    if (!fd_pread_all(fd, bytes->data, len, 0, path, err)) return false;
    bytes->len = len;
    *out = bytes;
    bytes = NULL;
    return true;
}
