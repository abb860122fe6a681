#include "director/core/run_state.h"

#include <stddef.h>

#define TO(state) (1u << SEALIFT__RUN_STATE__RUN_##state)

struct row {
    const char *name;
    unsigned successors;
    bool active;
};

static const struct row rows[] = {
    [SEALIFT__RUN_STATE__RUN_NONE] = {"none", TO(QUEUED), false},
    [SEALIFT__RUN_STATE__RUN_QUEUED] = {"queued", TO(ASSIGNED) | TO(FAILED) | TO(STOPPED), true},
    /* back to queued: a side was full, or was restarted before it began; the next attempt is fenced */
    [SEALIFT__RUN_STATE__RUN_ASSIGNED] = {"assigned", TO(RUNNING) | TO(QUEUED) | TO(FAILED) | TO(STOPPED),
                                          true},
    [SEALIFT__RUN_STATE__RUN_RUNNING] = {"running", TO(COMMITTING) | TO(FAILED) | TO(STOPPED) | TO(UNKNOWN),
                                         true},
    [SEALIFT__RUN_STATE__RUN_COMMITTING] = {"committing", TO(OK) | TO(FAILED) | TO(STOPPED) | TO(UNKNOWN),
                                            true},
    [SEALIFT__RUN_STATE__RUN_OK] = {"ok", 0, false},
    [SEALIFT__RUN_STATE__RUN_FAILED] = {"failed", 0, false},
    [SEALIFT__RUN_STATE__RUN_STOPPED] = {"stopped", 0, false},
    /* the repository's log decides */
    [SEALIFT__RUN_STATE__RUN_UNKNOWN] = {"unknown", TO(OK) | TO(FAILED), false},
};

static const struct row *row_of(Sealift__RunState state)
{
    size_t index = (size_t)state;
    return index < sizeof(rows) / sizeof(rows[0]) ? &rows[index] : &rows[SEALIFT__RUN_STATE__RUN_NONE];
}

const char *run_state_name(Sealift__RunState state)
{
    return row_of(state)->name;
}

bool run_state_may_follow(Sealift__RunState from, Sealift__RunState to)
{
    return (size_t)to < sizeof(rows) / sizeof(rows[0]) && (row_of(from)->successors & (1u << to)) != 0;
}

bool run_state_active(Sealift__RunState state)
{
    return row_of(state)->active;
}

bool run_state_final(Sealift__RunState state)
{
    return row_of(state)->successors == 0;
}
