#include "common/base/local_peer.h"

#include <sys/socket.h>
#include <unistd.h>

bool local_peer_is_self(int fd)
{
    struct ucred who;
    socklen_t size = sizeof(who);
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0 && who.pid == getpid();
}
