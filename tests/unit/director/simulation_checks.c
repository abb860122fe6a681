#include "simulation.h"

#include <criterion/criterion.h>
#include <string.h>

static bool reachable(Sealift__RunState from, Sealift__RunState to, int depth)
{
    if (from == to) return true;
    for (int next = STATE(NONE); depth > 0 && next <= STATE(UNKNOWN); next++)
        if (run_state_may_follow(from, (Sealift__RunState)next) &&
            reachable((Sealift__RunState)next, to, depth - 1))
            return true;
    return false;
}

void check_kept(const struct run *old, const struct run *new, const struct truth *truth)
{
    cr_assert(reachable(old->state, new->state, 4), "%s to %s", run_state_name(old->state),
              run_state_name(new->state));
    cr_assert_not(run_state_final(old->state), "an ended run changed");
    cr_assert_geq(new->attempt, old->attempt, "an attempt went back");
    cr_assert_leq(new->attempt, RUN_ATTEMPTS_MAX);
    if (new->state == STATE(OK)) {
        cr_assert(truth->target_said_ok || truth->log_shown, "ok, and nobody said so");
        cr_assert(truth->committed, "ok, and there is no point");
    }
    cr_assert_eq(new->ended_ns == 0, run_state_active(new->state));
}

void check_table(void)
{
    for (size_t i = 0; i < run_table_count(table); i++) {
        const struct run *run = run_table_at(table, i);
        cr_assert_not(run_state_final(run->state));
        cr_assert_eq(truth_of(&run->id)->kept.state, run->state, "a state that was not kept");
        for (size_t j = i + 1; j < run_table_count(table); j++) {
            const struct run *other = run_table_at(table, j);
            bool both = run_state_active(run->state) && run_state_active(other->state);
            cr_assert_not(both && id_eq(&run->subject_id, &other->subject_id), "two runs of one job");
        }
    }
}

/* What came back to life although it had been given up does not count: nobody could know of it. */
static uint32_t revived(const uint8_t key[SIGN_PK_LEN])
{
    uint32_t count = 0;
    for (size_t i = 0; i < run_table_count(table); i++) {
        const struct run *run = run_table_at(table, i);
        if (run->state == STATE(UNKNOWN) && memcmp(run->target.host, key, SIGN_PK_LEN) == 0) count++;
    }
    return count;
}

static void check_slots(const struct effect *assign)
{
    uint32_t slots = nodes[host_of(assign->host)].slots;
    cr_assert_leq(run_table_busy(table, assign->host), slots + revived(assign->host), "more runs than slots");
}

void check_assignment(const struct effect *effect)
{
    struct truth *truth = truth_of(&effect->run->id);
    uint32_t attempt = effect->run->attempt;
    cr_assert_eq(truth->kept.attempt, attempt, "assigned before it was kept");
    cr_assert(run_state_active(truth->kept.state) || truth->kept.state == STATE(UNKNOWN));
    if (truth->has_ticket[attempt])
        cr_assert_eq(memcmp(truth->tickets[attempt], effect->run->ticket, RUN_TICKET_LEN), 0, "two tickets");
    truth->has_ticket[attempt] = true;
    memcpy(truth->tickets[attempt], effect->run->ticket, RUN_TICKET_LEN);
    check_slots(effect);
}
