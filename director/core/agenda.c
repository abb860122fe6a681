#include "director/core/agenda.h"

#include "common/base/alloc.h"

#include <string.h>

#define NS_PER_S UINT64_C(1000000000)

struct agenda {
    struct agenda_item *items;
    size_t count, cap;
};

struct agenda *agenda_new(void)
{
    return xcalloc(1, sizeof(struct agenda));
}

void agenda_free(struct agenda *agenda)
{
    if (!agenda) return;
    free(agenda->items);
    free(agenda);
}

static struct agenda_item *add(struct agenda *agenda, const struct agenda_item *item)
{
    if (agenda->count == agenda->cap) {
        agenda->cap = agenda->cap ? 2 * agenda->cap : 16;
        agenda->items = xreallocarray(agenda->items, agenda->cap, sizeof(*agenda->items));
    }
    agenda->items[agenda->count] = *item;
    return &agenda->items[agenda->count++];
}

static struct agenda_item *find(struct agenda *agenda, enum agenda_kind kind, const struct id *repository,
                                const struct id *job)
{
    for (size_t i = 0; i < agenda->count; i++) {
        struct agenda_item *item = &agenda->items[i];
        if (item->kind == kind && id_eq(&item->repository, repository) && id_eq(&item->job, job)) return item;
    }
    return NULL;
}

/* --- planning --- */

void agenda_load(struct agenda *agenda, const struct agenda_item *kept)
{
    struct agenda_item *item = add(agenda, kept);
    item->changed = item->unfinished = false;
}

static void spread_of(const struct agenda_item *item, struct id *out)
{
    /* prunes go with the sweep of their repository */
    *out = item->kind == AGENDA_JOB ? item->job : item->repository;
    if (item->kind == AGENDA_CHECK) out->bytes[0] ^= 0xff; /* not when the sweep does */
}

/* Of maintenance whose hour nobody has chosen: a new repository is left alone at first. */
static uint64_t first_moment(const struct agenda_item *item, uint64_t now_ns)
{
    bool chosen = item->kind == AGENDA_JOB || strchr(item->spec, ':');
    bool waits = !chosen && item->schedule.period_s > AGENDA_RETRY_S;
    return schedule_next(&item->schedule, waits ? now_ns + AGENDA_RETRY_S * NS_PER_S : now_ns);
}

static void plan_item(struct agenda *agenda, const struct moment *now, const struct agenda_item *wanted,
                      struct agenda *out)
{
    struct id spread;
    struct err ignored;
    struct agenda_item item = *wanted;
    spread_of(wanted, &spread);
    if (!schedule_parse(wanted->spec, &spread, &item.schedule, &ignored)) return;
    const struct agenda_item *old = find(agenda, wanted->kind, &wanted->repository, &wanted->job);
    bool same = old && strcmp(old->spec, wanted->spec) == 0;
    item.since_ns = same ? old->since_ns : now->wall_ns;
    item.next_ns = same ? old->next_ns : first_moment(&item, now->wall_ns);
    item.good_ns = old ? old->good_ns : 0;
    item.unfinished = old && old->unfinished;
    item.changed = !same || old->changed;
    (void)add(out, &item);
}

void agenda_plan(struct agenda *agenda, const struct moment *now, const struct agenda_item *wanted,
                 size_t count)
{
    struct agenda fresh = {0};
    for (size_t i = 0; i < count; i++)
        plan_item(agenda, now, &wanted[i], &fresh);
    free(agenda->items);
    *agenda = fresh;
}

size_t agenda_count(const struct agenda *agenda)
{
    return agenda->count;
}

const struct agenda_item *agenda_at(const struct agenda *agenda, size_t index)
{
    return &agenda->items[index];
}

const struct agenda_item *agenda_take_changed(struct agenda *agenda)
{
    for (size_t i = 0; i < agenda->count; i++) {
        if (!agenda->items[i].changed) continue;
        agenda->items[i].changed = false;
        return &agenda->items[i];
    }
    return NULL;
}

struct run_work agenda_work(const struct agenda_item *item)
{
    struct run_work work = {0};
    switch (item->kind) {
    case AGENDA_JOB:
        break;
    case AGENDA_SWEEP:
        work.kind = SEALIFT__MAINTENANCE_KIND__MAINTENANCE_SWEEP;
        break;
    case AGENDA_PRUNE:
        work.kind = SEALIFT__MAINTENANCE_KIND__MAINTENANCE_PRUNE;
        work.about = item->job;
        break;
    case AGENDA_CHECK:
        work.kind = SEALIFT__MAINTENANCE_KIND__MAINTENANCE_CHECK;
        work.level = SEALIFT__CHECK_LEVEL__CHECK_LEVEL_HASH;
        work.sample_ppm = item->sample_ppm;
        break;
    }
    return work;
}

/* --- what is due --- */

/* Due moments that only a clock which was wrong can have set. */
static void pull_back(struct agenda_item *item, const struct moment *now)
{
    uint64_t next_ns = schedule_next(&item->schedule, now->wall_ns);
    if (item->next_ns <= next_ns || item->next_ns <= schedule_next(&item->schedule, next_ns)) return;
    item->next_ns = next_ns;
    item->changed = true;
}

