/* Inside the core: what run_table's events share. */
#ifndef SEALIFT_DIRECTOR_RUN_RULES_H
#define SEALIFT_DIRECTOR_RUN_RULES_H

#include "director/core/run_table.h"

struct run_table {
    struct run_settings settings;
    struct host_table hosts;
    struct run **runs; /* by age */
    size_t count, cap;
};

/* One event in progress. */
struct step {
    struct run_table *table;
    const struct moment *now;
    struct effects *effects;
};

struct step run_step(struct run_table *table, const struct moment *now, struct effects *effects);
/* Ends a step: assigns what has become possible, hands out what changed, forgets what has ended. */
void run_settle(const struct step *step);
struct run *run_find(const struct run_table *table, const struct id *id);

/* The only way into another state. */
void run_move(const struct step *step, struct run *run, Sealift__RunState to);
/* Moves on to RUN_RUNNING or RUN_COMMITTING, never back. */
void run_advance(const struct step *step, struct run *run, Sealift__RunState to);
void run_assign_side(const struct step *step, struct run *run, struct run_side *side);
void run_cancel_side(const struct step *step, struct run *run, struct run_side *side, const char *reason);
/* The side will not report any more, because "transporter 'NAME' `what`". */
void run_lose_side(const struct step *step, struct run *run, struct run_side *side, const char *what);
/* Its host was heard to work on it. */
void run_side_alive(struct run *run, struct run_side *side);
/* Its host has been gone for longer than its lease. */
bool run_side_gone(const struct step *step, const struct run_side *side);
/* Looks at both sides: cancels one that waits in vain, ends the run when both are done. */
void run_evaluate(const struct step *step, struct run *run);
/* A run that cannot be assigned as things are, and would not be later: it ends, and *why says why. */
void run_refuse(const struct step *step, struct run *run, const struct err *why);
/* An unknown run whose target is not at work any more and whose point the log does not show. */
void run_resolve(const struct step *step, struct run *run, Sealift__RunState to);

/* Assigns what can be assigned. */
void run_schedule(const struct step *step);

#endif
