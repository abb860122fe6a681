#include "director/core/run_state.h"

#include <criterion/criterion.h>

#define STATE(name) SEALIFT__RUN_STATE__RUN_##name

/* the table as docs and operators know it, written down a second time */
static const struct {
    Sealift__RunState from, to;
} legal[] = {
    {STATE(NONE), STATE(QUEUED)},        {STATE(QUEUED), STATE(ASSIGNED)},
    {STATE(QUEUED), STATE(FAILED)},      {STATE(QUEUED), STATE(STOPPED)},
    {STATE(ASSIGNED), STATE(QUEUED)},    {STATE(ASSIGNED), STATE(RUNNING)},
    {STATE(ASSIGNED), STATE(FAILED)},    {STATE(ASSIGNED), STATE(STOPPED)},
    {STATE(RUNNING), STATE(COMMITTING)}, {STATE(RUNNING), STATE(FAILED)},
    {STATE(RUNNING), STATE(STOPPED)},    {STATE(RUNNING), STATE(UNKNOWN)},
    {STATE(COMMITTING), STATE(OK)},      {STATE(COMMITTING), STATE(FAILED)},
    {STATE(COMMITTING), STATE(STOPPED)}, {STATE(COMMITTING), STATE(UNKNOWN)},
    {STATE(UNKNOWN), STATE(OK)},         {STATE(UNKNOWN), STATE(FAILED)},
};

static bool expected(Sealift__RunState from, Sealift__RunState to)
{
    for (size_t i = 0; i < sizeof(legal) / sizeof(legal[0]); i++)
        if (legal[i].from == from && legal[i].to == to) return true;
    return false;
}

Test(run_state, allows_the_moves_of_the_table_and_no_other)
{
    for (int from = STATE(NONE); from <= STATE(UNKNOWN); from++)
        for (int to = STATE(NONE); to <= STATE(UNKNOWN); to++)
            cr_assert_eq(run_state_may_follow((Sealift__RunState)from, (Sealift__RunState)to),
                         expected((Sealift__RunState)from, (Sealift__RunState)to), "%d to %d", from, to);
}

Test(run_state, is_active_until_somebody_knows_or_gives_up)
{
    for (int state = STATE(NONE); state <= STATE(UNKNOWN); state++)
        cr_assert_eq(run_state_active((Sealift__RunState)state),
                     state >= STATE(QUEUED) && state <= STATE(COMMITTING));
    cr_assert(run_state_final(STATE(OK)) && run_state_final(STATE(FAILED)) &&
              run_state_final(STATE(STOPPED)));
    cr_assert_not(run_state_final(STATE(UNKNOWN)));
}

Test(run_state, has_a_name_for_everything)
{
    cr_assert_str_eq(run_state_name(STATE(COMMITTING)), "committing");
    cr_assert_str_eq(run_state_name((Sealift__RunState)99), "none");
    cr_assert_not(run_state_may_follow(STATE(RUNNING), (Sealift__RunState)99));
    cr_assert_not(run_state_may_follow((Sealift__RunState)99, STATE(RUNNING)));
}
