#include "common/base/local_peer.h"

#include "common/base/auto.h"

#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

static int listen_here(struct sockaddr_un *at, socklen_t *len)
{
    *at = (struct sockaddr_un){.sun_family = AF_UNIX};
    int name = snprintf(at->sun_path + 1, sizeof(at->sun_path) - 1, "sealift-local-peer-%ld", (long)getpid());
    *len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)name);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(fd >= 0 && bind(fd, (const void *)at, *len) == 0 && listen(fd, 1) == 0);
    return fd;
}

Test(local_peer, is_self_if_this_process_connected)
{
    struct sockaddr_un at;
    socklen_t len;
    AUTO(fd) int listener = listen_here(&at, &len);
    AUTO(fd) int own = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(connect(own, (const void *)&at, len), 0);
    AUTO(fd) int taken = accept(listener, NULL, NULL);
    cr_assert(local_peer_is_self(taken));
}

Test(local_peer, is_not_self_if_another_process_did)
{
    struct sockaddr_un at;
    socklen_t len;
    AUTO(fd) int listener = listen_here(&at, &len);
    pid_t child = fork();
    if (child == 0) {
        int other = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        _exit(connect(other, (const void *)&at, len) == 0 ? 0 : 1);
    }
    cr_assert(child > 0);
    AUTO(fd) int taken = accept(listener, NULL, NULL);
    cr_assert(taken >= 0 && !local_peer_is_self(taken));
    int status;
    cr_assert(waitpid(child, &status, 0) == child && status == 0);
}

Test(local_peer, is_not_self_behind_anything_else)
{
    AUTO(fd) int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(tcp >= 0 && !local_peer_is_self(tcp) && !local_peer_is_self(-1));
}
