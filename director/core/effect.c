#include "director/core/effect.h"

#include "common/base/alloc.h"

#include <string.h>

void effects_clear(struct effects *effects)
{
    for (size_t i = 0; i < effects->act_count; i++) {
        free(effects->act[i].run);
        free(effects->act[i].text);
    }
    free(effects->act);
    free(effects->keep);
    *effects = (struct effects){0};
}

void effects_keep(struct effects *effects, const struct run *run)
{
    if (effects->keep_count == effects->keep_cap) {
        effects->keep_cap = effects->keep_cap ? effects->keep_cap * 2 : 4;
        effects->keep = xreallocarray(effects->keep, effects->keep_cap, sizeof(*effects->keep));
    }
    effects->keep[effects->keep_count++] = *run;
}

static struct effect *add(struct effects *effects, enum effect_kind kind)
{
    if (effects->act_count == effects->act_cap) {
        effects->act_cap = effects->act_cap ? effects->act_cap * 2 : 8;
        effects->act = xreallocarray(effects->act, effects->act_cap, sizeof(*effects->act));
    }
    struct effect *effect = &effects->act[effects->act_count++];
    *effect = (struct effect){.kind = kind};
    return effect;
}

static struct run *copy_of(const struct run *run)
{
    struct run *copy = xmalloc(sizeof(*copy));
    *copy = *run;
    return copy;
}

void effects_assign(struct effects *effects, const struct run *run, const struct run_side *side)
{
    struct effect *effect = add(effects, EFFECT_ASSIGN);
    memcpy(effect->host, side->host, SIGN_PK_LEN);
    effect->side = run_is_local(run)      ? SEALIFT__RUN_SIDE__SIDE_BOTH
                   : side == &run->source ? SEALIFT__RUN_SIDE__SIDE_SOURCE
                                          : SEALIFT__RUN_SIDE__SIDE_TARGET;
    effect->id = run->id;
    effect->run = copy_of(run);
}

void effects_cancel(struct effects *effects, const uint8_t host[SIGN_PK_LEN], const struct id *run,
                    const char *reason)
{
    struct effect *effect = add(effects, EFFECT_CANCEL);
    memcpy(effect->host, host, SIGN_PK_LEN);
    effect->id = *run;
    effect->text = xstrdup(reason);
}

void effects_ask_log(struct effects *effects, const uint8_t host[SIGN_PK_LEN], const struct id *repository)
{
    struct effect *effect = add(effects, EFFECT_ASK_LOG);
    memcpy(effect->host, host, SIGN_PK_LEN);
    effect->id = *repository;
}

void effects_tell(struct effects *effects, enum effect_kind kind, const struct run *run)
{
    struct effect *effect = add(effects, kind);
    effect->id = run->id;
    effect->run = copy_of(run);
}
