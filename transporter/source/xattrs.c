#include "transporter/source/xattrs.h"

#include "common/base/alloc.h"
#include "transporter/core/entry.h"

#include <errno.h>
#include <limits.h>
#include <linux/limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#define LIST_FIRST 1024u

/* A file, by descriptor or by its name in /proc. */
struct subject {
    int fd;
    const char *path; /* NULL: by descriptor */
};

static ssize_t list(const struct subject *subject, char *names, size_t len)
{
    return subject->path ? listxattr(subject->path, names, len) : flistxattr(subject->fd, names, len);
}

static ssize_t get(const struct subject *subject, const char *name, void *value, size_t len)
{
    return subject->path ? getxattr(subject->path, name, value, len)
                         : fgetxattr(subject->fd, name, value, len);
}

void xattrs_deinit(struct xattrs *xattrs)
{
    buf_deinit(&xattrs->encoded);
    xattrs->count = 0;
}

/* The names, each with its NUL. Most files have none: one call. */
static bool list_all(const struct subject *subject, struct buf *out, struct err *warning)
{
    char few[LIST_FIRST];
    ssize_t len = list(subject, few, sizeof(few));
    if (len >= 0) {
        buf_put(out, few, (size_t)len);
        return true;
    }
    if (errno == ERANGE) {
        len = list(subject, (char *)buf_grow(out, XATTR_LIST_MAX), XATTR_LIST_MAX);
        out->len = len > 0 ? (size_t)len : 0;
        if (len >= 0) return true;
    }
    if (errno == ENOTSUP || errno == ENOSYS) return true;
    (void)err_sys(warning, errno, "cannot list the extended attributes");
    return false;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void read_one(const struct subject *subject, const char *name, uint8_t *value, struct xattrs *out,
                     struct err *warning)
{
    ssize_t len = get(subject, name, value, XATTR_SIZE_MAX);
    if (len < 0) {
        /* ENODATA: it was removed meanwhile */
        if (errno != ENODATA && warning->code == ERR_NONE)
            (void)err_sys(warning, errno, "cannot read the extended attribute '%s'", name);
        return;
    }
    xattr_encode(span_str(name), span_of(value, (size_t)len), &out->encoded);
    out->count++;
}

static void read_all(const struct subject *subject, struct buf *names, struct xattrs *out,
                     struct err *warning)
{
    size_t count = 0;
    for (size_t i = 0; i < names->len; i++)
        count += names->data[i] == 0;
    AUTO(free) const char **sorted = xcalloc(count ? count : 1, sizeof(*sorted));
    const char *at = (const char *)names->data;
    for (size_t i = 0; i < count; i++, at += strlen(at) + 1)
        sorted[i] = at;
    qsort(sorted, count, sizeof(*sorted), by_name);
    AUTO(free) uint8_t *value = xmalloc(XATTR_SIZE_MAX);
    /* what does not fit into an entry need not be read: there may be hundreds of megabytes of it */
    for (size_t i = 0; i < count && out->encoded.len <= ENTRY_MAX_LEN; i++)
        if (i == 0 || strcmp(sorted[i], sorted[i - 1]) != 0)
            read_one(subject, sorted[i], value, out, warning);
}

void xattrs_read(int fd, enum xattrs_fd how, struct xattrs *out, struct err *warning)
{
    char path[64];
    if (how == XATTRS_PATH) (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    const struct subject subject = {.fd = fd, .path = how == XATTRS_PATH ? path : NULL};
    AUTO(buf) struct buf names = {0};
    if (list_all(&subject, &names, warning) && names.len > 0) read_all(&subject, &names, out, warning);
}
