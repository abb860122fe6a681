#include "common/net/net_poll.h"

#include "common/net/net_zmq.h"

#include <assert.h>
#include <errno.h>

struct net_poll_item net_poll_socket(struct net_socket *socket, unsigned wanted)
{
    return (struct net_poll_item){.handle = net_socket_handle(socket), .fd = -1, .wanted = wanted};
}

struct net_poll_item net_poll_monitor(struct net_monitor *monitor)
{
    return (struct net_poll_item){.handle = net_monitor_handle(monitor), .fd = -1, .wanted = NET_READABLE};
}

struct net_poll_item net_poll_fd(int fd, unsigned wanted)
{
    return (struct net_poll_item){.fd = fd, .wanted = wanted};
}

static short events_of(unsigned wanted)
{
    return (short)(((wanted & NET_READABLE) ? ZMQ_POLLIN : 0) | ((wanted & NET_WRITABLE) ? ZMQ_POLLOUT : 0));
}

static unsigned ready_of(const zmq_pollitem_t *polled, unsigned wanted)
{
    if (polled->revents & ZMQ_POLLERR) return wanted;
    unsigned ready = ((polled->revents & ZMQ_POLLIN) ? NET_READABLE : 0u) |
                     ((polled->revents & ZMQ_POLLOUT) ? NET_WRITABLE : 0u);
    return ready & wanted;
}

bool net_poll_wait(struct net_poll_item *items, size_t count, int timeout_ms, struct err *err)
{
    assert(count <= NET_POLL_MAX);
    zmq_pollitem_t polled[NET_POLL_MAX];
    for (size_t i = 0; i < count; i++)
        polled[i] = (zmq_pollitem_t){
            .socket = items[i].handle, .fd = items[i].fd, .events = events_of(items[i].wanted)};
    if (zmq_poll(polled, (int)count, timeout_ms) < 0) {
        if (errno != EINTR) return net_zmq_fail(err, errno, "cannot wait for messages");
        for (size_t i = 0; i < count; i++)
            polled[i].revents = 0;
    }
    for (size_t i = 0; i < count; i++)
        items[i].ready = ready_of(&polled[i], items[i].wanted);
    return true;
}
