#include "transporter/session/copy_frames.h"

#include "common/base/alloc.h"
#include "common/base/text.h"
#include "common/crypto/envelope.h"
#include "common/crypto/record.h"
#include "transporter/repository/fetch.h"

#include <string.h>

enum {
    /* Of a batch: what a thin link passes on before a heartbeat counts as lost. */
    BATCH_BYTES = 1 << 20,
    BATCH_RECORDS = 4000,
    GROUP_BYTES = 2 << 20, /* of frames under one list, in one piece; a larger frame goes alone */
};

struct copy_frames {
    struct repository *from;
    const struct outlet *outlet;
    _Atomic uint64_t *sent_bytes;
    const _Atomic bool *cancelled;
    struct hash domain;
    bool has_domain;

    uint64_t number;      /* of the last batch */
    enum frame_type type; /* of what waits */
    struct buf batch;     /* whole groups: frames and their list */
    size_t records;
    struct buf group; /* an envelope and frames that wait for their list */
    struct buf cuts;  /* size_t each: the ends of the frames */
    bool lost;
};

struct copy_frames *copy_frames_new(struct repository *from, const struct outlet *outlet,
                                    _Atomic uint64_t *sent_bytes, const _Atomic bool *cancelled)
{
    struct copy_frames *frames = xcalloc(1, sizeof(*frames));
    frames->from = from;
    frames->outlet = outlet;
    frames->sent_bytes = sent_bytes;
    frames->cancelled = cancelled;
    return frames;
}

void copy_frames_free(struct copy_frames *frames)
{
    if (!frames) return;
    buf_deinit(&frames->batch);
    buf_deinit(&frames->group);
    buf_deinit(&frames->cuts);
    free(frames);
}

void copy_frames_begin(struct copy_frames *frames, const struct hash *domain)
{
    frames->lost = false;
    frames->has_domain = domain != NULL;
    if (domain) frames->domain = *domain;
}

static bool send_batch(struct copy_frames *frames, struct err *err)
{
    size_t len = frames->batch.len;
    if (len == 0) return true;
    if (atomic_load(frames->cancelled)) return err_set(err, ERR_CANCELLED, "cancelled");
    if (!frames->outlet->ops->send(frames->outlet->self, frames->number + 1, &frames->batch, err))
        return false;
    frames->number++;
    frames->records = 0;
    buf_clear(&frames->batch);
    atomic_fetch_add(frames->sent_bytes, len);
    return true;
}

/* --- what a fetch tells --- */

static bool on_envelope(void *arg, struct span envelope, struct err *err)
{
    struct copy_frames *frames = arg;
    /* a list has one seal, so the group is empty here */
    record_append(&frames->group, RECORD_ENVELOPE, envelope);
    return true;
}

static bool on_frame(void *arg, const struct hash *id, struct span frame, struct err *err)
{
    struct copy_frames *frames = arg;
    record_append(&frames->group, RECORD_FRAME, frame);
    size_t end = frames->group.len;
    buf_put(&frames->cuts, &end, sizeof(end));
    return true;
}

/* One piece of the group and the list: a list may stand behind any part of its frames. */
static bool add_piece(struct copy_frames *frames, size_t from, size_t to, size_t count, struct span list,
                      struct err *err)
{
    if (frames->batch.len > 0 && frames->batch.len + (to - from) > GROUP_BYTES && !send_batch(frames, err))
        return false;
    buf_put(&frames->batch, frames->group.data + from, to - from);
    record_append(&frames->batch, RECORD_LIST, list);
    frames->records += count + 2;
    return (frames->batch.len < BATCH_BYTES && frames->records < BATCH_RECORDS) || send_batch(frames, err);
}

static bool on_list(void *arg, struct span list, struct err *err)
{
    struct copy_frames *frames = arg;
    const size_t *cuts = (const size_t *)(const void *)frames->cuts.data;
    size_t count = frames->cuts.len / sizeof(*cuts), from = 0, first = 0;
    for (size_t i = 0; i < count; i++) {
        bool last = i + 1 == count;
        if (!last && cuts[i + 1] - from <= GROUP_BYTES) continue;
        if (!add_piece(frames, from, cuts[i], i + 1 - first, list, err)) return false;
        from = cuts[i];
        first = i + 1;
    }
    buf_clear(&frames->group);
    buf_clear(&frames->cuts);
    return true;
}

static bool on_missing(void *arg, const struct hash *id, const struct err *why, struct err *err)
{
    char text[2 * HASH_LEN + 1];
    ((struct copy_frames *)arg)->lost = true;
    hex_encode(id->bytes, HASH_LEN, text);
    return err_set(err, ERR_DAMAGED, "the chunk %s cannot be read here: %s", text, why->text);
}

bool copy_frames_lost(const struct copy_frames *frames)
{
    return frames->lost;
}

static bool see_envelope(void *arg, struct span envelope, struct err *err)
{
    return true;
}

struct seeing {
    struct copy_frames *frames;
    copy_frame_fn *each;
    void *arg;
};

static bool see_frame(void *arg, const struct hash *id, struct span frame, struct err *err)
{
    struct seeing *seeing = arg;
    struct frame_view view;
    return frame_parse(frame, &view, err) && seeing->each(seeing->arg, &view, err);
}

static bool see_missing(void *arg, const struct hash *id, const struct err *why, struct err *err)
{
    struct seeing *seeing = arg;
    return on_missing(seeing->frames, id, why, err);
}

bool copy_frames_see(struct copy_frames *frames, const struct hash *ids, size_t count, copy_frame_fn *each,
                     void *arg, struct err *err)
{
    struct seeing seeing = {.frames = frames, .each = each, .arg = arg};
    struct fetch_sink sink = {.envelope = see_envelope,
                              .frame = see_frame,
                              .missing = see_missing,
                              .arg = &seeing,
                              .domain = frames->has_domain ? &frames->domain : NULL};
    if (atomic_load(frames->cancelled)) return err_set(err, ERR_CANCELLED, "cancelled");
    return repository_fetch(frames->from, ids, count, FETCH_FRAMES, &sink, err);
}

bool copy_frames_flush(struct copy_frames *frames, struct err *err)
{
    return send_batch(frames, err);
}

static bool fetch_some(struct copy_frames *frames, const struct hash *ids, size_t count, struct err *err)
{
    struct fetch_sink sink = {.envelope = on_envelope,
                              .frame = on_frame,
                              .list = on_list,
                              .missing = on_missing,
                              .arg = frames,
                              .domain = frames->has_domain ? &frames->domain : NULL};
    if (repository_fetch(frames->from, ids, count, FETCH_WITH_LISTS, &sink, err)) return true;
    /* what has no list yet is dropped; whole groups may go out with what comes next */
    buf_clear(&frames->group);
    buf_clear(&frames->cuts);
    return false;
}

bool copy_frames_send(struct copy_frames *frames, enum frame_type type, const struct hash *ids, size_t count,
                      struct err *err)
{
    if (type != frames->type && !send_batch(frames, err)) return false;
    frames->type = type;
    for (size_t at = 0; at < count; at += FETCH_MAX_IDS) {
        size_t some = count - at < FETCH_MAX_IDS ? count - at : FETCH_MAX_IDS;
        if (!fetch_some(frames, ids + at, some, err)) return false;
    }
    return true;
}
