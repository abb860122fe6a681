#include "director/core/run_rules.h"

#include "common/wire/head.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

void run_move(const struct step *step, struct run *run, Sealift__RunState to)
{
    assert(run_state_may_follow(run->state, to));
    run->state = to;
    run->since_ms = step->now->mono_ms;
    run->changed = true;
    if (!run_state_active(to) && run->ended_ns == 0) run->ended_ns = step->now->wall_ns;
}

void run_advance(const struct step *step, struct run *run, Sealift__RunState to)
{
    if (run->state == SEALIFT__RUN_STATE__RUN_ASSIGNED) {
        run->text[0] = '\0'; /* nobody is waited for any more */
        run_move(step, run, SEALIFT__RUN_STATE__RUN_RUNNING);
    }
    if (run->state == SEALIFT__RUN_STATE__RUN_RUNNING && to == SEALIFT__RUN_STATE__RUN_COMMITTING)
        run_move(step, run, to);
}

void run_assign_side(const struct step *step, struct run *run, struct run_side *side)
{
    side->state = SIDE_ASSIGNED;
    side->incarnation = host_table_get(&step->table->hosts, side->host, step->now)->incarnation;
    side->assigned_ms = step->now->mono_ms;
    char text[RUN_TEXT_MAX + 1];
    (void)snprintf(text, sizeof(text), "waiting for '%s' to begin", side->name);
    run_text_set(run->text, sizeof(run->text), text);
    run->changed = true;
    effects_assign(step->effects, run, side);
}

void run_cancel_side(const struct step *step, struct run *run, struct run_side *side, const char *reason)
{
    if (side->cancelled_ms == 0) side->cancelled_ms = step->now->mono_ms;
    effects_cancel(step->effects, side->host, &run->id, reason);
}

void run_lose_side(const struct step *step, struct run *run, struct run_side *side, const char *what)
{
    /* should it be at work after all, it is not to go on */
    if (run_side_at_work(side)) run_cancel_side(step, run, side, "the director has given this run up");
    side->state = SIDE_LOST;
    side->code = ERR_UNREACHABLE;
    (void)snprintf(side->text, sizeof(side->text), "transporter '%s' %s", side->name, what);
    run->changed = true;
}

void run_side_alive(struct run *run, struct run_side *side)
{
    side->missing_since_ms = 0;
    if (side->state == SIDE_LIVE) return;
    side->state = SIDE_LIVE;
    run->changed = true;
}

bool run_side_gone(const struct step *step, const struct run_side *side)
{
    if (run_side_done(side)) return false;
    const struct host *host = host_table_get(&step->table->hosts, side->host, step->now);
    return host_gone(host, step->now, step->table->settings.lease_ms);
}

/* ---- how a run ends */

/* How much a failed side's report tells: what it met itself, what the other one told it, that it is gone,
 * that it cannot reach the other one, that it was told to end. */
static int weight(const struct run_side *side)
{
    if (!run_side_done(side) || run_side_ok(side)) return -1;
    if (side->code == ERR_CANCELLED) return 0;
    if (side->state == SIDE_LOST) return 2;
    if (side->code == ERR_UNREACHABLE) return 1;
    return strncmp(side->text, HEAD_BY_PEER, strlen(HEAD_BY_PEER)) == 0 ? 3 : 4;
}

/* Whoever opens what a repository keeps finds the damage; it lies with the other one. */
static bool is_damage_at_source(const struct run *run, const struct run_side *side)
{
    return run->kind == RUN_RECOVERY && side == &run->target && !run_is_local(run) &&
           (side->code == ERR_DAMAGED || side->code == ERR_TRUNCATED);
}

static void quote(struct run *run, const struct run_side *side)
{
    run->code = side->code;
    if (side->state == SIDE_LOST || side->text[0] == '\0') {
        run_text_set(run->text, sizeof(run->text), side->text);
        return;
    }
    char text[2 * RUN_NAME_MAX + RUN_TEXT_MAX + 32];
    if (is_damage_at_source(run, side))
        (void)snprintf(text, sizeof(text), "%s: %s (found by '%s')", run->source.name, side->text,
                       side->name);
    else
        (void)snprintf(text, sizeof(text), "%s: %s", side->name, side->text);
    run_text_set(run->text, sizeof(run->text), text);
}

static void end_ok(const struct step *step, struct run *run)
{
    const struct run_side *told = NULL;
    if (!run_is_local(run) && run->source.code != 0)
        told = &run->source;
    else if (run->target.code != 0)
        told = &run->target;
    run_advance(step, run, SEALIFT__RUN_STATE__RUN_COMMITTING);
    run->code = 0;
    run_text_set(run->text, sizeof(run->text), told ? "" : run->target.text); /* what it says it did */
    if (told) quote(run, told);
    if (run->code != 0) run->code = 1;
    run_move(step, run, SEALIFT__RUN_STATE__RUN_OK);
}

