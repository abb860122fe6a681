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
#define NAMED_LEAST 120u /* bytes of names in a warning, before the others are only counted */

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

/* Attributes on their way from a file into its entry. */
struct reading {
    const struct subject *subject;
    size_t room; /* for all of them */
    uint8_t *value;
    struct xattrs *out;
    /* for want of room */
    size_t left_out, unnamed;
    struct buf names; /* of the first few, quoted */
    struct err *warning;
};
static void reading_deinit(struct reading *reading)
{
    buf_deinit(&reading->names);
}
DEFINE_AUTO_IN_PLACE(reading, struct reading, reading_deinit)

static void leave_out(struct reading *reading, const char *name)
{
    reading->left_out++;
    if (reading->names.len < NAMED_LEAST)
        buf_printf(&reading->names, "%s'%s'", reading->names.len > 0 ? ", " : "", name);
    else
        reading->unnamed++;
}

static void read_one(struct reading *reading, const char *name)
{
    struct buf *encoded = &reading->out->encoded;
    size_t head = XATTR_HEAD_LEN + strlen(name), room = reading->room - encoded->len;
    if (head > room) {
        leave_out(reading, name);
        return;
    }
    size_t most = room - head < XATTR_SIZE_MAX ? room - head : XATTR_SIZE_MAX;
    ssize_t len = get(reading->subject, name, reading->value, most);
    /* asked for a value of no bytes, the system answers with the length that it has */
    bool too_long = len < 0 ? errno == ERANGE && most < XATTR_SIZE_MAX : (size_t)len > most;
    if (too_long) {
        leave_out(reading, name);
        return;
    }
    if (len < 0) {
        /* ENODATA: it was removed meanwhile */
        if (errno != ENODATA && reading->warning->code == ERR_NONE)
            (void)err_sys(reading->warning, errno, "cannot read the extended attribute '%s'", name);
        return;
    }
    xattr_encode(span_str(name), span_of(reading->value, (size_t)len), encoded);
    reading->out->count++;
}

/* Behind it: what could not be read. */
static void tell_left_out(struct reading *reading)
{
    AUTO(buf) struct buf text = {0};
    if (reading->left_out == 0) return;
    buf_printf(&text, "backed up without the extended attribute%s %s", reading->left_out == 1 ? "" : "s",
               buf_cstr(&reading->names));
    if (reading->unnamed > 0) buf_printf(&text, " and %zu more", reading->unnamed);
    buf_printf(&text, ": there is room for 1 MiB of them");
    if (reading->warning->code != ERR_NONE) buf_printf(&text, "; %s", reading->warning->text);
    (void)err_set(reading->warning, ERR_LIMIT, "%s", buf_cstr(&text));
}

static void read_all(const struct subject *subject, struct buf *names, size_t room, struct xattrs *out,
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
    AUTO(reading)
    struct reading reading = {
        .subject = subject, .room = room, .value = value, .out = out, .warning = warning};
    for (size_t i = 0; i < count; i++)
        if (i == 0 || strcmp(sorted[i], sorted[i - 1]) != 0) read_one(&reading, sorted[i]);
    tell_left_out(&reading);
}

void xattrs_read(int fd, enum xattrs_fd how, size_t room, struct xattrs *out, struct err *warning)
{
    char path[64];
    if (how == XATTRS_PATH) (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    const struct subject subject = {.fd = fd, .path = how == XATTRS_PATH ? path : NULL};
    AUTO(buf) struct buf names = {0};
    if (list_all(&subject, &names, warning) && names.len > 0) read_all(&subject, &names, room, out, warning);
}
