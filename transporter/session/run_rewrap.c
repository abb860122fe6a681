/* An order to rewrap: a trusted transporter opens the envelopes of a repository's old seals with the earlier
 * secrets of a key, and has the repository side keep their run keys, sealed to the newest. Each rewrap is
 * written once, so the same order again, or another after a crash, does what is left. */
#include "common/base/text.h"
#include "common/crypto/record.h"
#include "common/crypto/seal/rewrap_key.h"
#include "common/wire/stored.h"
#include "transporter/repository/rewraps.h"
#include "transporter/session/rewrap_remote.h"
#include "transporter/session/run_inside.h"
#include "transporter/session/serve_rewraps.h"

#include <inttypes.h>
#include <string.h>

/* Seals that no writer of the site can have made, or whose envelope does not read: the other side could name
 * new ones for ever. */
enum { STRANGE_MOST = 65536 };

struct rewrapping {
    struct run *run;
    struct read_half *half;        /* of the newest generation */
    struct repository *repository; /* ours; NULL: at the other end */
    struct rewrap_remote remote;

    struct id after;
    size_t told;        /* seals of the last answer */
    struct buf rewraps; /* records that came before an envelope */
    struct buf fresh;   /* records to be kept */
    size_t fresh_count;
    uint64_t made, were_there, unreadable, refused, strange;
};

static void rewrapping_deinit(struct rewrapping *rewrapping)
{
    read_half_free(rewrapping->half);
    buf_deinit(&rewrapping->rewraps);
    buf_deinit(&rewrapping->fresh);
}
DEFINE_AUTO_IN_PLACE(rewrapping, struct rewrapping, rewrapping_deinit)

static bool open_half(struct run *run, struct read_half **half, struct err *err)
{
    const Sealift__OrderBody *order = run_order(run);
    struct hash key_id = stored_hash(&order->key_id);
    AUTO(stored_unlock) Sealift__UnlockSection *section = NULL;
    AUTO(secret) struct secret *s = NULL;
    return stored_unlock_decode(stored_span(&order->generation), &section, err) &&
           run_order_secret(run, &key_id, &s, err) &&
           (read_half_open(s->data, &key_id, stored_span(&section->keyring), half, err) ||
            err_wrap(err, "the order's key"));
}

/* --- one seal --- */

/* One that opens with the newest secret alone, by a host that was not revoked. */
static bool opens_already(const struct rewrapping *rewrapping, struct span envelope)
{
    for (size_t at = 0; at < rewrapping->rewraps.len;) {
        struct record_view record;
        struct rewrap_view view;
        struct err ignored;
        uint8_t signer[SIGN_PK_LEN];
        AUTO(run_key) struct run_key *opened = NULL;
        if (!record_parse(span_of(rewrapping->rewraps.data + at, rewrapping->rewraps.len - at), &record,
                          &ignored))
            return false;
        at += record.total_len;
        if (rewrap_object_decode(record.payload, NULL, &view, signer, &ignored) &&
            roster_transporter(rewrapping->run->roster, signer) &&
            hash_eq(&view.key_id, &rewrapping->half->key_id) &&
            rewrap_open(span_of(view.bytes, REWRAP_LEN), signer, envelope, rewrapping->half, &opened,
                        &ignored))
            return true;
    }
    return false;
}

static bool rewrap(struct rewrapping *rewrapping, struct span envelope, struct err *err)
{
    const struct sign_pair *self = rewrapping->run->environment.self->sign;
    uint8_t payload[REWRAP_LEN];
    struct err why = {0};
    AUTO(buf) struct buf object = {0};
    if (!rewrap_make(envelope, rewrapping->half, self->pk, payload, &why)) {
        if (why.code != ERR_DAMAGED && why.code != ERR_NOT_AUTHENTIC) {
            *err = why;
            return false;
        }
        rewrapping->unreadable++; /* anybody who writes may store an envelope that opens to nothing */
        return true;
    }
    stored_sign(self, REWRAP_SIGNATURE_NAME, span_of(payload, sizeof(payload)), &object);
    record_append(&rewrapping->fresh, RECORD_REWRAP, buf_span(&object));
    rewrapping->fresh_count++;
    return true;
}

static void go_behind(struct rewrapping *rewrapping, const struct id *seal)
{
    if (memcmp(seal->bytes, rewrapping->after.bytes, ID_LEN) > 0) rewrapping->after = *seal;
    rewrapping->told++;
}

