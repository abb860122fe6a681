#include "fast_folder.h"

#include "common/base/auto.h"
#include "common/base/file.h"

#include <fcntl.h>
#include <sys/xattr.h>

const char *fast_folder(void)
{
    AUTO(fd) int fd = open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    return fd >= 0 && fsetxattr(fd, "user.probe", "1", 1, 0) == 0 ? "/dev/shm" : "/tmp";
}
