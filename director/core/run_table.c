#include "director/core/run_rules.h"

#include "common/base/alloc.h"
#include "common/wire/statement.h"

#include <assert.h>
#include <string.h>

struct run_table *run_table_new(const struct run_settings *settings)
{
    struct run_table *table = xcalloc(1, sizeof(*table));
    table->settings = *settings;
    return table;
}

void run_table_free(struct run_table *table)
{
    if (!table) return;
    for (size_t i = 0; i < table->count; i++)
        free(table->runs[i]);
    free(table->runs);
    host_table_deinit(&table->hosts);
    free(table);
}

static struct run *add_run(struct run_table *table, const struct run *run)
{
    if (table->count == table->cap) {
        table->cap = table->cap ? table->cap * 2 : 16;
        table->runs = xreallocarray(table->runs, table->cap, sizeof(struct run *));
    }
    struct run *copy = xmalloc(sizeof(*copy));
    *copy = *run;
    table->runs[table->count++] = copy;
    return copy;
}

static void forget_moments(struct run_side *side, const struct moment *now)
{
    side->assigned_ms = now->mono_ms;
    side->cancelled_ms = 0;
    side->missing_since_ms = 0;
}

void run_table_load(struct run_table *table, const struct moment *now, const struct run *run)
{
    assert(!run_state_final(run->state));
    struct run *loaded = add_run(table, run);
    forget_moments(&loaded->source, now);
    forget_moments(&loaded->target, now);
    loaded->since_ms = now->mono_ms;
    loaded->not_before_ms = 0;
    loaded->again = loaded->changed = loaded->progressed = false;
    (void)host_table_get(&table->hosts, run->source.host, now);
    (void)host_table_get(&table->hosts, run->target.host, now);
}

size_t run_table_count(const struct run_table *table)
{
    return table->count;
}

const struct run *run_table_at(const struct run_table *table, size_t index)
{
    return table->runs[index];
}

struct run *run_find(const struct run_table *table, const struct id *id)
{
    for (size_t i = 0; i < table->count; i++)
        if (id_eq(&table->runs[i]->id, id)) return table->runs[i];
    return NULL;
}

const struct run *run_table_find(const struct run_table *table, const struct id *run)
{
    return run_find(table, run);
}

/* ---- the end of each step */

static void tell(const struct step *step, struct run *run)
{
    if (run->changed) {
        effects_keep(step->effects, run);
        effects_tell(step->effects, EFFECT_MOVED, run);
    } else if (run->progressed) {
        effects_tell(step->effects, EFFECT_PROGRESS, run);
    }
    run->changed = run->progressed = false;
}

/* Assigns what has become possible, hands out what changed, forgets what has ended. */
void run_settle(const struct step *step)
{
    run_schedule(step);
    struct run_table *table = step->table;
    size_t kept = 0;
    for (size_t i = 0; i < table->count; i++) {
        struct run *run = table->runs[i];
        tell(step, run);
        if (run_state_final(run->state))
            free(run);
        else
            table->runs[kept++] = run;
    }
    table->count = kept;
}

struct step run_step(struct run_table *table, const struct moment *now, struct effects *effects)
{
    return (struct step){.table = table, .now = now, .effects = effects};
}

/* ---- operators */

static void abandon_side(const struct step *step, struct run *run, struct run_side *side)
{
    if (run_side_done(side)) return;
    bool gone = run_side_gone(step, side);
    run_lose_side(step, run, side, gone ? "has been gone for too long" : "was told to give up");
    if (!gone) side->code = ERR_CANCELLED;
}

/* Ends a run of which a side has been gone for longer than its lease. */
static bool give_up_if_gone(const struct step *step, struct run *run)
{
    bool local = run_is_local(run);
    if (!run_side_gone(step, &run->target) && (local || !run_side_gone(step, &run->source))) return false;
    if (!local) abandon_side(step, run, &run->source);
    abandon_side(step, run, &run->target);
    run_evaluate(step, run);
    return true;
}

/* Whether this run would do what is asked for, and stands in its way. */
static bool in_the_way(const struct run *run, const struct run_plan *plan)
{
    if (run->subject != plan->subject || !id_eq(&run->subject_id, &plan->subject_id)) return false;
    return plan->kind != RUN_MAINTENANCE || run_work_same(&run->work, &plan->work);
}

/* Whether a wrap can begin now. */
static bool is_at_hand(const struct run_table *table, const struct run_plan *plan, struct err *err)
{
    if (!run_table_connected(table, plan->target))
        return err_set(err, ERR_UNREACHABLE, "transporter '%s' is not connected: it has to be, to wrap a key",
                       plan->target_name);
    return run_table_has_room(table, plan->target) ||
           err_set(err, ERR_UNREACHABLE, "transporter '%s' is busy, and has no free slot: try again later",
                   plan->target_name);
}

