/* A director and a few transporters under a clock of their own, with connections that break, messages that
 * come late, twice or never, processes that die, and operators who start and stop runs; and what must hold
 * after every step. Everything follows from a seed. */
#ifndef SEALIFT_TEST_DIRECTOR_SIMULATION_H
#define SEALIFT_TEST_DIRECTOR_SIMULATION_H

#include "director/core/run_table.h"

#define STATE(name) SEALIFT__RUN_STATE__RUN_##name
#define SIDE(name) SEALIFT__RUN_SIDE__SIDE_##name

enum { HOSTS = 4, JOBS = 6, RUNS_MAX = 4096, MAIL_MAX = 512, WORK_MAX = 64, ENDS_MAX = 512, HISTORY = 64 };

enum mail_kind { MAIL_READY, MAIL_PROGRESS, MAIL_END, MAIL_POINT };

struct mail {
    enum mail_kind kind;
    int host;
    struct id run;
    uint32_t attempt;
    Sealift__RunSide side;
    Sealift__RunState state;
    uint32_t code;
};

/* One side of a run at work on a host. */
struct work {
    struct id run;
    uint32_t attempt;
    Sealift__RunSide side;
    int partner; /* the other host, or itself */
    bool committing;
};

struct node {
    bool connected;
    uint8_t incarnation;
    uint32_t slots;
    struct work work[WORK_MAX];
    size_t work_count;
    struct mail ends[ENDS_MAX]; /* not yet answered: kept over restarts */
    size_t end_count;
    struct mail mail[MAIL_MAX]; /* on the way to the director */
    size_t mail_count;
    struct fence {
        struct id run;
        uint32_t attempt;
    } fences[RUNS_MAX];
    size_t fence_count;
};

/* What really happened to a run, and what the director was told. */
struct truth {
    struct run kept;
    bool committed;      /* its point stands in the log */
    bool target_said_ok; /* a RunEnd of the target with code 0 was handed to the director */
    bool log_shown;
    uint8_t tickets[RUN_ATTEMPTS_MAX + 1][RUN_TICKET_LEN];
    bool has_ticket[RUN_ATTEMPTS_MAX + 1];
};

extern struct node nodes[HOSTS];
extern struct truth truths[RUNS_MAX];
extern size_t truth_count;
extern struct run_table *table;

/* Below `below`. */
uint32_t chance(uint32_t below);

struct truth *truth_of(const struct id *run);
int host_of(const uint8_t key[SIGN_PK_LEN]);

void simulation_begin(uint64_t seed);
/* One thing happens, somewhere. */
void simulation_step(void);
/* Everybody is there again and does his work, until no more comes of it. */
void simulation_heal(void);
/* The director hears it. */
void simulation_deliver(const struct mail *mail);

/* --- what must hold (simulation_checks.c) --- */

void check_kept(const struct run *old, const struct run *new, const struct truth *truth);
void check_table(void);
void check_assignment(const struct effect *effect);

#endif
