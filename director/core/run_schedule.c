/* Which of the waiting runs are assigned: by priority, then by age, as far as the hosts' slots reach. Who has
 * waited for a while moves up, so that nothing waits for ever behind what comes later. */
#include "director/core/run_rules.h"

#include <stdio.h>
#include <string.h>

static bool occupies(const struct run *run, const struct run_side *side)
{
    if (run->state == SEALIFT__RUN_STATE__RUN_UNKNOWN)
        return side == &run->target && side->state == SIDE_LIVE;
    return run->state != SEALIFT__RUN_STATE__RUN_QUEUED && !run_side_done(side);
}

static bool works_on(const struct run *run, const struct run_side *side, const uint8_t host[SIGN_PK_LEN])
{
    return occupies(run, side) && memcmp(side->host, host, SIGN_PK_LEN) == 0;
}

uint32_t run_table_busy(const struct run_table *table, const uint8_t host[SIGN_PK_LEN])
{
    uint32_t busy = 0;
    for (size_t i = 0; i < table->count; i++) {
        const struct run *run = table->runs[i];
        bool works =
            works_on(run, &run->target, host) || (!run_is_local(run) && works_on(run, &run->source, host));
        if (works) busy++;
    }
    return busy;
}

static uint32_t kept_slots(const struct host *host, const struct run *run)
{
    return run->priority == RUN_PRIORITY_RECOVERY ? 0 : host->kept_slots;
}

/* Recoveries that are at work count first against the slots that are kept for them. */
static uint32_t busy_for(const struct run_table *table, const struct host *host, const struct run *run)
{
    uint32_t recoveries = 0, busy = run_table_busy(table, host->key), kept = kept_slots(host, run);
    for (size_t i = 0; i < table->count; i++) {
        const struct run *other = table->runs[i];
        bool at_work = works_on(other, &other->target, host->key) ||
                       (!run_is_local(other) && works_on(other, &other->source, host->key));
        recoveries += other->priority == RUN_PRIORITY_RECOVERY && at_work;
    }
    return busy + (recoveries < kept ? kept - recoveries : 0);
}

static bool has_slot(const struct run_table *table, const struct host *host, const struct run *run)
{
    return (uint64_t)busy_for(table, host, run) + host->booked < host->slots;
}

static const struct host *find_host(const struct run_table *table, const uint8_t key[SIGN_PK_LEN])
{
    for (size_t i = 0; i < table->hosts.count; i++)
        if (memcmp(table->hosts.items[i].key, key, SIGN_PK_LEN) == 0) return &table->hosts.items[i];
    return NULL;
}

bool run_table_connected(const struct run_table *table, const uint8_t host[SIGN_PK_LEN])
{
    const struct host *known = find_host(table, host);
    return known && known->connected;
}

static bool is_of(const struct run *run, const uint8_t host[SIGN_PK_LEN])
{
    return memcmp(run->target.host, host, SIGN_PK_LEN) == 0 ||
           memcmp(run->source.host, host, SIGN_PK_LEN) == 0;
}

bool run_table_has_room(const struct run_table *table, const uint8_t host[SIGN_PK_LEN])
{
    const struct host *known = find_host(table, host);
    uint32_t waiting = 0;
    for (size_t i = 0; i < table->count; i++)
        waiting += table->runs[i]->state == SEALIFT__RUN_STATE__RUN_QUEUED && is_of(table->runs[i], host);
    return known && known->connected &&
           (uint64_t)run_table_busy(table, host) + waiting + known->kept_slots < known->slots;
}

/* What a waiting run waits for, as its text. */
static void wait_for(struct run *run, const struct run_side *side, const char *what)
{
    char text[RUN_TEXT_MAX + 1];
    (void)snprintf(text, sizeof(text), "waits: transporter '%s' %s", side->name, what);
    if (strcmp(text, run->text) == 0) return;
    run_text_set(run->text, sizeof(run->text), text);
    run->progressed = true;
}

static void reset_side(struct run_side *side)
{
    side->state = SIDE_WAITING;
    side->code = 0;
    side->text[0] = '\0';
    side->cancelled_ms = 0;
    side->missing_since_ms = 0;
    side->waits[0] = '\0';
    side->counters = (Sealift__Counters){0};
    side->incarnation = (struct id){0};
}

