#include "transporter/session/serve_rewraps.h"

#include "common/crypto/record.h"
#include "transporter/repository/rewraps.h"
#include "transporter/session/want_answer.h"

#include <string.h>

enum { PART_BYTES = 1 << 20, SEALS_MOST = 1024 };

struct serve {
    const struct serve_rewraps_options *options;
    struct want_answer answer;
    struct buf part;
    struct buf ids; /* of seals, each followed by zeros */
};

static void serve_deinit(struct serve *serve)
{
    buf_deinit(&serve->part);
    buf_deinit(&serve->ids);
}
DEFINE_AUTO_IN_PLACE(serve, struct serve, serve_deinit)

static void name_seal(struct serve *serve, const struct id *seal)
{
    struct hash name = {{0}};
    memcpy(name.bytes, seal->bytes, ID_LEN);
    buf_put(&serve->ids, name.bytes, HASH_LEN);
}

/* --- which seals there are --- */

static bool add_rewrap(void *arg, struct span object, struct err *err)
{
    struct serve *serve = arg;
    (void)err;
    record_append(&serve->part, RECORD_REWRAP, object);
    return true;
}

static bool add_seal(void *arg, const struct id *seal, struct span envelope, const struct err *why,
                     struct err *err)
{
    struct serve *serve = arg;
    if (why) {
        name_seal(serve, seal);
        return true;
    }
    if (!repository_rewraps(serve->options->repository, seal, add_rewrap, serve, err)) return false;
    record_append(&serve->part, RECORD_ENVELOPE, envelope);
    return serve->part.len < PART_BYTES || want_answer_part(&serve->answer, &serve->part, err);
}

static bool tell_seals(struct serve *serve, struct span payload, uint32_t count, struct err *err)
{
    struct id after;
    if (payload.len != ID_LEN || count == 0 || count > SEALS_MOST)
        return err_set(err, ERR_PROTOCOL, "a question for seals that is none");
    memcpy(after.bytes, payload.data, ID_LEN);
    return repository_seals(serve->options->repository, &after, count, add_seal, serve, err) &&
           want_answer_part(&serve->answer, &serve->part, err);
}

/* --- keeping --- */

/* Only what the other side signed itself. What does not fit a seal here is said; a disk that fails ends the
 * run. */
static bool keep(void *arg, struct span object, struct err *err)
{
    struct serve *serve = arg;
    enum rewrap_outcome outcome;
    struct rewrap_view view;
    struct err why = {0};
    uint8_t signer[SIGN_PK_LEN];
    if (!rewrap_object_decode(object, NULL, &view, signer, &why))
        return err_set(err, ERR_PROTOCOL, "no rewrap: %s", why.text);
    if (memcmp(signer, serve->options->signer, SIGN_PK_LEN) != 0)
        return err_set(err, ERR_PROTOCOL, "a rewrap that somebody else signed");
    if (repository_rewrap_keep(serve->options->repository, object, &outcome, err)) return true;
    if (!rewrap_is_refused(err->code)) return false;
    err_clear(err);
    name_seal(serve, &view.seal);
    return true;
}

/* --- the conversation --- */

static bool serve_want(struct serve *serve, const struct data_message *message, struct err *err)
{
    const Sealift__Want *want = message->head->want;
    struct span payload = data_message_payload(message);
    want_answer_begin(&serve->answer, message);
    buf_clear(&serve->part);
    buf_clear(&serve->ids);
    atomic_fetch_add(serve->options->received_bytes, payload.len);
    bool done = false;
    if (want->what == SEALIFT__WANT_WHAT__WANT_SEALS)
        done = tell_seals(serve, payload, want->count, err);
    else if (want->what == SEALIFT__WANT_WHAT__WANT_KEEP)
        done = rewraps_each_record(payload, want->count, keep, serve, err);
    else
        (void)err_set(err, ERR_PROTOCOL, "a question for frames in a run that rewraps");
    done = done && want_answer_end(&serve->answer, &serve->ids, err);
    return done || serve->answer.stale;
}

bool serve_rewraps(const struct serve_rewraps_options *options, struct err *err)
{
    AUTO(serve)
    struct serve serve = {.options = options,
                          .answer = {.dialler = options->dialler, .sent_bytes = options->sent_bytes}};
    for (;;) {
        AUTO(data_message) struct data_message message = {0};
        if (!dialler_receive(options->dialler, &message, err)) return false;
        if (message.head->kind_case == SEALIFT__HEAD__KIND_DONE) return true;
        if (!serve_want(&serve, &message, err)) return false;
    }
}
