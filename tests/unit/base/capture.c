#include "capture.h"

#include <criterion/criterion.h>
#include <sys/mman.h>

struct capture capture_start(void)
{
    struct capture capture = {.saved = dup(STDERR_FILENO), .file = memfd_create("stderr", MFD_CLOEXEC)};
    cr_assert(capture.saved >= 0 && capture.file >= 0);
    cr_assert(dup2(capture.file, STDERR_FILENO) >= 0);
    return capture;
}

const char *capture_stop(struct capture *capture, struct buf *out)
{
    cr_assert(dup2(capture->saved, STDERR_FILENO) >= 0);
    off_t len = lseek(capture->file, 0, SEEK_END);
    cr_assert(len >= 0);
    uint8_t *to = buf_grow(out, (size_t)len);
    cr_assert(pread(capture->file, to, (size_t)len, 0) == len);
    (void)close(capture->saved);
    (void)close(capture->file);
    return buf_cstr(out);
}