/* 32 bytes that nobody can guess, of this attempt and for this use. */
static void derive(const struct run_table *table, const struct run *run, uint8_t use, uint8_t out[HASH_LEN])
{
    uint8_t what[ID_LEN + 4 + 1];
    memcpy(what, run->id.bytes, ID_LEN);
    le32_put(what + ID_LEN, run->attempt);
    what[ID_LEN + 4] = use;
    struct hash derived = hash_keyed(table->settings.seed, span_of(what, sizeof(what)));
    memcpy(out, derived.bytes, HASH_LEN);
}

static void make_secrets(const struct run_table *table, struct run *run)
{
    enum { TICKET = 1, RENDEZVOUS = 2 };
    _Static_assert(RUN_TICKET_LEN == HASH_LEN && WAY_NAME_LEN == HASH_LEN, "as long as a hash");
    derive(table, run, TICKET, run->ticket);
    memset(run->rendezvous, 0, sizeof(run->rendezvous));
    if (run->way.connection == SEALIFT__CONNECTION__CONNECTION_REVERSE ||
        run->way.connection == SEALIFT__CONNECTION__CONNECTION_RENDEZVOUS)
        derive(table, run, RENDEZVOUS, run->rendezvous);
}

static bool choose_way(const struct step *step, struct run *run, struct err *err)
{
    const struct way_ends ends = {.source = run->source.host,
                                  .target = run->target.host,
                                  .source_name = run->source.name,
                                  .target_name = run->target.name};
    const struct host *source = host_table_get(&step->table->hosts, run->source.host, step->now);
    struct way_wish way = {0};
    if (!run_is_local(run) && (!way_decide(&run->own_way, step->table->settings.links, &ends, &way, err) ||
                               !way_check_ends(&way, &ends, source->reverse_endpoint, err)))
        return false;
    run->way = way;
    bool reverse = way.connection == SEALIFT__CONNECTION__CONNECTION_REVERSE;
    run_text_set(run->endpoint, sizeof(run->endpoint), reverse ? source->reverse_endpoint : "");
    return true;
}

static void begin_attempt(const struct step *step, struct run *run)
{
    struct err err;
    if (!choose_way(step, run, &err)) {
        run_refuse(step, run, &err);
        return;
    }
    run->attempt++;
    run->text[0] = '\0';
    run->again = false;
    make_secrets(step->table, run);
    reset_side(&run->source);
    reset_side(&run->target);
    run_move(step, run, SEALIFT__RUN_STATE__RUN_ASSIGNED);
    run_assign_side(step, run, &run->target);
}

/* A run that waits for one full host keeps a place at the other, so that later runs cannot starve it. */
static void try_run(const struct step *step, struct run *run)
{
    struct host_table *hosts = &step->table->hosts;
    (void)host_table_get(hosts, run->source.host, step->now);
    struct host *target = host_table_get(hosts, run->target.host, step->now);
    struct host *source = host_table_get(hosts, run->source.host, step->now);
    if (!target->connected || !source->connected) {
        wait_for(run, target->connected ? &run->source : &run->target, "is not connected");
        return;
    }
    bool target_free = has_slot(step->table, target, run), source_free = has_slot(step->table, source, run);
    if (target_free && source_free) {
        begin_attempt(step, run);
        return;
    }
    wait_for(run, target_free ? &run->source : &run->target, "has no free slot");
    target->booked++;
    if (source != target) source->booked++;
}

static uint32_t rank_of(const struct run *run, const struct moment *now)
{
    uint64_t waited_ms = now->mono_ms > run->since_ms ? now->mono_ms - run->since_ms : 0;
    uint64_t steps = waited_ms / RUN_MOVES_UP_MS;
    if (run->priority <= RUN_PRIORITY_FIRST) return run->priority;
    return steps < run->priority - RUN_PRIORITY_FIRST ? run->priority - (uint32_t)steps : RUN_PRIORITY_FIRST;
}

void run_schedule(const struct step *step)
{
    struct run_table *table = step->table;
    for (size_t i = 0; i < table->hosts.count; i++)
        table->hosts.items[i].booked = 0;
    for (uint32_t rank = RUN_PRIORITY_RECOVERY; rank <= RUN_PRIORITY_LAST; rank++)
        for (size_t i = 0; i < table->count; i++) {
            struct run *run = table->runs[i];
            if (run->state == SEALIFT__RUN_STATE__RUN_QUEUED && run->not_before_ms <= step->now->mono_ms &&
                rank_of(run, step->now) == rank)
                try_run(step, run);
        }
}
