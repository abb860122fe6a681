#include "stage.h"
#include "common/wire/lent.h"

#include <criterion/criterion.h>
#include <string.h>

const uint8_t stage_source[SIGN_PK_LEN] = {1}, stage_target[SIGN_PK_LEN] = {2},
              stage_other[SIGN_PK_LEN] = {3};
static const struct id repository = {{7}};
static const struct id point = {{8}};

void stage_init(struct stage *stage)
{
    memset(stage, 0, sizeof(*stage));
    stage->settings = (struct run_settings){.lease_ms = STAGE_LEASE_MS, .seed = {9}, .links = &stage->links};
    stage->now = (struct moment){.mono_ms = 1000, .wall_ns = 1000000000000};
    stage->table = run_table_new(&stage->settings);
}

void stage_deinit(struct stage *stage)
{
    run_table_free(stage->table);
    stage->table = NULL;
    link_table_deinit(&stage->links);
}

void stage_restart(struct stage *stage)
{
    run_table_free(stage->table);
    stage->now.mono_ms = 5; /* of another boot, perhaps */
    stage->settings.seed[0]++;
    stage->table = run_table_new(&stage->settings);
    for (size_t i = 0; i < stage->kept_count; i++)
        if (!run_state_final(stage->kept[i].state))
            run_table_load(stage->table, &stage->now, &stage->kept[i]);
}

static void keep(struct stage *stage, const struct run *run)
{
    for (size_t i = 0; i < stage->kept_count; i++) {
        if (!id_eq(&stage->kept[i].id, &run->id)) continue;
        cr_assert_not(run_state_final(stage->kept[i].state), "a run that had ended was kept again");
        stage->kept[i] = *run;
        return;
    }
    cr_assert_lt(stage->kept_count, STAGE_MAX);
    stage->kept[stage->kept_count++] = *run;
}

static void send(struct stage *stage, const struct effect *effect)
{
    cr_assert_lt(stage->sent_count, sizeof(stage->sent) / sizeof(stage->sent[0]));
    struct effect_log *log = &stage->sent[stage->sent_count++];
    *log = (struct effect_log){.kind = effect->kind, .side = effect->side, .id = effect->id};
    memcpy(log->host, effect->host, SIGN_PK_LEN);
    if (!effect->run) return;
    const struct run *run = stage_run(stage, &effect->run->id);
    cr_assert_eq(run->attempt, effect->run->attempt, "an assignment was sent before it was kept");
    log->attempt = effect->run->attempt;
    run_text_set(log->endpoint, sizeof(log->endpoint), effect->run->endpoint);
    memcpy(log->ticket, effect->run->ticket, RUN_TICKET_LEN);
    log->way = effect->run->way;
    memcpy(log->rendezvous, effect->run->rendezvous, WAY_NAME_LEN);
}

void stage_apply(struct stage *stage, struct effects *effects)
{
    for (size_t i = 0; i < effects->keep_count; i++)
        keep(stage, &effects->keep[i]);
    for (size_t i = 0; i < effects->act_count; i++) {
        const struct effect *effect = &effects->act[i];
        if (effect->kind == EFFECT_MOVED) stage->path[stage->path_len++] = effect->run->state;
        if (effect->kind == EFFECT_MOVED || effect->kind == EFFECT_PROGRESS)
            stage->told++;
        else
            send(stage, effect);
    }
    effects_clear(effects);
}

void stage_up(struct stage *stage, const uint8_t *host, uint8_t incarnation, const struct id *live)
{
    struct effects effects = {0};
    struct host_hello hello = {.incarnation = {{incarnation}},
                               .slots = 4,
                               .kept_slots = stage->kept_slots,
                               .runs = live,
                               .run_count = live ? 1 : 0};
    if (host == stage_source) hello.reverse_endpoint = stage->reverse;
    run_table_up(stage->table, &stage->now, host, &hello, &effects);
    stage_apply(stage, &effects);
}

void stage_down(struct stage *stage, const uint8_t *host)
{
    struct effects effects = {0};
    run_table_down(stage->table, &stage->now, host, &effects);
    stage_apply(stage, &effects);
}

void stage_connect(struct stage *stage)
{
    stage_up(stage, stage_source, 1, NULL);
    stage_up(stage, stage_target, 1, NULL);
}

static bool start(struct stage *stage, enum run_kind kind, uint8_t job, const uint8_t *source, struct id *run,
                  struct err *err)
{
    static uint8_t serial;
    struct run_plan plan = {.id = {{0xee, ++serial}},
                            .kind = kind,
                            .subject = kind == RUN_RECOVERY ? SEALIFT__STATEMENT_TYPE__STATEMENT_ORDER
                                                            : SEALIFT__STATEMENT_TYPE__STATEMENT_JOB,
                            .subject_id = {{job}},
                            .subject_version = 1,
                            .repository = repository,
                            .own_way = stage->own_way,
                            .priority = stage->priority,
                            .source_name = source == stage_target ? "nas" : "web",
                            .target_name = "nas"};
    memcpy(plan.source, source, SIGN_PK_LEN);
    memcpy(plan.target, stage_target, SIGN_PK_LEN);
    struct effects effects = {0};
    bool ok = run_table_start(stage->table, &stage->now, &plan, &effects, err);
    stage_apply(stage, &effects);
    if (ok) *run = plan.id;
    return ok;
}

bool stage_start_kind(struct stage *stage, enum run_kind kind, uint8_t job, struct id *run, struct err *err)
{
    return start(stage, kind, job, stage_source, run, err);
}

struct id stage_start(struct stage *stage, uint8_t job)
{
    struct id run = {0};
    struct err err;
    cr_assert(stage_start_kind(stage, RUN_BACKUP, job, &run, &err), "%s", err.text);
    return run;
}

