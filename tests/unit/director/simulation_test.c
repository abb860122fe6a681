/* What holds whatever happens to a director and its transporters. */
#include "simulation.h"

#include <criterion/criterion.h>

static size_t count_kept(Sealift__RunState state)
{
    size_t count = 0;
    for (size_t i = 0; i < truth_count; i++)
        if (truths[i].kept.state == state) count++;
    return count;
}

Test(simulation, holds_its_invariants_for_ten_thousand_random_steps_and_ends_every_run, .timeout = 120)
{
    for (uint64_t seed = 1; seed <= 8; seed++) {
        simulation_begin(seed * 0x9e3779b97f4a7c15u);
        for (int step = 0; step < 10000; step++)
            simulation_step();
        simulation_heal();
        for (size_t i = 0; i < run_table_count(table); i++) {
            const struct run *run = run_table_at(table, i);
            cr_assert_fail("seed %llu: a run is %s for ever (attempt %u, source %d, target %d)",
                           (unsigned long long)seed, run_state_name(run->state), run->attempt,
                           (int)run->source.state, (int)run->target.state);
        }
        cr_assert_gt(count_kept(STATE(OK)), 20, "seed %llu shows nothing", (unsigned long long)seed);
        cr_assert_gt(count_kept(STATE(FAILED)), 20);
        cr_assert_gt(count_kept(STATE(STOPPED)), 0);
        run_table_free(table);
    }
}

/* What a hostile transporter may make up: the director survives, and ends nothing `ok` on a source's word. */
Test(simulation, survives_made_up_messages, .timeout = 120)
{
    simulation_begin(0x1234567);
    for (int step = 0; step < 10000; step++) {
        simulation_step();
        if (truth_count == 0) continue;
        struct mail mail = {.kind = (enum mail_kind)chance(3),
                            .host = (int)chance(HOSTS),
                            .attempt = chance(7),
                            .side = (Sealift__RunSide)chance(4),
                            .state = (Sealift__RunState)chance(9),
                            .code = chance(3) ? chance(100) + 2 : 0};
        mail.run = truths[chance((uint32_t)truth_count)].kept.id;
        bool target = mail.side == SIDE(TARGET) || mail.side == SIDE(BOTH);
        if (mail.kind == MAIL_END && target) mail.code += mail.code < 2 ? 3 : 0;
        simulation_deliver(&mail);
        check_table();
    }
    run_table_free(table);
}