static bool make_room(const struct step *step, const struct run_plan *plan, struct err *err)
{
    struct run_table *table = step->table;
    /* an order is executed once: its id is its run's own */
    bool alone = plan->subject != SEALIFT__STATEMENT_TYPE__STATEMENT_ORDER;
    for (size_t i = 0; i < table->count && alone; i++) {
        struct run *run = table->runs[i];
        if (!in_the_way(run, plan)) continue;
        if (!run_state_active(run->state) || give_up_if_gone(step, run)) continue;
        return err_set(err, ERR_BUSY, "the %s has %s already, which is %s",
                       statement_type_name(plan->subject),
                       plan->kind == RUN_MAINTENANCE ? "such a run" : "a run", run_state_name(run->state));
    }
    if (table->count >= RUN_TABLE_MAX)
        return err_set(err, ERR_LIMIT, "there are %zu runs that have not ended, and no room for more",
                       table->count);
    return true;
}

static void fill_side(struct run_side *side, const uint8_t host[SIGN_PK_LEN], const char *name)
{
    memcpy(side->host, host, SIGN_PK_LEN);
    run_text_set(side->name, sizeof(side->name), name);
}

bool run_table_start(struct run_table *table, const struct moment *now, const struct run_plan *plan,
                     struct effects *effects, struct err *err)
{
    struct step step = run_step(table, now, effects);
    if (plan->kind == RUN_WRAP && !is_at_hand(table, plan, err)) return false;
    if (!make_room(&step, plan, err)) return false;
    struct run run = {
        .id = plan->id,
        .subject = plan->subject,
        .subject_id = plan->subject_id,
        .subject_version = plan->subject_version,
        .kind = plan->kind,
        .repository = plan->repository,
        .work = plan->work,
        .priority = plan->priority,
        .own_way = plan->own_way,
        .started_ns = now->wall_ns,
    };
    fill_side(&run.source, plan->source, plan->source_name);
    fill_side(&run.target, plan->target, plan->target_name);
    run_move(&step, add_run(table, &run), SEALIFT__RUN_STATE__RUN_QUEUED);
    run_settle(&step);
    return true;
}

void run_table_replan(struct run_table *table, const struct moment *now, const struct run_plan *plan,
                      struct effects *effects)
{
    struct step step = run_step(table, now, effects);
    for (size_t i = 0; i < table->count; i++) {
        struct run *run = table->runs[i];
        bool waits = run->state == SEALIFT__RUN_STATE__RUN_QUEUED && run->subject == plan->subject &&
                     id_eq(&run->subject_id, &plan->subject_id);
        if (!waits) continue;
        run->subject_version = plan->subject_version;
        run->kind = plan->kind;
        run->repository = plan->repository;
        run->own_way = plan->own_way;
        run->priority = plan->priority;
        fill_side(&run->source, plan->source, plan->source_name);
        fill_side(&run->target, plan->target, plan->target_name);
        run->changed = true;
    }
    run_settle(&step);
}

static void stop_side(const struct step *step, struct run *run, struct run_side *side)
{
    if (run_side_done(side)) return;
    if (side->state == SIDE_WAITING) {
        run_lose_side(step, run, side, "was not needed any more");
        side->code = ERR_CANCELLED;
    } else {
        run_cancel_side(step, run, side, "stopped by an operator");
    }
}

bool run_table_stop(struct run_table *table, const struct moment *now, const struct id *id,
                    struct effects *effects, struct err *err)
{
    struct step step = run_step(table, now, effects);
    struct run *run = run_find(table, id);
    if (!run || !run_state_active(run->state)) return err_set(err, ERR_NOT_FOUND, "the run is not active");
    if (!run->stopping) {
        run->stopping = run->changed = true;
        run->since_ms = now->mono_ms;
    }
    if (!run_is_local(run)) stop_side(&step, run, &run->source);
    stop_side(&step, run, &run->target);
    run_evaluate(&step, run);
    run_settle(&step);
    return true;
}

/* ---- what transporters report of a run */

static bool attempt_fits(const struct run *run, uint32_t attempt)
{
    return run && run->attempt == attempt && run->state != SEALIFT__RUN_STATE__RUN_QUEUED;
}

void run_table_ready(struct run_table *table, const struct moment *now, const uint8_t host[SIGN_PK_LEN],
                     const struct id *id, uint32_t attempt, const char *endpoint, struct effects *effects)
{
    struct step step = run_step(table, now, effects);
    struct run *run = run_find(table, id);
    if (!attempt_fits(run, attempt) || !run_state_active(run->state)) return;
    if (memcmp(run->target.host, host, SIGN_PK_LEN) != 0 || !run_side_at_work(&run->target)) return;
    run_side_alive(run, &run->target);
    if (!run_is_local(run) && run->source.state == SIDE_WAITING) {
        if (run->way.connection == SEALIFT__CONNECTION__CONNECTION_DIRECT)
            run_text_set(run->endpoint, sizeof(run->endpoint), endpoint);
        run_assign_side(&step, run, &run->source);
    }
    run_settle(&step);
}

