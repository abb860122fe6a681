#include "tests/support/flip.h"

#include "common/base/auto.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

void flip(const char *path, uint64_t at)
{
    AUTO(fd) int fd = open(path, O_RDWR | O_CLOEXEC);
    uint8_t byte;
    if (fd >= 0 && pread(fd, &byte, 1, (off_t)at) == 1) {
        byte ^= 0x20;
        if (pwrite(fd, &byte, 1, (off_t)at) == 1) return;
    }
    perror(path);
    abort();
}
