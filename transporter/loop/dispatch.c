/* What the director says: statements, assignments, questions, acknowledgements. It is not trusted: the
 * authority judges what it delivers, and every run its assignment. */
#include "transporter/loop/inside.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/wire/stored.h"

#include <string.h>

/* --- statements --- */

static bool is_ours(const struct control *control, const struct statement *repository)
{
    const Sealift__RepositoryBody *body = repository->body.repository;
    return !body->deleted &&
           memcmp(body->owner.data, control->environment.self->known.sign_pk, SIGN_PK_LEN) == 0;
}

static void attach_known(void *arg, const struct statement *repository)
{
    struct control *control = arg;
    struct statement *copy = NULL;
    struct err err = {0};
    if (is_ours(control, repository) && statement_decode(buf_span(&repository->bytes), &copy, &err))
        attach_add(control->attach, copy);
}

void dispatch_attach_known(struct control *control)
{
    authority_each(control->environment.authority, SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY,
                   attach_known, control);
}

static void attach_accepted(struct control *control, const struct id *id)
{
    AUTO(statement) struct statement *repository = NULL;
    struct err err = {0};
    if (!authority_statement(control->environment.authority, SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY,
                             id, &repository, &err))
        return;
    attach_add(control->attach, repository);
    repository = NULL;
}

/* Before Hello there is nothing that may be said: the director hears of our roster by Hello. */
static void put_seen(struct control *control, const struct accepted *statement, const struct err *why)
{
    if (!control->greeted) return;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__StatementSeen seen = SEALIFT__STATEMENT_SEEN__INIT;
    seen.type = statement->type;
    seen.id = stored_bytes(span_of(statement->id.bytes, ID_LEN));
    seen.version = statement->version;
    if (why) {
        seen.code = (uint32_t)why->code;
        seen.text = stored_lent(why->text);
    }
    head.kind_case = SEALIFT__HEAD__KIND_STATEMENT_SEEN;
    head.statement_seen = &seen;
    outbox_put(control->outbox, &head, span_of(NULL, 0), OUTBOX_KEEP);
}

/* A director may send what is refused as fast as the wire takes it. */
static void log_refused(struct control *control, const char *event, const char *reason)
{
    if (log_gate_pass(&control->refusals, event, clock_steady_ms()))
        log_event(LOG_WARN, event, "reason", reason, NULL);
}

static void on_refused(struct control *control, struct span bytes, const struct err *why)
{
    AUTO(statement) struct statement *refused = NULL;
    struct err ignored = {0};
    if (why->code == ERR_EXISTS) return;
    log_refused(control, "statement_refused", why->text);
    if (!statement_decode(bytes, &refused, &ignored)) return;
    struct accepted what = {.type = refused->type, .id = refused->id, .version = refused->version};
    put_seen(control, &what, why);
}

static void on_deliver(struct control *control, struct span bytes)
{
    struct err err = {0};
    struct accepted what;
    bool was_member = authority_member(control->environment.authority);
    if (!authority_accept(control->environment.authority, bytes, &what, &err)) {
        on_refused(control, bytes, &err);
        return;
    }
    log_event(LOG_INFO, "statement_accepted", "type", statement_type_name(what.type), NULL);
    if (!was_member && authority_member(control->environment.authority)) {
        log_event(LOG_INFO, "admitted", "name", control->environment.self->known.name, NULL);
        greeting_say(control);
    }
    put_seen(control, &what, NULL);
    if (what.type == SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY) attach_accepted(control, &what.id);
}

static void on_unlock(struct control *control, struct span section)
{
    struct err err = {0};
    if (!authority_accept_unlock(control->environment.authority, section, &err))
        log_refused(control, "unlock_section_refused", err.text);
}

/* --- runs --- */

static void on_assign(struct control *control, const Sealift__Assign *assign)
{
    struct err err = {0};
    bool ok = !control->draining || err_set(&err, ERR_BUSY, "this transporter is stopping");
    if (ok) ok = run_table_start(control->runs, &control->environment, assign, &err);
    if (!ok) run_news_refuse(control->run_news, assign, &err);
}

static void on_cancel(struct control *control, const Sealift__Cancel *cancel)
{
    if (cancel->run.len != ID_LEN) return;
    struct id run = stored_id(&cancel->run);
    run_table_cancel(control->runs, &run, cancel->reason);
}

static void on_done(struct control *control, uint64_t serial)
{
    if (serial != 0) {
        run_news_acknowledge(control->run_news, serial);
    } else if (!control->told_pending) {
        control->told_pending = true;
        log_event(LOG_INFO, "pending", "next", "an operator approves this transporter", NULL);
    }
}

/* It says so for as long as it has not heard us to the end. When it has, it may ask anew another time, but
 * not as often as it likes: what is given waits in our memory until it is read. */
static void on_welcome(struct control *control, const Sealift__Welcome *welcome)
{
    enum { PAUSE_MS = 60000 };
    uint64_t now_ms = clock_steady_ms();
    if (!welcome->wants_back) control->gave_back = false;
    if (!welcome->wants_back || control->gave_back || !control->greeted) return;
    if (control->gave_back_ms != 0 && now_ms - control->gave_back_ms < PAUSE_MS) return;
    control->gave_back = true;
    control->gave_back_ms = now_ms;
    give_back_all(control, welcome->roster_version);
}

void dispatch(void *arg, const Sealift__Head *head, struct span payload)
{
    struct control *control = arg;
    switch (head->kind_case) {
    case SEALIFT__HEAD__KIND_DELIVER:
        on_deliver(control, payload);
        break;
    case SEALIFT__HEAD__KIND_DELIVER_UNLOCK:
        on_unlock(control, payload);
        break;
    case SEALIFT__HEAD__KIND_ASSIGN:
        on_assign(control, head->assign);
        break;
    case SEALIFT__HEAD__KIND_CANCEL:
        on_cancel(control, head->cancel);
        break;
    case SEALIFT__HEAD__KIND_LOG_ASK:
        log_answers_ask(control->log_answers, head->serial, head->log_ask);
        break;
    case SEALIFT__HEAD__KIND_PROBE:
        probes_take(control->probes, &control->environment, head->probe);
        break;
    case SEALIFT__HEAD__KIND_DONE:
        on_done(control, head->serial);
        break;
    case SEALIFT__HEAD__KIND_FAIL:
        log_refused(control, "director_refused", head->fail->text);
        break;
    case SEALIFT__HEAD__KIND_WELCOME:
        on_welcome(control, head->welcome);
        break;
    default:
        break;
    }
}
