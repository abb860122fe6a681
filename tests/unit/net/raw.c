#include "raw.h"

#include "common/net/net_zmq.h"

#include <criterion/criterion.h>
#include <string.h>

void raw_init(struct raw *raw, const struct loopback *loop, const struct net_key *key, struct span routing_id)
{
    const int zero = 0;
    const int timeout_ms = DEADLINE_MS;
    raw->handle = zmq_socket(net_context_handle(loop->context), ZMQ_DEALER);
    cr_assert_not_null(raw->handle);
    zmq_setsockopt(raw->handle, ZMQ_LINGER, &zero, sizeof(zero));
    zmq_setsockopt(raw->handle, ZMQ_SNDTIMEO, &timeout_ms, sizeof(timeout_ms));
    zmq_setsockopt(raw->handle, ZMQ_CURVE_PUBLICKEY, net_key_public(key), NET_KEY_LEN);
    zmq_setsockopt(raw->handle, ZMQ_CURVE_SECRETKEY, net_key_secret(key)->data, NET_KEY_LEN);
    zmq_setsockopt(raw->handle, ZMQ_CURVE_SERVERKEY, net_key_public(loop->server_key), NET_KEY_LEN);
    if (routing_id.len)
        cr_assert_eq(zmq_setsockopt(raw->handle, ZMQ_ROUTING_ID, routing_id.data, routing_id.len), 0);
    cr_assert_eq(zmq_connect(raw->handle, loop->address), 0);
}

void raw_deinit(struct raw *raw)
{
    net_zmq_close(raw->handle);
}

void raw_send(struct raw *raw, const char *frame, int count)
{
    for (int i = 1; i <= count; i++)
        cr_assert_geq(zmq_send(raw->handle, frame, strlen(frame), i < count ? ZMQ_SNDMORE : 0), 0);
}
