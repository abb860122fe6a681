/* An outlet for who seals into a copy's conversation: such a one takes envelopes inside the batches, before
 * the first frame of their seal, and this puts the seal's envelope before each batch. */
#ifndef SEALIFT_SESSION_OUTLET_LED_H
#define SEALIFT_SESSION_OUTLET_LED_H

#include "transporter/pipeline/outlet.h"

#include <stdatomic.h>

/* {0} but for the first two. Must outlive the outlet that is made of it. */
struct outlet_led {
    struct outlet behind;
    _Atomic uint64_t *sent_bytes;
    struct buf envelope; /* its record */
};
void outlet_led_deinit(struct outlet_led *led);
DEFINE_AUTO_IN_PLACE(outlet_led, struct outlet_led, outlet_led_deinit)

struct outlet outlet_led(struct outlet_led *led);

#endif