static void end_badly(const struct step *step, struct run *run)
{
    bool blame_source = !run_is_local(run) && weight(&run->source) >= weight(&run->target);
    quote(run, blame_source ? &run->source : &run->target);
    if (run->code <= 1) run->code = ERR_FAILED;
    if (run->stopping) {
        run->code = ERR_CANCELLED;
        run_text_set(run->text, sizeof(run->text), "stopped by an operator");
        run_move(step, run, SEALIFT__RUN_STATE__RUN_STOPPED);
    } else {
        run_move(step, run, SEALIFT__RUN_STATE__RUN_FAILED);
    }
}

void run_refuse(const struct step *step, struct run *run, const struct err *why)
{
    run->source.state = run->target.state = SIDE_LOST;
    run->source.code = run->target.code = why->code;
    run->code = why->code;
    run_text_set(run->text, sizeof(run->text), why->text);
    run_move(step, run, SEALIFT__RUN_STATE__RUN_FAILED);
}

static bool may_have_committed(const struct run *run)
{
    return run->kind == RUN_BACKUP && run->target.state == SIDE_LOST && !run->stopping &&
           run_state_may_follow(run->state, SEALIFT__RUN_STATE__RUN_UNKNOWN);
}

static void end_unknown(const struct step *step, struct run *run)
{
    char text[RUN_TEXT_MAX + 1];
    (void)snprintf(text, sizeof(text), "%.400s; the repository's log will show whether there is a point",
                   run->target.text);
    run->code = ERR_UNREACHABLE;
    run_text_set(run->text, sizeof(run->text), text);
    run_move(step, run, SEALIFT__RUN_STATE__RUN_UNKNOWN);
    effects_ask_log(step->effects, run->target.host, &run->repository);
}

static bool target_vouches(const struct run *run)
{
    if (!run_side_ok(&run->target)) return run->kind == RUN_BACKUP && run->in_log;
    /* of a copy the source knows whether that was all; of the others the target does */
    return run_is_local(run) || run->kind != RUN_COPY || run_side_ok(&run->source);
}

static void queue_again(const struct step *step, struct run *run)
{
    run->again = false;
    run->not_before_ms = step->now->mono_ms + RUN_AGAIN_PAUSE_MS;
    run->source.state = run->target.state = SIDE_WAITING;
    run_move(step, run, SEALIFT__RUN_STATE__RUN_QUEUED);
}

static void conclude(const struct step *step, struct run *run)
{
    bool unbegun = run->state == SEALIFT__RUN_STATE__RUN_ASSIGNED;
    if (target_vouches(run))
        end_ok(step, run);
    else if (run->again && unbegun && !run->stopping && run->attempt < RUN_ATTEMPTS_MAX)
        queue_again(step, run);
    else if (may_have_committed(run))
        end_unknown(step, run);
    else
        end_badly(step, run);
}

static bool in_vain(const struct run_side *other)
{
    return run_side_done(other) && !run_side_ok(other);
}

static void end_side_in_vain(const struct step *step, struct run *run, struct run_side *side,
                             const struct run_side *other)
{
    if (run_side_done(side) || !in_vain(other)) return;
    if (side->state == SIDE_WAITING) {
        side->state = SIDE_LOST;
        side->code = ERR_CANCELLED;
        side->text[0] = '\0';
    } else if (side->cancelled_ms == 0) {
        run_cancel_side(step, run, side, "the other side of the run has failed");
    }
}

void run_evaluate(const struct step *step, struct run *run)
{
    if (!run_state_active(run->state)) return;
    struct run_side *source = &run->source, *target = &run->target;
    if (run_is_local(run)) {
        if (run_side_done(target)) conclude(step, run);
        return;
    }
    end_side_in_vain(step, run, source, target);
    end_side_in_vain(step, run, target, source);
    if (run_side_done(source) && run_side_done(target)) conclude(step, run);
}

void run_resolve(const struct step *step, struct run *run, Sealift__RunState to)
{
    assert(run->state == SEALIFT__RUN_STATE__RUN_UNKNOWN);
    if (to == SEALIFT__RUN_STATE__RUN_OK) {
        run->code = 1;
        run_text_set(run->text, sizeof(run->text),
                     "the end was not reported; the repository's log shows the point");
    }
    run_move(step, run, to);
}