static bool host_is_at_work(const struct run_table *runs, const uint8_t host[SIGN_PK_LEN],
                            const struct id *repository)
{
    for (size_t i = 0; i < run_table_count(runs); i++) {
        const struct run *run = run_table_at(runs, i);
        if (run->kind != RUN_MAINTENANCE || !run_state_active(run->state)) continue;
        if (memcmp(run->target.host, host, SIGN_PK_LEN) == 0 || id_eq(&run->repository, repository))
            return true;
    }
    return false;
}

static bool sweep_comes_first(struct agenda *agenda, const struct moment *now, const struct agenda_item *item)
{
    static const struct id none = {{0}};
    const struct agenda_item *sweep = find(agenda, AGENDA_SWEEP, &item->repository, &none);
    return sweep && (sweep->unfinished || sweep->next_ns <= now->wall_ns);
}

static bool may_start(struct agenda *agenda, const struct moment *now, const struct run_table *runs,
                      const struct agenda_item *item)
{
    if (item->kind == AGENDA_JOB)
        return run_table_connected(runs, item->source) && run_table_connected(runs, item->target);
    if (item->kind == AGENDA_PRUNE && sweep_comes_first(agenda, now, item)) return false;
    return run_table_has_room(runs, item->target) && !host_is_at_work(runs, item->target, &item->repository);
}

static bool goes_before(const struct agenda_item *a, const struct agenda_item *b)
{
    return a->next_ns != b->next_ns ? a->next_ns < b->next_ns : a->kind < b->kind;
}

const struct agenda_item *agenda_due(struct agenda *agenda, const struct moment *now,
                                     const struct run_table *runs)
{
    struct agenda_item *first = NULL;
    for (size_t i = 0; i < agenda->count; i++) {
        struct agenda_item *item = &agenda->items[i];
        pull_back(item, now);
        bool due = item->next_ns <= now->wall_ns && (!first || goes_before(item, first));
        if (due && may_start(agenda, now, runs, item)) first = item;
    }
    return first;
}

void agenda_started(struct agenda *agenda, const struct moment *now, const struct agenda_item *item)
{
    struct agenda_item *mine = find(agenda, item->kind, &item->repository, &item->job);
    if (!mine) return;
    mine->next_ns = schedule_next(&mine->schedule, now->wall_ns);
    mine->changed = true;
}

/* --- what became of it --- */

static struct agenda_item *item_of(struct agenda *agenda, const struct run *run)
{
    static const struct id none = {{0}};
    if (run->kind == RUN_BACKUP || run->kind == RUN_COPY)
        return find(agenda, AGENDA_JOB, &none, &run->subject_id);
    if (run->kind != RUN_MAINTENANCE || run->work.dry_run) return NULL;
    switch (run->work.kind) {
    case SEALIFT__MAINTENANCE_KIND__MAINTENANCE_SWEEP:
        return find(agenda, AGENDA_SWEEP, &run->repository, &none);
    case SEALIFT__MAINTENANCE_KIND__MAINTENANCE_PRUNE:
        return find(agenda, AGENDA_PRUNE, &run->repository, &run->work.about);
    case SEALIFT__MAINTENANCE_KIND__MAINTENANCE_REINDEX:
        return NULL;
    default:
        return run->work.level == SEALIFT__CHECK_LEVEL__CHECK_LEVEL_HASH && id_is_zero(&run->work.about)
                   ? find(agenda, AGENDA_CHECK, &run->repository, &none)
                   : NULL;
    }
}

/* A check that found something did come to its end. */
static bool came_to_its_end(const struct run *run)
{
    bool found = run->kind == RUN_MAINTENANCE &&
                 (run->code == ERR_DAMAGED || run->code == ERR_TRUNCATED || run->code == ERR_NOT_AUTHENTIC);
    return run->state == SEALIFT__RUN_STATE__RUN_OK ||
           (found && run->work.kind == SEALIFT__MAINTENANCE_KIND__MAINTENANCE_CHECK);
}

static void try_again(struct agenda_item *item, const struct moment *now)
{
    uint64_t pause_s = item->schedule.period_s < AGENDA_RETRY_S ? item->schedule.period_s : AGENDA_RETRY_S;
    uint64_t at_ns = now->wall_ns + pause_s * NS_PER_S;
    if (item->schedule.period_s > 0 && at_ns < item->next_ns) item->next_ns = at_ns;
}

void agenda_ended(struct agenda *agenda, const struct moment *now, const struct run *run)
{
    struct agenda_item *item = item_of(agenda, run);
    if (!item) return;
    bool waits = item->kind == AGENDA_SWEEP && run->target.counters.skipped > 0;
    bool good = came_to_its_end(run) && !waits;
    /* the transporter went away, or was busy with another such run */
    bool lost = run->state == SEALIFT__RUN_STATE__RUN_FAILED &&
                (run->code == ERR_UNREACHABLE || run->code == ERR_BUSY);
    if (good) item->good_ns = now->wall_ns;
    if (item->kind == AGENDA_SWEEP) item->unfinished = waits;
    if (waits || (lost && item->kind != AGENDA_JOB)) try_again(item, now);
    item->changed = true;
}
