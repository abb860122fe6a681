#include "common/base/alloc.h"
#include "common/wire/grant.h"
#include "common/wire/stored.h"
#include "transporter/session/run_findings.h"
#include "transporter/session/run_inside.h"

#include <stdlib.h>

static Sealift__SealedCopy *copy_of(const uint8_t *recipient, struct buf *sealed)
{
    Sealift__SealedCopy *copy = xcalloc(1, sizeof(*copy));
    sealift__sealed_copy__init(copy);
    copy->recipient = (ProtobufCBinaryData){.data = xmalloc(SIGN_PK_LEN), .len = SIGN_PK_LEN};
    for (size_t i = 0; i < SIGN_PK_LEN; i++)
        copy->recipient.data[i] = recipient[i];
    copy->sealed = (ProtobufCBinaryData){.data = sealed->data, .len = sealed->len};
    *sealed = (struct buf){0};
    return copy;
}

static void free_copy(Sealift__SealedCopy *copy)
{
    if (!copy) return;
    free(copy->recipient.data);
    free(copy->sealed.data);
    free(copy);
}

/* Under the lock. An operator whose key is no good gets none. */
static void seal_to(struct run *run, const Sealift__Member *operator, struct span context, struct span text)
{
    AUTO(buf) struct buf sealed = {0};
    struct err ignored;
    if (!box_seal(operator->box_pk.data, context, text, &sealed, &ignored)) return;
    if (run->warning_bytes + sealed.len > RUN_WARNINGS_BYTES_MAX) return;
    run->warning_bytes += sealed.len + SIGN_PK_LEN + 16;
    run->warnings = xreallocarray(run->warnings, run->warning_count + 1, sizeof(Sealift__SealedCopy *));
    run->warnings[run->warning_count++] = copy_of(operator->sign_pk.data, &sealed);
}

static void keep(struct run *run, const char *purpose, struct span text)
{
    AUTO(buf) struct buf context = {0};
    if (!run->roster) return;
    const Sealift__RosterBody *body = roster_body(run->roster);
    statement_box_context(purpose, run_site(run), &run->id, span_of(NULL, 0), &context);
    if (text.len > RUN_WARNING_TEXT_MAX) text.len = RUN_WARNING_TEXT_MAX;
    for (size_t i = 0; i < body->n_operators; i++)
        seal_to(run, body->operators[i], buf_span(&context), text);
}

void run_warn(struct run *run, struct span path, const struct err *what)
{
    AUTO(buf) struct buf text = {0};
    if (path.len) {
        /* of a long path the end, so that the reason finds room */
        size_t room = RUN_WARNING_TEXT_MAX - sizeof(what->text);
        bool whole = path.len <= room;
        buf_put_str(&text, whole ? "/" : "...");
        buf_put_span(&text, whole ? path : span_of(path.data + path.len - room, room));
        buf_put_str(&text, ": ");
    }
    buf_put_str(&text, what->text);
    atomic_fetch_add(&run->warnings_seen, 1);
    (void)pthread_mutex_lock(&run->lock);
    /* one place is left for the reason of a failure */
    if (run->warnings_kept < RUN_WARNINGS_MAX - 1) {
        run->warnings_kept++;
        keep(run, "warning", buf_span(&text));
    }
    (void)pthread_mutex_unlock(&run->lock);
}

void run_explain(struct run *run, const struct err *why)
{
    (void)pthread_mutex_lock(&run->lock);
    keep(run, "warning", span_str(why->text));
    (void)pthread_mutex_unlock(&run->lock);
}

void run_note(struct run *run, const char *text)
{
    (void)pthread_mutex_lock(&run->lock);
    keep(run, "note", span_str(text));
    (void)pthread_mutex_unlock(&run->lock);
}

void run_give_key_back(struct run *run, const struct read_half *half)
{
    struct err ignored;
    AUTO(buf) struct buf context = {0};
    AUTO(buf) struct buf sealed = {0};
    const Sealift__Member *operator= roster_operator(run->roster, run->statement->signer);
    if (!operator) return;
    order_key_back_context(run_site(run), &run->subject, &half->key_id, &context);
    if (!box_seal(operator->box_pk.data, buf_span(&context), span_of(half->s->data, half->s->len), &sealed,
                  &ignored))
        return;
    (void)pthread_mutex_lock(&run->lock);
    if (!run->key_back) run->key_back = copy_of(operator->sign_pk.data, &sealed);
    (void)pthread_mutex_unlock(&run->lock);
}

void run_warnings_encode(struct run *run, struct buf *out)
{
    Sealift__Warnings warnings = SEALIFT__WARNINGS__INIT;
    if (run->warning_count == 0 && !run->findings && !run->key_back) return;
    warnings.n_copies = run->warning_count;
    warnings.copies = run->warnings;
    if (run->key_back) {
        warnings.n_keys_back = 1;
        warnings.keys_back = &run->key_back;
    }
    if (run->findings) run_findings_fill(run->findings, &warnings);
    payload_warnings_encode(&warnings, out);
}

void run_warnings_free(struct run *run)
{
    for (size_t i = 0; i < run->warning_count; i++)
        free_copy(run->warnings[i]);
    free_copy(run->key_back);
    run->key_back = NULL;
    free(run->warnings);
    run->warnings = NULL;
    run->warning_count = 0;
}

void run_engine_warning(void *arg, struct span path, const struct err *what)
{
    run_warn(arg, path, what);
}