struct id stage_start_local(struct stage *stage, uint8_t job)
{
    struct id run = {0};
    struct err err;
    cr_assert(start(stage, RUN_BACKUP, job, stage_target, &run, &err), "%s", err.text);
    return run;
}

bool stage_start_work(struct stage *stage, const struct run_work *work, struct id *run, struct err *err)
{
    static uint8_t serial;
    struct run_plan plan = {.id = {{0xdd, ++serial}},
                            .kind = RUN_MAINTENANCE,
                            .subject = SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY,
                            .subject_id = repository,
                            .subject_version = 1,
                            .repository = repository,
                            .work = *work,
                            .source_name = "nas",
                            .target_name = "nas"};
    memcpy(plan.source, stage_target, SIGN_PK_LEN);
    memcpy(plan.target, stage_target, SIGN_PK_LEN);
    struct effects effects = {0};
    bool ok = run_table_start(stage->table, &stage->now, &plan, &effects, err);
    stage_apply(stage, &effects);
    if (ok) *run = plan.id;
    return ok;
}

bool stage_stop(struct stage *stage, const struct id *run)
{
    struct effects effects = {0};
    struct err err;
    bool ok = run_table_stop(stage->table, &stage->now, run, &effects, &err);
    cr_assert(ok || err.code == ERR_NOT_FOUND);
    stage_apply(stage, &effects);
    return ok;
}

void stage_ready(struct stage *stage, const struct id *run, uint32_t attempt)
{
    struct effects effects = {0};
    run_table_ready(stage->table, &stage->now, stage_target, run, attempt, "tcp://nas:9448", &effects);
    stage_apply(stage, &effects);
}

static const uint8_t *host_of(const struct stage *stage, Sealift__RunSide side)
{
    return side == SIDE(SOURCE) ? stage_source : stage_target;
}

void stage_progress(struct stage *stage, const struct id *run, uint32_t attempt, Sealift__RunSide side,
                    Sealift__RunState state)
{
    struct effects effects = {0};
    Sealift__RunProgress progress = SEALIFT__RUN_PROGRESS__INIT;
    Sealift__Counters counters = SEALIFT__COUNTERS__INIT;
    counters.files = 11;
    progress.run = lent_id(run);
    progress.attempt = attempt;
    progress.side = side;
    progress.state = state;
    progress.counters = &counters;
    run_table_progress(stage->table, &stage->now, host_of(stage, side), &progress, &effects);
    stage_apply(stage, &effects);
}

void stage_end(struct stage *stage, const struct id *run, uint32_t attempt, Sealift__RunSide side,
               uint32_t code, const char *text)
{
    struct effects effects = {0};
    Sealift__RunEnd end = SEALIFT__RUN_END__INIT;
    end.run = lent_id(run);
    end.attempt = attempt;
    end.side = side;
    end.code = code;
    end.text = lent_text(text);
    if (code <= 1 && side != SIDE(SOURCE)) end.point = lent_id(&point);
    run_table_end(stage->table, &stage->now, host_of(stage, side), &end, &effects);
    stage_apply(stage, &effects);
}

void stage_point(struct stage *stage, const struct id *run)
{
    struct effects effects = {0};
    run_table_point(stage->table, &stage->now, stage_target, &repository, run, &point, &effects);
    stage_apply(stage, &effects);
}

void stage_log_read(struct stage *stage)
{
    struct effects effects = {0};
    run_table_log_read(stage->table, &stage->now, stage_target, &repository, &effects);
    stage_apply(stage, &effects);
}

void stage_wait(struct stage *stage, uint64_t span_ms)
{
    for (uint64_t passed = 0; passed < span_ms; passed += 1000) {
        stage->now.mono_ms += 1000;
        stage->now.wall_ns += 1000000000;
        struct effects effects = {0};
        run_table_tick(stage->table, &stage->now, &effects);
        stage_apply(stage, &effects);
    }
}

const struct run *stage_run(const struct stage *stage, const struct id *run)
{
    for (size_t i = 0; i < stage->kept_count; i++)
        if (id_eq(&stage->kept[i].id, run)) return &stage->kept[i];
    cr_assert_fail("the run was never kept");
    return NULL;
}

size_t stage_sent(const struct stage *stage, enum effect_kind kind, const uint8_t *host, const struct id *id)
{
    size_t count = 0;
    for (size_t i = 0; i < stage->sent_count; i++)
        if (stage->sent[i].kind == kind && memcmp(stage->sent[i].host, host, SIGN_PK_LEN) == 0 &&
            id_eq(&stage->sent[i].id, id))
            count++;
    return count;
}

const struct effect_log *stage_last(const struct stage *stage, enum effect_kind kind)
{
    for (size_t i = stage->sent_count; i > 0; i--)
        if (stage->sent[i - 1].kind == kind) return &stage->sent[i - 1];
    return NULL;
}

struct id stage_bring(struct stage *stage, uint8_t job, Sealift__RunState state)
{
    if (state != STATE(QUEUED)) stage_connect(stage);
    struct id run = stage_start(stage, job);
    if (state == STATE(QUEUED) || state == STATE(ASSIGNED)) return run;
    stage_ready(stage, &run, 1);
    stage_progress(stage, &run, 1, SIDE(SOURCE), state);
    cr_assert_eq(stage_run(stage, &run)->state, state);
    return run;
}

void stage_expect_state(const struct stage *stage, const struct id *run, Sealift__RunState state)
{
    const struct run *kept = stage_run(stage, run);
    cr_assert_eq(kept->state, state, "%s instead of %s: %s", run_state_name(kept->state),
                 run_state_name(state), kept->text);
}

void stage_expect_text(const struct stage *stage, const struct id *run, const char *text)
{
    cr_assert_str_eq(stage_run(stage, run)->text, text);
}
