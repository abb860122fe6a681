#include "raw.h"

#include "common/net/net_zmq.h"

#include <criterion/criterion.h>
#include <string.h>

static void begin(struct raw *raw, const struct loopback *loop, const struct net_key *key)
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
}

static void listen_at(struct raw *raw, char address[static 128])
{
    size_t size = 128;
    cr_assert_eq(zmq_bind(raw->handle, "tcp://127.0.0.1:*"), 0);
    cr_assert_eq(zmq_getsockopt(raw->handle, ZMQ_LAST_ENDPOINT, address, &size), 0);
}

void raw_init(struct raw *raw, const struct loopback *loop, const struct net_key *key, struct span routing_id)
{
    begin(raw, loop, key);
    if (routing_id.len)
        cr_assert_eq(zmq_setsockopt(raw->handle, ZMQ_ROUTING_ID, routing_id.data, routing_id.len), 0);
    cr_assert_eq(zmq_connect(raw->handle, loop->address), 0);
}

void raw_init_listening(struct raw *raw, const struct loopback *loop, const struct net_key *key,
                        char address[static 128])
{
    begin(raw, loop, key);
    listen_at(raw, address);
}

void raw_init_server(struct raw *raw, const struct loopback *loop, char address[static 128])
{
    const int zero = 0, one = 1;
    raw->handle = zmq_socket(net_context_handle(loop->context), ZMQ_ROUTER);
    cr_assert_not_null(raw->handle);
    zmq_setsockopt(raw->handle, ZMQ_LINGER, &zero, sizeof(zero));
    zmq_setsockopt(raw->handle, ZMQ_SNDHWM, &zero, sizeof(zero));
    zmq_setsockopt(raw->handle, ZMQ_CURVE_SERVER, &one, sizeof(one));
    zmq_setsockopt(raw->handle, ZMQ_CURVE_SECRETKEY, net_key_secret(loop->server_key)->data, NET_KEY_LEN);
    zmq_setsockopt(raw->handle, ZMQ_ZAP_DOMAIN, DOMAIN, strlen(DOMAIN));
    listen_at(raw, address);
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

void raw_answer(struct raw *raw, const char *frame, int count)
{
    uint8_t route[64];
    char rest[64];
    const int len = zmq_recv(raw->handle, route, sizeof(route), 0);
    cr_assert_gt(len, 0);
    for (int more = 1; more;) {
        size_t size = sizeof(more);
        cr_assert_geq(zmq_recv(raw->handle, rest, sizeof(rest), 0), 0);
        cr_assert_eq(zmq_getsockopt(raw->handle, ZMQ_RCVMORE, &more, &size), 0);
    }
    cr_assert_eq(zmq_send(raw->handle, route, (size_t)len, ZMQ_SNDMORE), len);
    raw_send(raw, frame, count);
}
