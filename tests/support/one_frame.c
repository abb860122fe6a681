#include "one_frame.h"

#include "transporter/repository/fetch.h"

struct one {
    struct buf *frame, *envelope;
};

static bool on_envelope(void *arg, struct span envelope, struct err *err)
{
    struct one *one = arg;
    buf_put_span(one->envelope, envelope);
    return true;
}

static bool on_frame(void *arg, const struct hash *id, struct span frame, struct err *err)
{
    struct one *one = arg;
    buf_put_span(one->frame, frame);
    return true;
}

static bool on_missing(void *arg, const struct hash *id, const struct err *why, struct err *err)
{
    *err = *why;
    return false;
}

bool one_frame(struct repository *repository, const struct hash *id, struct buf *frame, struct buf *envelope,
               struct err *err)
{
    struct one one = {.frame = frame, .envelope = envelope};
    const struct fetch_sink sink = {
        .envelope = on_envelope, .frame = on_frame, .missing = on_missing, .arg = &one};
    return repository_fetch(repository, id, 1, FETCH_FRAMES, &sink, err);
}
