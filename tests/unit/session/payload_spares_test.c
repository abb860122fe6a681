#include "transporter/session/payload_spares.h"

#include <criterion/criterion.h>
#include <string.h>

enum { LEN = 100000 };

static struct buf filled(size_t len)
{
    struct buf buf = {0};
    memset(buf_grow(&buf, len), 7, len);
    return buf;
}

static void make(struct net_message *message)
{
    struct err err;
    cr_assert(net_message_make(message, span_str("head"), &err), "%s", err.text);
}

Test(payload_spares, memory_that_was_lent_is_given_out_again_when_it_came_back)
{
    AUTO(payload_spares) struct payload_spares *spares = payload_spares_new(1 << 20);
    AUTO(net_message) struct net_message first = {0};
    AUTO(net_message) struct net_message second = {0};
    AUTO(buf) struct buf buf = filled(LEN);
    const uint8_t *memory = buf.data;
    make(&first);
    make(&second);
    payload_spares_lend(spares, &buf, &first);
    cr_assert(!buf.data && net_message_payload(&first).data == memory);
    cr_assert_eq(net_message_payload(&first).len, LEN);
    net_message_deinit(&first);
    buf = filled(10);
    payload_spares_lend(spares, &buf, &second);
    cr_assert(buf.data == memory && buf.len == 0 && buf.cap >= LEN);
}

Test(payload_spares, a_payload_that_is_shared_comes_back_with_the_last_message)
{
    AUTO(payload_spares) struct payload_spares *spares = payload_spares_new(1 << 20);
    AUTO(net_message) struct net_message first = {0};
    AUTO(net_message) struct net_message second = {0};
    AUTO(net_message) struct net_message third = {0};
    AUTO(buf) struct buf buf = filled(LEN);
    make(&first);
    make(&third);
    payload_spares_lend(spares, &buf, &first);
    net_message_share(&first, &second);
    net_message_deinit(&first);
    buf = filled(10);
    payload_spares_lend(spares, &buf, &third);
    cr_assert_null(buf.data);
    cr_assert_eq(net_message_payload(&second).data[LEN - 1], 7);
}

Test(payload_spares, no_more_is_kept_than_the_limit)
{
    AUTO(payload_spares) struct payload_spares *spares = payload_spares_new(LEN / 2);
    AUTO(net_message) struct net_message first = {0};
    AUTO(net_message) struct net_message second = {0};
    AUTO(buf) struct buf buf = filled(LEN);
    make(&first);
    make(&second);
    payload_spares_lend(spares, &buf, &first);
    net_message_deinit(&first);
    buf = filled(10);
    payload_spares_lend(spares, &buf, &second);
    cr_assert_null(buf.data);
}

Test(payload_spares, what_is_lent_outlives_the_owner)
{
    struct payload_spares *spares = payload_spares_new(1 << 20);
    AUTO(net_message) struct net_message message = {0};
    struct buf buf = filled(LEN);
    make(&message);
    payload_spares_lend(spares, &buf, &message);
    payload_spares_free(spares);
    cr_assert_eq(net_message_payload(&message).data[0], 7);
}
