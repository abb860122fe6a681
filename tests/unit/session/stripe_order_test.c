#include "transporter/session/stripe_order.h"

#include "common/base/alloc.h"

#include <criterion/criterion.h>
#include <string.h>

static void order_deinit(struct stripe_order *order)
{
    stripe_order_clear(order);
}
DEFINE_AUTO_IN_PLACE(order, struct stripe_order, order_deinit)

/* A batch whose number is its sequence number, with `len` bytes. */
static struct data_message message_of(uint64_t sequence, size_t len)
{
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Batch batch = SEALIFT__BATCH__INIT;
    struct data_message out = {0};
    struct err err = {0};
    AUTO(free) uint8_t *bytes = xcalloc(len + 1, 1);
    AUTO(net_message) struct net_message net = {0};
    batch.number = sequence;
    head.sequence = sequence;
    head.kind_case = SEALIFT__HEAD__KIND_BATCH;
    head.batch = &batch;
    data_message_make(&head, span_of(bytes, len), &net);
    cr_assert(data_message_decode(CHANNEL_DIALLER_TO_LISTENER, &net, &out, &err), "%s", err.text);
    return out;
}

static bool put(struct stripe_order *order, uint64_t sequence, struct err *err)
{
    AUTO(data_message) struct data_message message = message_of(sequence, 10);
    *err = (struct err){0};
    return stripe_order_put(order, &message, err);
}

/* 0: none */
static uint64_t take(struct stripe_order *order)
{
    AUTO(data_message) struct data_message message = {0};
    if (!stripe_order_take(order, &message)) return 0;
    cr_assert_eq(message.head->sequence, message.head->batch->number);
    return message.head->sequence;
}

Test(stripe_order, gives_out_what_came_in_any_order_in_the_order_of_its_numbers)
{
    static const uint64_t came[] = {3, 1, 2, 6, 8, 7, 5, 4};
    static const unsigned out_by_then[] = {0, 1, 3, 3, 3, 3, 3, 8};
    AUTO(order) struct stripe_order order;
    struct err err;
    uint64_t next = 1;
    stripe_order_init(&order);
    for (size_t i = 0; i < sizeof(came) / sizeof(came[0]); i++) {
        cr_assert(put(&order, came[i], &err), "%s", err.text);
        for (uint64_t got = take(&order); got; got = take(&order))
            cr_assert_eq(got, next++);
        cr_assert_eq(next - 1, out_by_then[i], "after %zu", i);
        cr_assert_eq(order.count, i + 1 - out_by_then[i]);
        cr_assert_eq(order.bytes, 10 * order.count);
    }
}

Test(stripe_order, refuses_a_number_that_was_here)
{
    AUTO(order) struct stripe_order order;
    struct err err;
    stripe_order_init(&order);
    cr_assert(put(&order, 2, &err) && put(&order, 1, &err));
    cr_assert_not(put(&order, 2, &err)); /* it waits */
    cr_assert_eq(err.code, ERR_PROTOCOL);
    cr_assert_str_eq(err.text, "message 2 came twice");
    cr_assert_eq(take(&order), 1);
    cr_assert_not(put(&order, 1, &err)); /* it is gone */
    cr_assert_str_eq(err.text, "message 1 came twice");
    cr_assert_not(put(&order, 0, &err));
    cr_assert_eq(take(&order), 2);
    cr_assert_eq(order.count, 0);
}

Test(stripe_order, holds_no_more_than_its_window)
{
    AUTO(order) struct stripe_order order;
    struct err err;
    stripe_order_init(&order);
    for (uint64_t number = 2; number <= STRIPE_ORDER_WINDOW; number++)
        cr_assert(put(&order, number, &err), "%s", err.text);
    cr_assert_not(put(&order, STRIPE_ORDER_WINDOW + 1, &err));
    cr_assert_eq(err.code, ERR_PROTOCOL);
    cr_assert_str_eq(err.text, "message 1025 came before message 1");
    cr_assert_not(put(&order, UINT64_MAX, &err));
    cr_assert(put(&order, 1, &err), "%s", err.text);
    for (uint64_t number = 1; number <= STRIPE_ORDER_WINDOW; number++)
        cr_assert_eq(take(&order), number);
    cr_assert(put(&order, STRIPE_ORDER_WINDOW + 1, &err), "%s", err.text);
}

Test(stripe_order, that_was_cleared_counts_from_one_again)
{
    AUTO(order) struct stripe_order order;
    struct err err;
    stripe_order_init(&order);
    cr_assert(put(&order, 1, &err) && put(&order, 3, &err) && put(&order, 1000, &err));
    cr_assert_eq(take(&order), 1);
    stripe_order_clear(&order);
    cr_assert_eq(order.count, 0);
    cr_assert_eq(order.bytes, 0);
    cr_assert_eq(take(&order), 0);
    cr_assert(put(&order, 1, &err), "%s", err.text);
    cr_assert_eq(take(&order), 1);
}
