#include "socks_peer.h"

#include "common/base/auto.h"
#include "loopback.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

int socks_peer_listen(char address[64])
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(name);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(bind(fd, (struct sockaddr *)&name, len) == 0 && listen(fd, 8) == 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&name, &len), 0);
    (void)snprintf(address, 64, "127.0.0.1:%u", ntohs(name.sin_port));
    return fd;
}

int socks_peer_call(const char *address)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    name.sin_port = htons((uint16_t)strtoul(strrchr(address, ':') + 1, NULL, 10));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(connect(fd, (struct sockaddr *)&name, sizeof(name)), 0);
    return fd;
}

static void *run(void *argument)
{
    struct socks_peer *peer = argument;
    const struct timeval limit = {.tv_sec = DEADLINE_MS / 1000};
    struct pollfd call = {.fd = peer->listener, .events = POLLIN};
    AUTO(fd) int fd = poll(&call, 1, DEADLINE_MS) == 1 ? accept(peer->listener, NULL, NULL) : -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    for (size_t i = 0; i < peer->count && peer->steps[i].expected_len > 0; i++) {
        const struct socks_peer_step *step = &peer->steps[i];
        char got[1024];
        if (recv(fd, got, step->expected_len, MSG_WAITALL) != (ssize_t)step->expected_len ||
            memcmp(got, step->expected, step->expected_len) != 0)
            peer->wrong++;
        if (send(fd, step->said, step->said_len, MSG_NOSIGNAL) != (ssize_t)step->said_len) peer->wrong++;
    }
    return NULL;
}

void socks_peer_start(struct socks_peer *peer, const struct socks_peer_step *steps, size_t count)
{
    *peer = (struct socks_peer){.steps = steps, .count = count};
    peer->listener = socks_peer_listen(peer->address);
    cr_assert_eq(pthread_create(&peer->thread, NULL, run, peer), 0);
}

size_t socks_peer_join(struct socks_peer *peer)
{
    (void)pthread_join(peer->thread, NULL);
    close(peer->listener);
    return peer->wrong;
}
