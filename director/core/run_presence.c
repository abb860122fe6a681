/* Transporters that come, go and stay away, and what becomes of their runs. */
#include "director/core/run_rules.h"

#include <string.h>

static bool is_host(const struct run_side *side, const uint8_t host[SIGN_PK_LEN])
{
    return memcmp(side->host, host, SIGN_PK_LEN) == 0;
}

static bool listed(const struct host_hello *hello, const struct id *run)
{
    for (size_t i = 0; i < hello->run_count; i++)
        if (id_eq(&hello->runs[i], run)) return true;
    return false;
}

static void side_listed(const struct step *step, struct run *run, struct run_side *side)
{
    bool target_of_unknown = run->state == SEALIFT__RUN_STATE__RUN_UNKNOWN && side == &run->target;
    if (run_side_at_work(side) || target_of_unknown) run_side_alive(run, side);
    if (side->cancelled_ms != 0 || run->stopping) run_cancel_side(step, run, side, "it was to end");
}

static void side_missing(const struct step *step, struct run *run, struct run_side *side)
{
    if (run->state == SEALIFT__RUN_STATE__RUN_UNKNOWN) {
        if (side == &run->target) side->state = SIDE_LOST;
    } else if (run_side_at_work(side) && side->missing_since_ms == 0) {
        side->missing_since_ms = step->now->mono_ms;
    }
}

static void reconcile_side(const struct step *step, struct run *run, struct run_side *side,
                           const struct host_hello *hello)
{
    if (listed(hello, &run->id))
        side_listed(step, run, side);
    else
        side_missing(step, run, side);
}

/* Work that the director did not give, or has given up, or has given to a later attempt. */
static void cancel_strays(const struct step *step, const uint8_t host[SIGN_PK_LEN],
                          const struct host_hello *hello)
{
    for (size_t i = 0; i < hello->run_count; i++) {
        const struct run *run = run_find(step->table, &hello->runs[i]);
        bool known = run && ((is_host(&run->target, host) && run->target.state != SIDE_WAITING) ||
                             (is_host(&run->source, host) && run->source.state != SIDE_WAITING));
        if (!known)
            effects_cancel(step->effects, host, &hello->runs[i], "the director has given this run up");
    }
}

void run_table_up(struct run_table *table, const struct moment *now, const uint8_t key[SIGN_PK_LEN],
                  const struct host_hello *hello, struct effects *effects)
{
    struct step step = run_step(table, now, effects);
    struct host *host = host_table_get(&table->hosts, key, now);
    host->connected = true;
    host->incarnation = hello->incarnation;
    host->slots = hello->slots;
    host->kept_slots = hello->kept_slots < hello->slots ? hello->kept_slots : 0;
    run_text_set(host->reverse_endpoint, sizeof(host->reverse_endpoint),
                 hello->reverse_endpoint ? hello->reverse_endpoint : "");
    cancel_strays(&step, key, hello);
    for (size_t i = 0; i < table->count; i++) {
        struct run *run = table->runs[i];
        if (is_host(&run->target, key)) reconcile_side(&step, run, &run->target, hello);
        if (!run_is_local(run) && is_host(&run->source, key)) reconcile_side(&step, run, &run->source, hello);
    }
    run_settle(&step);
}

static void forget_missing(struct run_side *side, const uint8_t host[SIGN_PK_LEN])
{
    if (is_host(side, host)) side->missing_since_ms = 0;
}

void run_table_down(struct run_table *table, const struct moment *now, const uint8_t key[SIGN_PK_LEN],
                    struct effects *effects)
{
    struct step step = run_step(table, now, effects);
    struct host *host = host_table_get(&table->hosts, key, now);
    if (host->connected) host->gone_since_ms = now->mono_ms;
    host->connected = false;
    for (size_t i = 0; i < table->count; i++) {
        forget_missing(&table->runs[i]->source, key);
        forget_missing(&table->runs[i]->target, key);
    }
    run_settle(&step);
}

static void lose_if(const struct step *step, struct run *run, struct run_side *side, bool condition,
                    const char *what)
{
    if (condition && !run_side_done(side)) run_lose_side(step, run, side, what);
}

