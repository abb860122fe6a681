#include "common/net/net_wake.h"

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>

bool net_wake_init(struct net_wake *out, struct err *err)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0) return err_sys(err, errno, "cannot make an eventfd");
    out->fd = fd;
    return true;
}

void net_wake_deinit(struct net_wake *wake)
{
    auto_close_fd(wake->fd);
    wake->fd = -1;
}

void net_wake_signal(const struct net_wake *wake)
{
    int saved = errno;
    const uint64_t one = 1;
    /* EAGAIN: 2^64 - 2 signals are already there */
    while (write(wake->fd, &one, sizeof(one)) < 0 && errno == EINTR)
        continue;
    errno = saved;
}

void net_wake_clear(const struct net_wake *wake)
{
    uint64_t count;
    while (read(wake->fd, &count, sizeof(count)) < 0 && errno == EINTR)
        continue;
}