/* Neither source nor target has begun before both are assigned. */
static bool may_begin(const struct run *run)
{
    return run_state_active(run->state) && (run_is_local(run) || run->source.state != SIDE_WAITING);
}

void run_table_progress(struct run_table *table, const struct moment *now, const uint8_t host[SIGN_PK_LEN],
                        const Sealift__RunProgress *progress, struct effects *effects)
{
    struct step step = run_step(table, now, effects);
    struct id id;
    memcpy(id.bytes, progress->run.data, ID_LEN);
    struct run *run = run_find(table, &id);
    if (!attempt_fits(run, progress->attempt) || !run_state_active(run->state)) return;
    struct run_side *side = run_side_of(run, host, progress->side);
    if (!side || !run_side_at_work(side)) return;
    run_side_alive(run, side);
    if (progress->counters) side->counters = *progress->counters;
    run_text_set(side->waits, sizeof(side->waits), progress->waits);
    run->progressed = true;
    bool working = progress->state == SEALIFT__RUN_STATE__RUN_RUNNING ||
                   progress->state == SEALIFT__RUN_STATE__RUN_COMMITTING;
    if (working && may_begin(run)) run_advance(&step, run, progress->state);
    run_settle(&step);
}

static void take_report(struct run *run, struct run_side *side, const Sealift__RunEnd *end)
{
    side->state = SIDE_ENDED;
    side->missing_since_ms = 0;
    side->code = end->code;
    run_text_set(side->text, sizeof(side->text), end->text);
    if (end->counters) side->counters = *end->counters;
    if (end->point.len == ID_LEN) memcpy(run->point.bytes, end->point.data, ID_LEN);
    run->changed = true;
}

/* The target of a run that was given up comes back with its end. */
static void end_of_unknown(const struct step *step, struct run *run)
{
    const struct run_side *target = &run->target;
    bool ok = run_side_ok(target);
    run->code = target->code;
    run_text_set(run->text, sizeof(run->text), target->text);
    if (ok && run->source.code != 0) run->code = 1;
    run_move(step, run, ok ? SEALIFT__RUN_STATE__RUN_OK : SEALIFT__RUN_STATE__RUN_FAILED);
}

void run_table_end(struct run_table *table, const struct moment *now, const uint8_t host[SIGN_PK_LEN],
                   const Sealift__RunEnd *end, struct effects *effects)
{
    struct step step = run_step(table, now, effects);
    struct id id;
    memcpy(id.bytes, end->run.data, ID_LEN);
    struct run *run = run_find(table, &id);
    if (!attempt_fits(run, end->attempt)) return;
    struct run_side *side = run_side_of(run, host, end->side);
    if (!side) return;
    if (run->state == SEALIFT__RUN_STATE__RUN_UNKNOWN) {
        if (side != &run->target) return;
        take_report(run, side, end);
        end_of_unknown(&step, run);
    } else {
        if (!run_side_at_work(side)) return;
        take_report(run, side, end);
        /* an order that its target has accepted is not accepted a second time */
        if (end->code == ERR_BUSY && run->kind != RUN_WRAP &&
            (run->kind != RUN_RECOVERY || side == &run->target))
            run->again = true;
        run_evaluate(&step, run);
    }
    run_settle(&step);
}

/* ---- the repository's log */

void run_table_point(struct run_table *table, const struct moment *now, const uint8_t host[SIGN_PK_LEN],
                     const struct id *repository, const struct id *id, const struct id *point,
                     struct effects *effects)
{
    struct step step = run_step(table, now, effects);
    struct run *run = run_find(table, id);
    if (!run || run->kind != RUN_BACKUP || run->in_log || !id_eq(&run->repository, repository)) return;
    if (memcmp(run->target.host, host, SIGN_PK_LEN) != 0) return;
    run->point = *point;
    run->in_log = run->changed = true;
    if (run->state == SEALIFT__RUN_STATE__RUN_UNKNOWN) run_resolve(&step, run, SEALIFT__RUN_STATE__RUN_OK);
    run_settle(&step);
}

void run_table_log_read(struct run_table *table, const struct moment *now, const uint8_t host[SIGN_PK_LEN],
                        const struct id *repository, struct effects *effects)
{
    struct step step = run_step(table, now, effects);
    for (size_t i = 0; i < table->count; i++) {
        struct run *run = table->runs[i];
        bool asked = run->state == SEALIFT__RUN_STATE__RUN_UNKNOWN && id_eq(&run->repository, repository) &&
                     memcmp(run->target.host, host, SIGN_PK_LEN) == 0;
        if (asked && run->target.state != SIDE_LIVE) run_resolve(&step, run, SEALIFT__RUN_STATE__RUN_FAILED);
    }
    run_settle(&step);
}
