#include "common/net/net_zap.h"

#include "common/base/text.h"
#include "common/net/net_poll.h"
#include "common/net/net_zmq.h"
#include "loopback.h"

#include <criterion/criterion.h>
#include <string.h>

struct handler {
    struct net_context *context;
    struct net_zap *zap;
    void *asker; /* plays libzmq's part */
};

static void handler_init(struct handler *handler)
{
    struct err err;
    const int timeout_ms = DEADLINE_MS;
    const int zero = 0;
    *handler = (struct handler){0};
    cr_assert(net_context_new(1, &handler->context, &err), "%s", err.text);
    cr_assert(net_zap_start(handler->context, &handler->zap, &err), "%s", err.text);
    net_zap_set_domain(handler->zap, "data", NET_UNKNOWN_REFUSE);
    handler->asker = zmq_socket(net_context_handle(handler->context), ZMQ_REQ);
    zmq_setsockopt(handler->asker, ZMQ_RCVTIMEO, &timeout_ms, sizeof(timeout_ms));
    zmq_setsockopt(handler->asker, ZMQ_LINGER, &zero, sizeof(zero));
    cr_assert_eq(zmq_connect(handler->asker, "inproc://zeromq.zap.01"), 0);
}

static void handler_deinit(struct handler *handler)
{
    net_zmq_close(handler->asker);
    net_zap_stop(handler->zap);
    net_context_free(handler->context);
}
DEFINE_AUTO_IN_PLACE(handler, struct handler, handler_deinit)

static const uint8_t key[NET_KEY_LEN] = {0xab, [31] = 0xcd};

/* Sends the first `count` of these frames and checks the answer. */
static void ask(struct handler *handler, const struct span *frames, int count, const char *request_id,
                const char *status, const char *user_id)
{
    for (int i = 0; i < count; i++)
        cr_assert_geq(
            zmq_send(handler->asker, frames[i].data, frames[i].len, i + 1 < count ? ZMQ_SNDMORE : 0), 0);
    const char *const expected[] = {"1.0", request_id, status, "", user_id, ""};
    for (size_t i = 0; i < 6; i++) {
        char text[256];
        int len = zmq_recv(handler->asker, text, sizeof(text), 0);
        cr_assert(len >= 0 && span_eq(span_of(text, (size_t)len), span_str(expected[i])), "frame %zu: '%.*s'",
                  i, len, text);
    }
}

enum { FRAMES = 7 };

static void request(struct span frames[FRAMES])
{
    const struct span good[FRAMES] = {span_str("1.0"),          span_str("1"), span_str("data"),
                                      span_str("192.0.2.1"),    span_str(""),  span_str("CURVE"),
                                      span_of(key, sizeof(key))};
    memcpy(frames, good, sizeof(good));
}

Test(net_zap, answers_with_the_key_as_user_id)
{
    AUTO(handler) struct handler handler;
    struct span frames[FRAMES];
    struct net_denial denial;
    char user_id[65];
    handler_init(&handler);
    net_zap_allow(handler.zap, "data", key);
    request(frames);
    hex_encode(key, sizeof(key), user_id);
    ask(&handler, frames, FRAMES, "1", "200", user_id);
    cr_assert(!net_zap_take_denial(handler.zap, &denial));
}

Test(net_zap, refuses_an_unknown_key_for_ever_or_for_now)
{
    AUTO(handler) struct handler handler;
    struct span frames[FRAMES];
    struct net_denial denial;
    char user_id[65];
    handler_init(&handler);
    request(frames);
    ask(&handler, frames, FRAMES, "1", "400", "");
    net_zap_set_domain(handler.zap, "data", NET_UNKNOWN_RETRY);
    ask(&handler, frames, FRAMES, "1", "300", "");
    net_zap_set_domain(handler.zap, "data", NET_UNKNOWN_PENDING);
    hex_encode(key, sizeof(key), user_id);
    ask(&handler, frames, FRAMES, "1", "200", user_id);
    cr_assert(net_zap_take_denial(handler.zap, &denial));
    cr_assert_eq(denial.count, 2, "the pending one was let in");
}

Test(net_zap, refuses_every_other_mechanism)
{
    static const char *const mechanisms[] = {"NULL", "PLAIN", "GSSAPI", "", "CURVE2", "curve"};
    AUTO(handler) struct handler handler;
    struct span frames[FRAMES];
    struct net_denial denial;
    handler_init(&handler);
    net_zap_set_domain(handler.zap, "data", NET_UNKNOWN_PENDING);
    for (size_t i = 0; i < sizeof(mechanisms) / sizeof(mechanisms[0]); i++) {
        request(frames);
        frames[5] = span_str(mechanisms[i]);
        ask(&handler, frames, FRAMES, "1", "400", "");
    }
    cr_assert(net_zap_take_denial(handler.zap, &denial));
    cr_assert_eq(denial.reason, NET_DENIED_MECHANISM);
    cr_assert_eq(denial.count, 6);
}

Test(net_zap, refuses_requests_cut_short_at_every_frame_and_overlong_ones)
{
    AUTO(handler) struct handler handler;
    struct span frames[FRAMES + 1];
    handler_init(&handler);
    net_zap_allow(handler.zap, "data", key);
    request(frames);
    for (int count = 1; count < FRAMES; count++)
        ask(&handler, frames, count, count < 6 ? "" : "1", "400", "");
    frames[FRAMES] = span_str("excess");
    ask(&handler, frames, FRAMES + 1, "1", "400", "");
}

