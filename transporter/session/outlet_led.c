#include "transporter/session/outlet_led.h"

#include "common/crypto/record.h"

void outlet_led_deinit(struct outlet_led *led)
{
    buf_deinit(&led->envelope);
}

static bool led_ask(void *self, const enum frame_type *types, const struct hash *ids, size_t count,
                    uint8_t *have, struct err *err)
{
    const struct outlet *behind = &((struct outlet_led *)self)->behind;
    return behind->ops->ask(behind->self, types, ids, count, have, err);
}

static bool led_envelope(void *self, struct span envelope, struct err *err)
{
    struct outlet_led *led = self;
    buf_clear(&led->envelope);
    record_append(&led->envelope, RECORD_ENVELOPE, envelope);
    return true;
}

static bool led_send(void *self, uint64_t number, struct buf *batch, struct err *err)
{
    struct outlet_led *led = self;
    AUTO(buf) struct buf whole = {0};
    buf_reserve(&whole, led->envelope.len + batch->len);
    buf_put_span(&whole, buf_span(&led->envelope));
    buf_put_span(&whole, buf_span(batch));
    size_t len = whole.len;
    if (!led->behind.ops->send(led->behind.self, number, &whole, err)) return false;
    buf_clear(batch);
    atomic_fetch_add(led->sent_bytes, len);
    return true;
}

static bool led_commit(void *self, const struct commit_request *request, struct commit_receipt *receipt,
                       struct buf *missing, struct err *err)
{
    const struct outlet *behind = &((struct outlet_led *)self)->behind;
    return behind->ops->commit(behind->self, request, receipt, missing, err);
}

static void led_cancel(void *self)
{
    const struct outlet *behind = &((struct outlet_led *)self)->behind;
    behind->ops->cancel(behind->self);
}

struct outlet outlet_led(struct outlet_led *led)
{
    static const struct outlet_ops ops = {
        .ask = led_ask,
        .envelope = led_envelope,
        .send = led_send,
        .commit = led_commit,
        .cancel = led_cancel,
    };
    return (struct outlet){.ops = &ops, .self = led};
}
