#include "spoiling_inlet.h"

#include "common/crypto/frame.h"

struct pass {
    const struct inlet_sink *sink;
};

static bool pass_envelope(void *arg, struct span envelope, struct err *err)
{
    const struct pass *pass = arg;
    return pass->sink->envelope(pass->sink->arg, envelope, err);
}

static bool pass_frame(void *arg, const struct hash *id, struct span frame, struct err *err)
{
    const struct pass *pass = arg;
    struct frame_view view;
    if (!frame_parse(frame, &view, err)) return false;
    AUTO(buf) struct buf copy = {0};
    buf_put_span(&copy, frame);
    if (view.type == FRAME_DATA && id->bytes[0] % 4 == 0) copy.data[copy.len - 1] ^= 1;
    return pass->sink->frame(pass->sink->arg, id, buf_span(&copy), err);
}

static bool pass_missing(void *arg, const struct hash *id, const struct err *why, struct err *err)
{
    const struct pass *pass = arg;
    return pass->sink->missing(pass->sink->arg, id, why, err);
}

static bool fetch(void *self, const struct hash *ids, size_t count, const struct inlet_sink *sink,
                  struct err *err)
{
    const struct spoiling_inlet *inlet = self;
    struct pass pass = {.sink = sink};
    struct inlet_sink to = {.envelope = pass_envelope,
                            .frame = pass_frame,
                            .missing = pass_missing,
                            .arg = &pass,
                            .skip = sink->skip};
    return inlet->inner.ops->fetch(inlet->inner.self, ids, count, &to, err);
}

static void cancel(void *self)
{
    const struct spoiling_inlet *inlet = self;
    inlet->inner.ops->cancel(inlet->inner.self);
}

struct inlet spoiling_inlet_inlet(struct spoiling_inlet *inlet)
{
    static const struct inlet_ops ops = {.fetch = fetch, .cancel = cancel};
    return (struct inlet){.ops = &ops, .self = inlet, .fetches = inlet->fetches};
}