void run_table_removed(struct run_table *table, const struct moment *now, const uint8_t key[SIGN_PK_LEN],
                       struct effects *effects)
{
    struct step step = run_step(table, now, effects);
    struct host *host = host_table_get(&table->hosts, key, now);
    if (host->connected) host->gone_since_ms = now->mono_ms;
    host->connected = false;
    static const char reason[] = "is not in the roster any more";
    for (size_t i = 0; i < table->count; i++) {
        struct run *run = table->runs[i];
        if (run->state == SEALIFT__RUN_STATE__RUN_UNKNOWN && is_host(&run->target, key))
            run_resolve(&step, run, SEALIFT__RUN_STATE__RUN_FAILED);
        if (!run_state_active(run->state)) continue;
        lose_if(&step, run, &run->target, is_host(&run->target, key), reason);
        if (!run_is_local(run)) lose_if(&step, run, &run->source, is_host(&run->source, key), reason);
        run_evaluate(&step, run);
    }
    run_settle(&step);
}

/* ---- time */

static bool passed(const struct step *step, uint64_t since_ms, uint64_t span_ms)
{
    return since_ms != 0 && step->now->mono_ms - since_ms >= span_ms;
}

/* A host that came back without the run: either the assignment never reached it, or the run died there. */
static void check_missing(const struct step *step, struct run *run, struct run_side *side)
{
    if (!run_side_at_work(side) || !passed(step, side->missing_since_ms, RUN_MISSING_GRACE_MS)) return;
    side->missing_since_ms = 0;
    const struct host *host = host_table_get(&step->table->hosts, side->host, step->now);
    bool same_process = id_eq(&host->incarnation, &side->incarnation);
    if (same_process && side->state == SIDE_ASSIGNED) {
        effects_assign(step->effects, run, side);
        return;
    }
    if (run->state == SEALIFT__RUN_STATE__RUN_ASSIGNED) run->again = true;
    run_lose_side(step, run, side,
                  same_process ? "does not know the run any more" : "was restarted during the run");
}

static void check_queued(const struct step *step, struct run *run)
{
    bool waited = passed(step, run->since_ms, step->table->settings.lease_ms);
    static const char reason[] = "is not connected";
    lose_if(step, run, &run->target, waited && run_side_gone(step, &run->target), reason);
    if (!run_is_local(run))
        lose_if(step, run, &run->source, waited && run_side_gone(step, &run->source), reason);
    run_evaluate(step, run);
}

static void check_lease(const struct step *step, struct run *run, struct run_side *side)
{
    uint64_t lease_ms = step->table->settings.lease_ms;
    lose_if(step, run, side, passed(step, side->cancelled_ms, lease_ms), "did not stop the run");
    lose_if(step, run, side, side->state == SIDE_ASSIGNED && passed(step, side->assigned_ms, lease_ms),
            "did not begin the run");
}

/* One side that is out of the director's sight may work on with the other, which will say how it ended. */
static void check_gone(const struct step *step, struct run *run)
{
    static const char reason[] = "has been gone for too long";
    bool source_counts = !run_is_local(run) && !run_side_done(&run->source);
    if (!run_side_done(&run->target) && !run_side_gone(step, &run->target)) return;
    if (source_counts && !run_side_gone(step, &run->source)) return;
    lose_if(step, run, &run->source, source_counts, reason);
    lose_if(step, run, &run->target, true, reason);
}

static void check_active(const struct step *step, struct run *run)
{
    bool local = run_is_local(run);
    check_gone(step, run);
    check_lease(step, run, &run->target);
    if (!local) check_lease(step, run, &run->source);
    check_missing(step, run, &run->target);
    if (!local) check_missing(step, run, &run->source);
    run_evaluate(step, run);
}

void run_table_tick(struct run_table *table, const struct moment *now, struct effects *effects)
{
    struct step step = run_step(table, now, effects);
    for (size_t i = 0; i < table->count; i++) {
        struct run *run = table->runs[i];
        if (run->state == SEALIFT__RUN_STATE__RUN_QUEUED)
            check_queued(&step, run);
        else if (run_state_active(run->state))
            check_active(&step, run);
    }
    run_settle(&step);
}
