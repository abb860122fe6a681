#include "common/net/net_arrival.h"

#include "common/base/text.h"

#include <errno.h>

void net_arrival_init(struct net_arrival *arrival)
{
    (void)zmq_msg_init(&arrival->route);
    (void)zmq_msg_init(&arrival->header);
    (void)zmq_msg_init(&arrival->payload);
    arrival->frames = 0;
}

void net_arrival_deinit(struct net_arrival *arrival)
{
    (void)zmq_msg_close(&arrival->route);
    (void)zmq_msg_close(&arrival->header);
    (void)zmq_msg_close(&arrival->payload);
}

static int receive_frame(zmq_msg_t *frame, void *handle, int *more)
{
    while (zmq_msg_recv(frame, handle, ZMQ_DONTWAIT) < 0)
        if (errno != EINTR) return errno;
    *more = zmq_msg_more(frame);
    return 0;
}

int net_arrival_receive(struct net_arrival *arrival, void *handle, enum net_role role)
{
    int failed = 0;
    int more = 1;
    if (role == NET_SERVER) failed = receive_frame(&arrival->route, handle, &more);
    while (!failed && more) {
        AUTO(net_zmq_msg) zmq_msg_t excess;
        (void)zmq_msg_init(&excess);
        zmq_msg_t *const wanted[] = {&arrival->header, &arrival->payload};
        failed = receive_frame(arrival->frames < 2 ? wanted[arrival->frames] : &excess, handle, &more);
        arrival->frames++;
    }
    return failed;
}

bool net_arrival_well_formed(const struct net_arrival *arrival, size_t max_payload, enum net_fault *fault)
{
    if (arrival->frames != 2)
        *fault = NET_FAULT_FRAMES;
    else if (zmq_msg_size(&arrival->header) > NET_HEADER_MAX)
        *fault = NET_FAULT_HEADER;
    else if (zmq_msg_size(&arrival->payload) > max_payload)
        *fault = NET_FAULT_PAYLOAD;
    else
        return true;
    return false;
}

bool net_arrival_key(struct net_arrival *arrival, uint8_t key[static NET_KEY_LEN])
{
    struct err ignored;
    const char *user_id = zmq_msg_gets(&arrival->header, "User-Id");
    return user_id && hex_decode(user_id, key, NET_KEY_LEN, &ignored);
}

const char *net_arrival_address(struct net_arrival *arrival)
{
    const char *address = zmq_msg_gets(&arrival->header, "Peer-Address");
    return address ? address : "";
}

int net_arrival_fd(struct net_arrival *arrival)
{
    return zmq_msg_get(&arrival->header, ZMQ_SRCFD);
}