Test(net_zap, refuses_frames_of_the_wrong_size_or_content)
{
    static uint8_t long_bytes[300];
    uint8_t longer_key[NET_KEY_LEN + 1] = {0};
    memset(long_bytes, 'x', sizeof(long_bytes));
    memcpy(longer_key, key, sizeof(key));
    const struct {
        int frame;
        struct span bytes;
        const char *request_id;
    } faults[] = {
        {0, span_str("1.1"), ""},          {0, span_str("1.00"), ""},
        {1, span_of(long_bytes, 256), ""}, {1, span_of("1\0", 2), ""},
        {2, span_str("dat"), "1"},         {2, span_str(""), "1"},
        {2, span_of("data\0", 5), "1"},    {2, span_of(long_bytes, 64), "1"},
        {6, span_of(key, 31), "1"},        {6, span_of(longer_key, 33), "1"},
        {6, span_of(key, 0), "1"},
    };
    AUTO(handler) struct handler handler;
    handler_init(&handler);
    net_zap_allow(handler.zap, "data", key);
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        struct span frames[FRAMES];
        request(frames);
        frames[faults[i].frame] = faults[i].bytes;
        ask(&handler, frames, FRAMES, faults[i].request_id, "400", "");
    }
}

Test(net_zap, one_changed_bit_makes_another_key)
{
    AUTO(handler) struct handler handler;
    struct span frames[FRAMES];
    handler_init(&handler);
    net_zap_allow(handler.zap, "data", key);
    for (size_t bit = 0; bit < sizeof(key) * 8; bit++) {
        uint8_t changed[NET_KEY_LEN];
        memcpy(changed, key, sizeof(key));
        changed[bit / 8] ^= (uint8_t)(1u << bit % 8);
        request(frames);
        frames[6] = span_of(changed, sizeof(changed));
        ask(&handler, frames, FRAMES, "1", "400", "");
    }
}

Test(net_zap, tells_of_each_denial_once)
{
    struct err err;
    AUTO(handler) struct handler handler;
    struct span frames[FRAMES];
    struct net_denial denial;
    handler_init(&handler);
    struct net_poll_item item = net_poll_fd(net_zap_fd(handler.zap), NET_READABLE);
    cr_assert(net_poll_wait(&item, 1, 0, &err));
    cr_assert_eq(item.ready, 0);
    request(frames);
    frames[3] = span_str("::ffff:192.0.2.1");
    for (int i = 0; i < 3; i++)
        ask(&handler, frames, FRAMES, "1", "400", "");
    cr_assert(net_poll_wait(&item, 1, DEADLINE_MS, &err));
    cr_assert_eq(item.ready, NET_READABLE);
    cr_assert(net_zap_take_denial(handler.zap, &denial));
    cr_assert_eq(denial.reason, NET_DENIED_KEY);
    cr_assert_eq(denial.count, 3);
    cr_assert_str_eq(denial.domain, "data");
    cr_assert_str_eq(denial.address, "192.0.2.1");
    cr_assert_eq(memcmp(denial.key, key, sizeof(key)), 0);
    cr_assert(!net_zap_take_denial(handler.zap, &denial));
    ask(&handler, frames, FRAMES, "1", "400", "");
    cr_assert(!net_zap_take_denial(handler.zap, &denial));
    cr_assert(net_poll_wait(&item, 1, 0, &err));
    cr_assert_eq(item.ready, 0);
}

Test(net_zap, is_the_only_one_in_its_context_and_can_be_started_again)
{
    struct err err;
    AUTO(net_context) struct net_context *context = NULL;
    struct net_zap *zap = NULL;
    cr_assert(net_context_new(1, &context, &err));
    for (int i = 0; i < 500; i++) {
        struct net_zap *second = NULL;
        cr_assert(net_zap_start(context, &zap, &err), "round %d: %s", i, err.text);
        cr_assert(!net_zap_start(context, &second, &err));
        cr_assert_eq(err.code, ERR_EXISTS);
        cr_assert_null(second);
        net_zap_stop(zap);
    }
}

Test(net_zap, stops_after_its_context_was_shut_down)
{
    struct err err;
    AUTO(net_context) struct net_context *context = NULL;
    AUTO(net_zap) struct net_zap *zap = NULL;
    cr_assert(net_context_new(1, &context, &err));
    cr_assert(net_zap_start(context, &zap, &err));
    net_context_shutdown(context);
}

Test(net_zap, a_client_that_was_told_to_wait_gets_in_later)
{
    AUTO(loopback) struct loopback loop;
    AUTO(net_key) struct net_key *late = make_key();
    AUTO(client) struct client client;
    struct err err;
    struct net_denial denial;
    loopback_init(&loop, NET_UNKNOWN_RETRY);
    struct net_options options = loopback_client_options(&loop, late);
    options.handshake_timeout_ms = 200;
    client_init_with(&client, &loop, &options, loop.address);
    struct net_poll_item item = net_poll_fd(net_zap_fd(loop.zap), NET_READABLE);
    cr_assert(net_poll_wait(&item, 1, DEADLINE_MS, &err));
    cr_assert(net_zap_take_denial(loop.zap, &denial));
    cr_assert_str_eq(denial.domain, DOMAIN);
    cr_assert_str_eq(denial.address, "127.0.0.1");
    cr_assert_eq(memcmp(denial.key, net_key_public(late), NET_KEY_LEN), 0);
    net_zap_allow(loop.zap, DOMAIN, net_key_public(late));
    (void)await(client.monitor, NET_UP);
    send_text(client.socket, NULL, "hello", "");
    struct net_peer peer = receive_text(loop.server, "hello", "");
    cr_assert_eq(peer.standing, NET_STANDING_ALLOWED);
}
