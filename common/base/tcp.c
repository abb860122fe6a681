#include "common/base/tcp.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>

static void set(int fd, int level, int option, int value)
{
    (void)setsockopt(fd, level, option, &value, sizeof(value));
}

/* An idle connection: half of the time nothing is asked, in the other half it is four times. */
void tcp_watch(int fd, int silence_ms)
{
    const int idle_s = silence_ms / 2000, interval_s = silence_ms / 8000;
    set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set(fd, IPPROTO_TCP, TCP_KEEPIDLE, idle_s > 0 ? idle_s : 1);
    set(fd, IPPROTO_TCP, TCP_KEEPINTVL, interval_s > 0 ? interval_s : 1);
    set(fd, IPPROTO_TCP, TCP_KEEPCNT, 4);
    set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, silence_ms);
}

uint64_t tcp_trip_us(int fd)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof(info);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return 0;
    if (size < offsetof(struct tcp_info, tcpi_min_rtt) + sizeof(info.tcpi_min_rtt)) return 0;
    return info.tcpi_min_rtt != UINT32_MAX ? info.tcpi_min_rtt : 0;
}

void tcp_keep_short(int fd)
{
    /* six of them have enough for 50 ms of 1 Gbit/s, should nobody come to fill them */
    set(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 1 << 20);
}

void tcp_take_little(int fd)
{
    set(fd, SOL_SOCKET, SO_RCVBUF, 256 << 10);
}
