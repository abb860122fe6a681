#include "transporter/session/serve_fetch.h"

#include "common/base/alloc.h"
#include "common/crypto/record.h"
#include "transporter/pipeline/point.h"
#include "transporter/session/asked.h"
#include "transporter/session/reopen.h"
#include "transporter/session/want_answer.h"

#include <string.h>

enum { PART_BYTES = 1 << 20 }; /* of an answer before it is sent */

struct serve {
    const struct serve_fetch_options *options;
    struct hash domain; /* of the point at hand */
    bool has_domain;
    struct reopen *reopen; /* NULL: frames as stored */

    /* the question that is being answered */
    struct want_answer answer;
    struct buf part;
    struct buf missing; /* struct hash each */
    enum frame_type types[ASKED_MAX];
    struct hash ids[ASKED_MAX];
};

static void serve_free(struct serve *serve)
{
    if (!serve) return;
    reopen_free(serve->reopen);
    buf_deinit(&serve->part);
    buf_deinit(&serve->missing);
    free(serve);
}
DEFINE_AUTO(serve, struct serve *, serve_free)

/* Room for a record of so many bytes, so that a part need not grow; one that is larger than a part goes
 * alone. */
static bool make_room(struct serve *serve, size_t len, struct err *err)
{
    if (serve->part.len + len > PART_BYTES && !want_answer_part(&serve->answer, &serve->part, err))
        return false;
    buf_reserve(&serve->part, serve->part.cap == 0 && len < PART_BYTES ? PART_BYTES : len);
    return true;
}

static bool add_record(struct serve *serve, enum record_kind kind, struct span payload, struct err *err)
{
    if (!make_room(serve, RECORD_HEADER_LEN + payload.len, err)) return false;
    record_append(&serve->part, kind, payload);
    return true;
}

static bool on_envelope(void *arg, struct span envelope, struct err *err)
{
    return add_record(arg, RECORD_ENVELOPE, envelope, err);
}

static bool on_rewrap(void *arg, struct span envelope, struct span object, struct err *err)
{
    (void)envelope; /* it follows */
    return add_record(arg, RECORD_REWRAP, object, err);
}

static bool on_frame(void *arg, const struct hash *id, struct span frame, struct err *err)
{
    return add_record(arg, RECORD_FRAME, frame, err);
}

static bool on_record(void *arg, const struct hash *id, struct span record, struct err *err)
{
    struct serve *serve = arg;
    (void)id;
    if (!make_room(serve, record.len, err)) return false;
    buf_put_span(&serve->part, record);
    return true;
}

static bool on_missing(void *arg, const struct hash *id, const struct err *why, struct err *err)
{
    struct serve *serve = arg;
    buf_put(&serve->missing, id->bytes, HASH_LEN);
    return true;
}

/* --- points, of a target that seals anew --- */

static bool asks_for_point(const struct serve *serve)
{
    return (int)serve->types[0] == ASKED_POINT;
}

/* One at a time, and by itself. */
static bool kinds_fit(const struct serve *serve, uint32_t count, struct err *err)
{
    for (uint32_t i = 0; i < count; i++)
        if ((int)serve->types[i] == ASKED_POINT && count > 1)
            return err_set(err, ERR_PROTOCOL, "a point was asked for together with something else");
    return count > 0 || err_set(err, ERR_PROTOCOL, "a question for nothing");
}

/* Why it is not shown stays here: the other side hears that it cannot be had. */
static bool read_point(struct serve *serve, const struct id *id, struct err *err)
{
    const struct serve_fetch_options *options = serve->options;
    AUTO(point) struct point *point = NULL;
    if (!repository_point_read(options->repository, id, &serve->part, err) ||
        !point_decode(buf_span(&serve->part), &point, err) ||
        !options->points->may_show(options->points->arg, buf_span(&serve->part), err))
        return false;
    serve->has_domain = point->cipher != CIPHER_NONE;
    serve->domain = point->domain_id;
    return true;
}

static bool answer_point(struct serve *serve, struct err *err)
{
    struct id id;
    struct err why = {0};
    memcpy(id.bytes, serve->ids[0].bytes, ID_LEN);
    if (read_point(serve, &id, &why)) return want_answer_part(&serve->answer, &serve->part, err);
    buf_clear(&serve->part);
    return on_missing(serve, &serve->ids[0], &why, err);
}

static bool serve_want(struct serve *serve, const struct data_message *message, struct err *err)
{
    uint32_t count = message->head->want->count;
    struct fetch_sink sink = {.envelope = on_envelope,
                              .rewrap = on_rewrap,
                              .frame = on_frame,
                              .record = on_record,
                              .missing = on_missing,
                              .arg = serve,
                              .domain = serve->has_domain ? &serve->domain : NULL,
                              .verify = FETCH_TO_OPEN,
                              .skip = message->head->want->skip};
    if (message->head->want->what != SEALIFT__WANT_WHAT__WANT_FRAMES)
        return err_set(err, ERR_PROTOCOL, "only a run that rewraps may ask for that");
    if (sink.skip >= FETCH_PLACES)
        return err_set(err, ERR_PROTOCOL, "another copy than the first %d was asked for", FETCH_PLACES);
    want_answer_begin(&serve->answer, message);
    buf_clear(&serve->part);
    buf_clear(&serve->missing);
    if (!asked_decode(data_message_payload(message), count, serve->options->points ? ASKED_POINT : FRAME_NODE,
                      serve->types, serve->ids, err) ||
        !kinds_fit(serve, count, err))
        return false;
    bool done = asks_for_point(serve) ? answer_point(serve, err)
                : serve->reopen       ? reopen_fetch(serve->reopen, serve->ids, count, &sink, err)
                                      : repository_fetch(serve->options->repository, serve->ids, count,
                                                         FETCH_FRAMES, &sink, err);
    done = done && want_answer_part(&serve->answer, &serve->part, err) &&
           want_answer_end(&serve->answer, &serve->missing, err);
    return done || serve->answer.stale;
}

bool serve_fetch(const struct serve_fetch_options *options, struct err *err)
{
    AUTO(serve) struct serve *serve = xcalloc(1, sizeof(*serve));
    const struct serve_open *open = options->open;
    serve->options = options;
    serve->answer = (struct want_answer){.dialler = options->dialler, .sent_bytes = options->sent_bytes};
    serve->has_domain = options->domain != NULL;
    if (options->domain) serve->domain = *options->domain;
    if (open && !reopen_new(options->repository, open->opener, &open->root, &serve->reopen, err))
        return false;
    for (;;) {
        AUTO(data_message) struct data_message message = {0};
        if (!dialler_receive(options->dialler, &message, err)) return false;
        if (message.head->kind_case == SEALIFT__HEAD__KIND_DONE) return true;
        if (!serve_want(serve, &message, err)) return false;
    }
}
