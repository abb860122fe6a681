#include "common/net/net_message.h"

#include <criterion/criterion.h>
#include <string.h>

struct released {
    void *data;
    int count;
};

static void note_release(void *data, void *context)
{
    struct released *released = context;
    released->data = data;
    released->count++;
}

static void make(struct net_message *message, const char *header)
{
    struct err err;
    cr_assert(net_message_make(message, span_str(header), &err), "%s", err.text);
}

Test(net_message, has_the_header_it_was_made_of_and_an_empty_payload)
{
    AUTO(net_message) struct net_message message = {0};
    make(&message, "header");
    cr_assert(span_eq(net_message_header(&message), span_str("header")));
    cr_assert_eq(net_message_payload(&message).len, 0);
}

Test(net_message, refuses_a_header_over_the_limit)
{
    struct err err;
    static const uint8_t bytes[NET_HEADER_MAX + 1];
    AUTO(net_message) struct net_message longest = {0};
    AUTO(net_message) struct net_message longer = {0};
    cr_assert(net_message_make(&longest, span_of(bytes, NET_HEADER_MAX), &err));
    cr_assert(!net_message_make(&longer, span_of(bytes, NET_HEADER_MAX + 1), &err));
    cr_assert_eq(err.code, ERR_LIMIT);
    cr_assert_str_eq(err.text, "a message header of 4097 bytes: at most 4096 are possible");
    cr_assert(!longer.live);
}

Test(net_message, a_taken_payload_is_the_callers_bytes_and_is_released_once)
{
    char data[100] = "payload";
    struct released released = {0};
    {
        AUTO(net_message) struct net_message message = {0};
        make(&message, "header");
        net_message_take_payload(&message, data, sizeof(data), note_release, &released);
        cr_assert_eq(net_message_payload(&message).data, (const uint8_t *)data);
        cr_assert_eq(released.count, 0);
    }
    cr_assert_eq(released.count, 1);
    cr_assert_eq(released.data, data);
}

Test(net_message, a_replaced_payload_is_released)
{
    char data[100];
    struct released released = {0};
    AUTO(net_message) struct net_message message = {0};
    make(&message, "header");
    net_message_take_payload(&message, data, sizeof(data), note_release, &released);
    net_message_copy_payload(&message, span_str("another"));
    cr_assert_eq(released.count, 1);
    cr_assert(span_eq(net_message_payload(&message), span_str("another")));
}

Test(net_message, a_shared_payload_is_one_and_released_by_the_last)
{
    char data[100];
    struct released released = {0};
    struct net_message first = {0};
    struct net_message second = {0};
    make(&first, "header");
    net_message_take_payload(&first, data, sizeof(data), note_release, &released);
    net_message_share(&first, &second);
    cr_assert_eq(net_message_payload(&second).data, (const uint8_t *)data);
    cr_assert(span_eq(net_message_header(&second), span_str("header")));
    net_message_deinit(&first);
    cr_assert_eq(released.count, 0);
    net_message_deinit(&second);
    cr_assert_eq(released.count, 1);
}

Test(net_message, moving_leaves_an_empty_message)
{
    char data[100];
    struct released released = {0};
    AUTO(net_message) struct net_message from = {0};
    AUTO(net_message) struct net_message to = {0};
    make(&from, "header");
    net_message_take_payload(&from, data, sizeof(data), note_release, &released);
    net_message_move(&from, &to);
    cr_assert(!from.live);
    cr_assert_eq(net_message_payload(&to).data, (const uint8_t *)data);
    cr_assert(span_eq(net_message_header(&to), span_str("header")));
    net_message_deinit(&from);
    cr_assert_eq(released.count, 0);
}

Test(net_message, deinit_of_an_empty_message_does_nothing)
{
    struct net_message message = {0};
    net_message_deinit(&message);
    net_message_deinit(&message);
    cr_assert(!message.live);
}
