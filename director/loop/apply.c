/* Effects of the core: first what is to be kept, then what is to be done. */
#include "director/loop/inside.h"

#include "common/base/log.h"

#include <string.h>

static bool keep_run(struct director *director, const struct run *run, struct err *err)
{
    if (!catalog_run_put(director->catalog, run, err)) return false;
    if (run_state_final(run->state)) agenda_ended(director->agenda, &director->now, run);
    bool order = run->subject == SEALIFT__STATEMENT_TYPE__STATEMENT_ORDER;
    /* its secrets are of no more use; that it was executed stays known */
    return !order || !run_state_final(run->state) ||
           catalog_statement_drop(director->catalog, run->subject, &run->subject_id, err);
}

bool apply_keep(struct director *director, const struct effects *effects, struct err *err)
{
    for (size_t i = 0; i < effects->keep_count; i++)
        if (!keep_run(director, &effects->keep[i], err)) return false;
    return true;
}

static void fill_way(const struct run *run, Sealift__RunSide side, Sealift__Assign *out)
{
    struct way_word word = way_word_for(&run->way, side, run->endpoint);
    out->connection = run->way.connection;
    out->endpoint = lent_text(word.endpoint);
    out->proxy = lent_text(word.proxy);
    if (word.named) out->rendezvous = lent_bytes(run->rendezvous, WAY_NAME_LEN);
}

static void send_assign(struct director *director, const struct effect *effect)
{
    struct host_link *host = hosts_find(director, effect->host);
    if (!host || host->stage != HOST_CONNECTED) return;
    const struct run *run = effect->run;
    const struct run_side *peer =
        effect->side == SEALIFT__RUN_SIDE__SIDE_TARGET ? &run->source : &run->target;
    Sealift__Assign assign = SEALIFT__ASSIGN__INIT;
    assign.run = lent_id(&run->id);
    assign.attempt = run->attempt;
    assign.side = effect->side;
    assign.subject = run->subject;
    assign.subject_id = lent_id(&run->subject_id);
    assign.subject_version = run->subject_version;
    assign.ticket = lent_bytes(run->ticket, RUN_TICKET_LEN);
    assign.peer = lent_bytes(peer->host, SIGN_PK_LEN);
    fill_way(run, effect->side, &assign);
    Sealift__Maintenance work;
    if (run->kind == RUN_MAINTENANCE) {
        run_work_message(&run->work, &work);
        assign.work = &work;
    }
    Sealift__Head head = head_of(SEALIFT__HEAD__KIND_ASSIGN, ++director->serial);
    head.assign = &assign;
    line_send(&host->line, &head, (struct span){0});
}

static void send_cancel(struct director *director, const struct effect *effect)
{
    struct host_link *host = hosts_find(director, effect->host);
    if (!host || host->stage != HOST_CONNECTED) return;
    Sealift__Cancel cancel = SEALIFT__CANCEL__INIT;
    cancel.run = lent_id(&effect->id);
    cancel.reason = effect->text;
    Sealift__Head head = head_of(SEALIFT__HEAD__KIND_CANCEL, ++director->serial);
    head.cancel = &cancel;
    line_send(&host->line, &head, (struct span){0});
}

static void say_moved(const struct run *run)
{
    char id[ID_TEXT_LEN], subject[ID_TEXT_LEN], attempt[16], code[16];
    (void)snprintf(attempt, sizeof(attempt), "%u", run->attempt);
    (void)snprintf(code, sizeof(code), "%u", run->code);
    bool bad = run->state == SEALIFT__RUN_STATE__RUN_FAILED || run->state == SEALIFT__RUN_STATE__RUN_UNKNOWN;
    log_event(bad ? LOG_WARN : LOG_INFO, "run", "run", id_text(&run->id, id), "state",
              run_state_name(run->state), "attempt", attempt, "subject", id_text(&run->subject_id, subject),
              "source", run->source.name, "target", run->target.name, "code", code, "text", run->text, NULL);
}

static void act(struct director *director, const struct effect *effect)
{
    struct host_link *host = NULL;
    switch (effect->kind) {
    case EFFECT_ASSIGN:
        send_assign(director, effect);
        break;
    case EFFECT_CANCEL:
        send_cancel(director, effect);
        break;
    case EFFECT_ASK_LOG:
        host = hosts_find(director, effect->host);
        if (host && host->stage == HOST_CONNECTED) logs_ask(director, host, &effect->id);
        break;
    case EFFECT_MOVED:
        say_moved(effect->run);
        follow_moved(director, effect->run);
        break;
    case EFFECT_PROGRESS:
        follow_progress(director, &effect->id);
        break;
    }
}

void apply_act(struct director *director, struct effects *effects)
{
    for (size_t i = 0; i < effects->act_count; i++)
        act(director, &effects->act[i]);
    effects_clear(effects);
}

static bool keep_all(struct director *director, const struct effects *effects, struct err *err)
{
    if (effects->keep_count == 0) return true;
    return catalog_begin(director->catalog, err) && apply_keep(director, effects, err) &&
           catalog_commit(director->catalog, err);
}

bool apply(struct director *director, struct effects *effects)
{
    struct err err;
    if (director->failed) return false;
    if (!keep_all(director, effects, &err)) {
        catalog_rollback(director->catalog);
        director_fail(director, &err);
        return false;
    }
    apply_act(director, effects);
    return true;
}
