#include "transporter/source/spill.h"

#include "common/base/alloc.h"
#include "common/base/auto.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#define SPILL_DIR_DEFAULT "/var/tmp"

bool spill_open(const char *dir, int *fd, struct err *err)
{
    if (!dir) dir = SPILL_DIR_DEFAULT;
    int made = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (made < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT)) {
        AUTO(free) char *path = xasprintf("%s/sealift-XXXXXX", dir);
        made = mkostemp(path, O_CLOEXEC);
        if (made >= 0) (void)unlink(path);
    }
    if (made < 0) return err_sys(err, errno, "cannot make a temporary file in '%s'", dir);
    *fd = made;
    return true;
}

/* A fresh mapping of `len` bytes; *fd is -1 if it needs no file. */
static void *map_new(size_t len, size_t memory_max, const char *dir, int *fd, struct err *err)
{
    if (len <= memory_max) {
        void *data = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (data == MAP_FAILED) alloc_abort(len);
        *fd = -1;
        return data;
    }
    AUTO(fd) int made = -1;
    if (!spill_open(dir, &made, err)) return NULL;
    int failed = posix_fallocate(made, 0, (off_t)len);
    if (failed) {
        (void)err_sys(err, failed, "cannot reserve %zu bytes in '%s'", len, dir ? dir : SPILL_DIR_DEFAULT);
        return NULL;
    }
    void *data = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, made, 0);
    if (data == MAP_FAILED) {
        (void)err_sys(err, errno, "cannot map a temporary file");
        return NULL;
    }
    *fd = made;
    made = -1;
    return data;
}

static bool file_grow(struct spill_region *region, size_t len, struct err *err)
{
    int failed = posix_fallocate(region->fd, 0, (off_t)len);
    if (failed) return err_sys(err, failed, "cannot reserve %zu bytes in a temporary file", len);
    void *data = mremap(region->data, region->len, len, MREMAP_MAYMOVE);
    if (data == MAP_FAILED) return err_sys(err, errno, "cannot map a temporary file");
    region->data = data;
    region->len = len;
    return true;
}

bool spill_region_grow(struct spill_region *region, size_t len, size_t memory_max, const char *dir,
                       struct err *err)
{
    if (len <= region->len) return true;
    if (region->fd >= 0) return file_grow(region, len, err);
    int fd;
    uint8_t *data = map_new(len, memory_max, dir, &fd, err);
    if (!data) return false;
    if (region->len) memcpy(data, region->data, region->len);
    spill_region_deinit(region);
    *region = (struct spill_region){.data = data, .len = len, .fd = fd};
    return true;
}

void spill_region_deinit(struct spill_region *region)
{
    if (region->data) (void)munmap(region->data, region->len);
    if (region->fd >= 0) (void)close(region->fd);
    *region = (struct spill_region){.fd = -1};
}
