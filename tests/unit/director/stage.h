/* A run table with a clock that stands still, a catalog that is an array, and a record of what was sent:
 * for tests that play the operators and the transporters by hand. Two hosts, `source` and `target`. */
#ifndef SEALIFT_TEST_STAGE_H
#define SEALIFT_TEST_STAGE_H

#include "director/core/run_table.h"

#define STAGE_LEASE_MS 120000
#define STAGE_MAX 64

struct stage {
    struct run_table *table;
    struct moment now;
    struct run_settings settings;
    struct link_table links;
    struct way_wish own_way;    /* of jobs that are started */
    uint32_t priority;          /* of runs that are started; as it is, recoveries' */
    uint32_t kept_slots;        /* of both hosts */
    const char *reverse;        /* what the source says of its reverse port; NULL: it has none */
    struct run kept[STAGE_MAX]; /* the newest record of each run */
    size_t kept_count;
    struct effect_log {
        enum effect_kind kind;
        uint8_t host[SIGN_PK_LEN];
        Sealift__RunSide side;
        struct id id;
        uint32_t attempt;
        char endpoint[64];
        uint8_t ticket[RUN_TICKET_LEN];
        struct way_wish way;
        uint8_t rendezvous[WAY_NAME_LEN];
    } sent[1024]; /* assignments, cancels and questions, oldest first */
    size_t sent_count;
    size_t told;                 /* EFFECT_MOVED and EFFECT_PROGRESS */
    Sealift__RunState path[256]; /* states in which EFFECT_MOVED showed any run */
    size_t path_len;
};

extern const uint8_t stage_source[SIGN_PK_LEN], stage_target[SIGN_PK_LEN], stage_other[SIGN_PK_LEN];

void stage_init(struct stage *stage);
void stage_deinit(struct stage *stage);
/* The director dies and starts again: everything it knew is what it kept. */
void stage_restart(struct stage *stage);
/* Carries out the effects and empties them. */
void stage_apply(struct stage *stage, struct effects *effects);

void stage_up(struct stage *stage, const uint8_t *host, uint8_t incarnation, const struct id *live);
void stage_down(struct stage *stage, const uint8_t *host);
/* source and target with 4 slots each */
void stage_connect(struct stage *stage);
/* of job `job` */
bool stage_start_kind(struct stage *stage, enum run_kind kind, uint8_t job, struct id *run, struct err *err);
struct id stage_start(struct stage *stage, uint8_t job);
/* source and target are one host */
struct id stage_start_local(struct stage *stage, uint8_t job);
/* maintenance of the one repository, by `target` alone */
bool stage_start_work(struct stage *stage, const struct run_work *work, struct id *run, struct err *err);
bool stage_stop(struct stage *stage, const struct id *run);
void stage_ready(struct stage *stage, const struct id *run, uint32_t attempt);
void stage_progress(struct stage *stage, const struct id *run, uint32_t attempt, Sealift__RunSide side,
                    Sealift__RunState state);
void stage_end(struct stage *stage, const struct id *run, uint32_t attempt, Sealift__RunSide side,
               uint32_t code, const char *text);
void stage_point(struct stage *stage, const struct id *run);
void stage_log_read(struct stage *stage);
/* time passes, with a tick each second */
void stage_wait(struct stage *stage, uint64_t span_ms);

/* as last kept */
const struct run *stage_run(const struct stage *stage, const struct id *run);
void stage_expect_state(const struct stage *stage, const struct id *run, Sealift__RunState state);
void stage_expect_text(const struct stage *stage, const struct id *run, const char *text);
size_t stage_sent(const struct stage *stage, enum effect_kind kind, const uint8_t *host, const struct id *id);
const struct effect_log *stage_last(const struct stage *stage, enum effect_kind kind);

/* Gets a fresh backup into a state by the ordinary way; queued to committing. */
struct id stage_bring(struct stage *stage, uint8_t job, Sealift__RunState state);

#define STATE(name) SEALIFT__RUN_STATE__RUN_##name
#define SIDE(name) SEALIFT__RUN_SIDE__SIDE_##name
#define CONNECTION(name) SEALIFT__CONNECTION__CONNECTION_##name

#endif