static bool count_strange(struct rewrapping *rewrapping, struct err *err)
{
    return ++rewrapping->strange <= STRANGE_MOST ||
           err_set(
               err, ERR_LIMIT,
               "the repository names more than %d seals that no writer of this site made, or whose envelope "
               "does not read: check it, and what is rewrapped so far stays",
               STRANGE_MOST);
}

static bool take_envelope(struct rewrapping *rewrapping, struct span envelope, struct err *err)
{
    struct envelope_view view;
    if (!run_going_on(rewrapping->run, err)) return false;
    if (!envelope_parse(envelope, &view, err)) return false;
    go_behind(rewrapping, &view.seal);
    if (!run_writer_admitted(rewrapping->run, view.writer) && !count_strange(rewrapping, err)) return false;
    bool ours = !hash_eq(&view.key_id, &rewrapping->half->key_id) &&
                read_half_secret_of(rewrapping->half, &view.key_id) != NULL;
    bool there = ours && opens_already(rewrapping, envelope);
    buf_clear(&rewrapping->rewraps);
    if (there) rewrapping->were_there++;
    return !ours || there || rewrap(rewrapping, envelope, err);
}

/* --- the seals of one answer --- */

static bool take_object(void *arg, struct span object, struct err *err)
{
    struct rewrapping *rewrapping = arg;
    (void)err;
    record_append(&rewrapping->rewraps, RECORD_REWRAP, object);
    return true;
}

static bool take_seal(void *arg, const struct id *seal, struct span envelope, const struct err *why,
                      struct err *err)
{
    struct rewrapping *rewrapping = arg;
    if (why) {
        go_behind(rewrapping, seal);
        rewrapping->unreadable++;
        return count_strange(rewrapping, err);
    }
    return repository_rewraps(rewrapping->repository, seal, take_object, rewrapping, err) &&
           take_envelope(rewrapping, envelope, err);
}

static bool take_records(struct rewrapping *rewrapping, struct span bytes, struct err *err)
{
    for (size_t at = 0; at < bytes.len;) {
        struct record_view record;
        struct err why = {0};
        if (!record_parse(span_of(bytes.data + at, bytes.len - at), &record, &why))
            return err_set(err, ERR_PROTOCOL, "not a record: %s", why.text);
        if (record.kind == RECORD_REWRAP)
            buf_put(&rewrapping->rewraps, bytes.data + at, record.total_len);
        else if (record.kind != RECORD_ENVELOPE)
            return err_set(err, ERR_PROTOCOL, "a record that does not belong into an answer about seals");
        else if (!take_envelope(rewrapping, record.payload, err))
            return false;
        at += record.total_len;
    }
    return true;
}

static bool ask_other_side(struct rewrapping *rewrapping, struct err *err)
{
    AUTO(buf) struct buf records = {0};
    AUTO(buf) struct buf unreadable = {0};
    struct id after = rewrapping->after;
    if (!rewrap_remote_seals(&rewrapping->remote, &after, &records, &unreadable, err) ||
        !take_records(rewrapping, buf_span(&records), err))
        return false;
    for (size_t at = 0; at < unreadable.len; at += HASH_LEN) {
        struct id seal;
        memcpy(seal.bytes, unreadable.data + at, ID_LEN);
        go_behind(rewrapping, &seal);
        rewrapping->unreadable++;
        if (!count_strange(rewrapping, err)) return false;
    }
    return rewrapping->told == 0 || memcmp(after.bytes, rewrapping->after.bytes, ID_LEN) != 0 ||
           err_set(err, ERR_PROTOCOL, "the same seals again");
}

static bool next_seals(struct rewrapping *rewrapping, struct err *err)
{
    struct id after = rewrapping->after;
    rewrapping->told = 0;
    buf_clear(&rewrapping->rewraps);
    if (!rewrapping->repository) return ask_other_side(rewrapping, err);
    return repository_seals(rewrapping->repository, &after, REWRAP_REMOTE_SEALS, take_seal, rewrapping, err);
}

/* --- keeping --- */

