#include "transporter/session/stripe_order.h"

#include "common/base/alloc.h"

#include <inttypes.h>
#include <stdlib.h>

static struct data_message **place_of(struct stripe_order *order, uint64_t number)
{
    return &order->waiting[number % STRIPE_ORDER_WINDOW];
}

void stripe_order_init(struct stripe_order *order)
{
    *order = (struct stripe_order){.next = 1};
}

void stripe_order_clear(struct stripe_order *order)
{
    for (size_t i = 0; i < STRIPE_ORDER_WINDOW && order->count > 0; i++) {
        if (!order->waiting[i]) continue;
        data_message_deinit(order->waiting[i]);
        free(order->waiting[i]);
        order->count--;
    }
    stripe_order_init(order);
}

bool stripe_order_put(struct stripe_order *order, struct data_message *message, struct err *err)
{
    uint64_t number = message->head->sequence;
    if (number >= order->next && number - order->next >= STRIPE_ORDER_WINDOW)
        return err_set(err, ERR_PROTOCOL, "message %" PRIu64 " came before message %" PRIu64, number,
                       order->next);
    if (number < order->next || *place_of(order, number))
        return err_set(err, ERR_PROTOCOL, "message %" PRIu64 " came twice", number);
    struct data_message *kept = xcalloc(1, sizeof(*kept));
    data_message_move(message, kept);
    *place_of(order, number) = kept;
    order->count++;
    order->bytes += data_message_payload(kept).len;
    return true;
}

bool stripe_order_take(struct stripe_order *order, struct data_message *out)
{
    struct data_message **place = place_of(order, order->next);
    struct data_message *kept = *place;
    if (!kept) return false;
    *place = NULL;
    order->next++;
    order->count--;
    order->bytes -= data_message_payload(kept).len;
    data_message_move(kept, out);
    free(kept);
    return true;
}
