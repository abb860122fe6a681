/* Puts the messages that one side sends over several connections back into the order in which it numbered
 * them. Pure; one thread.
 *
 * What lies ahead of a gap waits; the caller bounds its bytes (stripe_order.bytes), this the numbers: at most
 * STRIPE_ORDER_WINDOW ahead of the first one that is missing. Every number comes once: a lost connection ends
 * the epoch, and the next one counts from 1 again. */
#ifndef SEALIFT_SESSION_STRIPE_ORDER_H
#define SEALIFT_SESSION_STRIPE_ORDER_H

#include "transporter/session/data_message.h"

#define STRIPE_ORDER_WINDOW 1024

struct stripe_order {
    uint64_t next;                                     /* that is given out */
    size_t count;                                      /* messages that wait here */
    uint64_t bytes;                                    /* of their payloads */
    struct data_message *waiting[STRIPE_ORDER_WINDOW]; /* by number modulo the window */
};

/* Empty; counts from 1. */
void stripe_order_init(struct stripe_order *order);
/* Drops what waits, and counts from 1 again. */
void stripe_order_clear(struct stripe_order *order);
/* Takes what the message holds. ERR_PROTOCOL: its number was here before, is 0, or lies behind the window;
 * the message is as it was. */
bool stripe_order_put(struct stripe_order *order, struct data_message *message, struct err *err) MUST_CHECK;
/* The next one in order into `out`, which must be empty; false: it has not come yet. */
bool stripe_order_take(struct stripe_order *order, struct data_message *out);

#endif
