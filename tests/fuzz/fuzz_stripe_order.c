/* The input is what a peer sends over its stripes: two bytes a message, its number, or 0xffff to drop all.
 * What comes out must be every number from 1 on, once and in order, and never more must wait than the window
 * holds. */
#include "transporter/session/stripe_order.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DROP_ALL = 0xffff };

static void check(bool holds)
{
    if (!holds) abort();
}

static struct data_message message_of(uint64_t number)
{
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__FetchEnd end = SEALIFT__FETCH_END__INIT;
    AUTO(net_message) struct net_message net = {0};
    struct data_message out = {0};
    struct err err;
    head.sequence = number;
    head.kind_case = SEALIFT__HEAD__KIND_FETCH_END;
    head.fetch_end = &end;
    data_message_make(&head, span_of(&number, sizeof(number)), &net);
    check(data_message_decode(CHANNEL_DIALLER_TO_LISTENER, &net, &out, &err));
    return out;
}

/* true if it was a number that could come */
static bool put(struct stripe_order *order, uint64_t number)
{
    AUTO(data_message) struct data_message message = message_of(number);
    struct err err = {0};
    size_t before = order->count;
    bool took = stripe_order_put(order, &message, &err);
    check(took || (err.code == ERR_PROTOCOL && message.head && order->count == before));
    check(!took || number >= order->next);
    return took;
}

static void take_all(struct stripe_order *order, uint64_t *next)
{
    struct data_message message = {0};
    while (stripe_order_take(order, &message)) {
        check(message.head->sequence == (*next)++);
        data_message_deinit(&message);
    }
    check(order->next == *next && order->count < STRIPE_ORDER_WINDOW);
    check(order->bytes == order->count * sizeof(uint64_t));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct stripe_order order;
    uint64_t next = 1;
    stripe_order_init(&order);
    for (size_t i = 0; i + 1 < size; i += 2) {
        unsigned number = (unsigned)data[i] | (unsigned)data[i + 1] << 8;
        if (number == DROP_ALL) {
            stripe_order_clear(&order);
            next = 1;
        } else if (put(&order, number)) {
            take_all(&order, &next);
        }
    }
    stripe_order_clear(&order);
    check(order.count == 0 && order.bytes == 0);
    return 0;
}
