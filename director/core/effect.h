/* What a step of the core wants done. The loop first makes all of `keep` durable, in one transaction, and
 * only then carries out `act`, in order: nothing is told to anybody that a restart would forget. */
#ifndef SEALIFT_DIRECTOR_EFFECT_H
#define SEALIFT_DIRECTOR_EFFECT_H

#include "director/core/run.h"

enum effect_kind {
    EFFECT_ASSIGN,   /* send Assign of `side` of `run` to `host`; lost if it is not connected */
    EFFECT_CANCEL,   /* send Cancel of `id` with `text` to `host`; lost if it is not connected */
    EFFECT_ASK_LOG,  /* ask `host` for the log of repository `id` */
    EFFECT_MOVED,    /* tell followers: `run` came into another state, or ended */
    EFFECT_PROGRESS, /* tell followers, at their pace */
};

struct effect {
    enum effect_kind kind;
    uint8_t host[SIGN_PK_LEN];
    Sealift__RunSide side;
    struct id id;
    struct run *run; /* a copy of its own */
    char *text;
};

struct effects {
    struct run *keep; /* whole records to be stored, each run at most once */
    size_t keep_count, keep_cap;
    struct effect *act;
    size_t act_count, act_cap;
};

/* {0} is empty. Releases everything and leaves it empty. */
void effects_clear(struct effects *effects);
DEFINE_AUTO_IN_PLACE(effects, struct effects, effects_clear)

void effects_keep(struct effects *effects, const struct run *run);
void effects_assign(struct effects *effects, const struct run *run, const struct run_side *side);
void effects_cancel(struct effects *effects, const uint8_t host[SIGN_PK_LEN], const struct id *run,
                    const char *reason);
void effects_ask_log(struct effects *effects, const uint8_t host[SIGN_PK_LEN], const struct id *repository);
/* EFFECT_MOVED or EFFECT_PROGRESS */
void effects_tell(struct effects *effects, enum effect_kind kind, const struct run *run);

#endif
