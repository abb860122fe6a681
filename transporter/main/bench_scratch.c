#include "transporter/main/bench_scratch.h"

#include "common/base/alloc.h"
#include "common/base/auto.h"

#include <errno.h>
#include <fcntl.h>

bool bench_scratch_open(const char *directory, int *out, struct err *err)
{
    AUTO(free) char *path = xasprintf("%s/.sealift-bench.XXXXXX", directory);
    AUTO(fd) int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0) return err_sys(err, errno, "cannot create a file in '%s'", directory);
    if (unlink(path) != 0) return err_sys(err, errno, "cannot remove '%s'", path);
    *out = fd;
    fd = -1;
    return true;
}