/* *refused: of how many seals none was kept, as the other side says it of what it is sent. */
static bool keep_here(struct rewrapping *rewrapping, size_t *refused, struct err *err)
{
    for (size_t at = 0; at < rewrapping->fresh.len;) {
        struct record_view record;
        enum rewrap_outcome outcome;
        if (!record_parse(span_of(rewrapping->fresh.data + at, rewrapping->fresh.len - at), &record, err))
            return false;
        at += record.total_len;
        if (repository_rewrap_keep(rewrapping->repository, record.payload, &outcome, err)) continue;
        if (!rewrap_is_refused(err->code)) return false;
        err_clear(err);
        (*refused)++;
    }
    return true;
}

static bool keep_there(struct rewrapping *rewrapping, size_t *refused, struct err *err)
{
    AUTO(buf) struct buf named = {0};
    if (!rewrap_remote_keep(&rewrapping->remote, buf_span(&rewrapping->fresh), rewrapping->fresh_count,
                            &named, err))
        return false;
    *refused = named.len / HASH_LEN;
    return *refused <= rewrapping->fresh_count ||
           err_set(err, ERR_PROTOCOL, "more rewraps were refused than sent");
}

static bool keep_fresh(struct rewrapping *rewrapping, struct err *err)
{
    size_t refused = 0;
    if (rewrapping->fresh_count == 0) return true;
    if (!(rewrapping->repository ? keep_here : keep_there)(rewrapping, &refused, err)) return false;
    rewrapping->refused += refused;
    rewrapping->made += rewrapping->fresh_count - refused;
    rewrapping->fresh_count = 0;
    buf_clear(&rewrapping->fresh);
    return true;
}

static bool rewrap_all(struct rewrapping *rewrapping, struct err *err)
{
    struct run *run = rewrapping->run;
    do {
        if (!run_going_on(run, err) || !next_seals(rewrapping, err) || !keep_fresh(rewrapping, err))
            return false;
    } while (rewrapping->told > 0);
    (void)snprintf(run->summary, sizeof(run->summary), "%" PRIu64 " %s rewrapped, %" PRIu64 " %s before",
                   rewrapping->made, plural(rewrapping->made, "seal", "seals"), rewrapping->were_there,
                   plural(rewrapping->were_there, "was", "were"));
    if (rewrapping->unreadable + rewrapping->refused == 0) return true;
    struct err what = {0};
    (void)err_set(&what, ERR_DAMAGED,
                  "%" PRIu64 " %s no envelope that opens, of %" PRIu64
                  " no rewrap was kept: what opens them now is still needed",
                  rewrapping->unreadable, plural(rewrapping->unreadable, "seal has", "seals have"),
                  rewrapping->refused);
    run_warn(run, span_of(NULL, 0), &what);
    return true;
}

/* --- the two sides --- */

static bool rewrap_remotely(struct rewrapping *rewrapping, struct err *err)
{
    struct run *run = rewrapping->run;
    struct listener_session *session = NULL;
    if (!run_listen(run, CONVERSATION_RECOVERY, &session, err)) return false;
    rewrapping->remote.session = session;
    bool done = run_enter(run, run_stop_session, session, err) && rewrap_all(rewrapping, err);
    run_leave(run);
    if (done)
        rewrap_remote_finish(&rewrapping->remote);
    else
        listener_session_refuse(session, err);
    listener_session_free(session);
    return done;
}

bool run_rewrap(struct run *run, struct err *err)
{
    AUTO(rewrapping) struct rewrapping rewrapping = {.run = run};
    if (!open_half(run, &rewrapping.half, err)) return false;
    if (!run_is_local(run)) return rewrap_remotely(&rewrapping, err);
    return run_repository(run, run->repository, &rewrapping.repository, err) && rewrap_all(&rewrapping, err);
}

bool run_serve_rewrap(struct run *run, struct err *err)
{
    struct dialler *dialler = NULL;
    struct dialler_opened opened;
    struct serve_rewraps_options options = {.sent_bytes = &run->counters.sent_bytes,
                                            .received_bytes = &run->counters.received_bytes};
    struct id name = id_random();
    if (!run_repository(run, run->repository, &options.repository, err) ||
        !run_dial(run, CONVERSATION_RECOVERY, &name, span_of(NULL, 0), JOB_NOT_ASKED, &dialler, err))
        return false;
    options.dialler = dialler;
    memcpy(options.signer, run_order(run)->target.data, SIGN_PK_LEN);
    bool done = run_enter(run, run_stop_dialler, dialler, err) && dialler_await(dialler, &opened, err) &&
                serve_rewraps(&options, err);
    run_leave(run);
    dialler_free(dialler, done ? NULL : err);
    return done;
}
