#include "simulation.h"

#include "common/base/alloc.h"
#include "common/wire/lent.h"

#include <criterion/criterion.h>
#include <string.h>

static const uint64_t lease_ms = 120000;

/* ---- chance */

static uint64_t chance_state;

uint32_t chance(uint32_t below)
{
    chance_state ^= chance_state << 13;
    chance_state ^= chance_state >> 7;
    chance_state ^= chance_state << 17;
    return (uint32_t)(chance_state >> 33) % below;
}

/* ---- the cluster */

struct node nodes[HOSTS];
struct truth truths[RUNS_MAX];
size_t truth_count;
struct run_table *table;
static struct moment now;
static struct mail history[HISTORY];
static size_t history_count;

struct truth *truth_of(const struct id *run)
{
    uint32_t index = le32_get(run->bytes);
    cr_assert_lt(index, truth_count);
    return &truths[index];
}

static void key_of(int host, uint8_t out[SIGN_PK_LEN])
{
    memset(out, 0, SIGN_PK_LEN);
    out[0] = (uint8_t)(host + 1);
}

int host_of(const uint8_t key[SIGN_PK_LEN])
{
    return key[0] - 1;
}

static struct work *work_of(struct node *node, const struct id *run)
{
    for (size_t i = 0; i < node->work_count; i++)
        if (id_eq(&node->work[i].run, run)) return &node->work[i];
    return NULL;
}

static void drop_work(struct node *node, struct work *work)
{
    *work = node->work[--node->work_count];
}

static void post(const struct mail *mail)
{
    struct node *node = &nodes[mail->host];
    if (node->connected && node->mail_count < MAIL_MAX) node->mail[node->mail_count++] = *mail;
}

static struct mail mail_of(const struct work *work, int host, enum mail_kind kind)
{
    return (struct mail){
        .kind = kind, .host = host, .run = work->run, .attempt = work->attempt, .side = work->side};
}

static void end_work(int host, struct work *work, uint32_t code)
{
    struct mail mail = mail_of(work, host, MAIL_END);
    mail.code = code;
    cr_assert_lt(nodes[host].end_count, ENDS_MAX);
    nodes[host].ends[nodes[host].end_count++] = mail;
    post(&mail);
    drop_work(&nodes[host], work);
}

/* ---- carrying out effects */

static struct fence *fence_of(struct node *node, const struct id *run)
{
    for (size_t i = 0; i < node->fence_count; i++)
        if (id_eq(&node->fences[i].run, run)) return &node->fences[i];
    cr_assert_lt(node->fence_count, RUNS_MAX);
    node->fences[node->fence_count] = (struct fence){.run = *run};
    return &node->fences[node->fence_count++];
}

static void take_assignment(int host, const struct effect *effect)
{
    struct node *node = &nodes[host];
    const struct run *run = effect->run;
    struct fence *fence = fence_of(node, &run->id);
    struct work *old = work_of(node, &run->id);
    if (run->attempt < fence->attempt || (old && old->attempt == run->attempt)) return;
    if (old) end_work(host, old, ERR_CANCELLED);
    fence->attempt = run->attempt;
    cr_assert_lt(node->work_count, WORK_MAX);
    struct work *work = &node->work[node->work_count++];
    *work = (struct work){.run = run->id, .attempt = run->attempt, .side = effect->side};
    work->partner = host_of(effect->side == SIDE(SOURCE) ? run->target.host : run->source.host);
    if (node->work_count > node->slots) {
        end_work(host, work, ERR_BUSY);
        return;
    }
    struct mail mail = mail_of(work, host, effect->side == SIDE(SOURCE) ? MAIL_PROGRESS : MAIL_READY);
    mail.state = STATE(RUNNING);
    post(&mail);
}

static void carry_out(const struct effect *effect)
{
    int host = host_of(effect->host);
    if (effect->kind == EFFECT_ASSIGN) check_assignment(effect);
    if (effect->kind == EFFECT_MOVED || effect->kind == EFFECT_PROGRESS) return;
    if (!nodes[host].connected || chance(50) == 0) return; /* lost on the way */
    if (effect->kind == EFFECT_ASSIGN) take_assignment(host, effect);
    if (effect->kind == EFFECT_CANCEL) {
        struct work *work = work_of(&nodes[host], &effect->id);
        if (work) end_work(host, work, ERR_CANCELLED);
    }
}

/* A director may die after it has kept things and before it has sent them. */
static void apply(struct effects *effects)
{
    for (size_t i = 0; i < effects->keep_count; i++) {
        struct truth *truth = truth_of(&effects->keep[i].id);
        check_kept(&truth->kept, &effects->keep[i], truth);
        truth->kept = effects->keep[i];
    }
    for (size_t i = 0; i < effects->act_count; i++)
        carry_out(&effects->act[i]);
    effects_clear(effects);
}

/* ---- the director's side of events */

void simulation_deliver(const struct mail *mail)
{
    uint8_t key[SIGN_PK_LEN];
    key_of(mail->host, key);
    struct truth *truth = truth_of(&mail->run);
    struct effects effects = {0};
    ProtobufCBinaryData run = lent_id(&mail->run);
    if (mail->kind == MAIL_READY) {
        run_table_ready(table, &now, key, &mail->run, mail->attempt, "tcp://x:1", &effects);
    } else if (mail->kind == MAIL_PROGRESS) {
        Sealift__RunProgress progress = SEALIFT__RUN_PROGRESS__INIT;
        progress.run = run;
        progress.attempt = mail->attempt;
        progress.side = mail->side;
        progress.state = mail->state;
        run_table_progress(table, &now, key, &progress, &effects);
    } else if (mail->kind == MAIL_END) {
        Sealift__RunEnd end = SEALIFT__RUN_END__INIT;
        end.run = run;
        end.attempt = mail->attempt;
        end.side = mail->side;
        end.code = mail->code;
        if (mail->code <= 1 && mail->side != SIDE(SOURCE)) truth->target_said_ok = true;
        run_table_end(table, &now, key, &end, &effects);
    } else {
        struct id repository = {{(uint8_t)(mail->host + 1)}}, point = {{1}};
        truth->log_shown = true;
        run_table_point(table, &now, key, &repository, &mail->run, &point, &effects);
    }
    apply(&effects);
}

static void forget_end(const struct mail *mail)
{
    struct node *node = &nodes[mail->host];
    for (size_t i = 0; i < node->end_count; i++)
        if (id_eq(&node->ends[i].run, &mail->run) && node->ends[i].attempt == mail->attempt &&
            node->ends[i].side == mail->side) {
            node->ends[i] = node->ends[--node->end_count];
            return;
        }
}

static void receive(int host)
{
    struct node *node = &nodes[host];
    if (node->mail_count == 0) return;
    struct mail mail = node->mail[0];
    memmove(node->mail, node->mail + 1, --node->mail_count * sizeof(node->mail[0]));
    simulation_deliver(&mail);
    if (mail.kind == MAIL_END && chance(10) != 0) forget_end(&mail); /* else the Done got lost */
    history[history_count++ % HISTORY] = mail;
}

static void connect(int host)
{
    struct node *node = &nodes[host];
    if (node->connected) return;
    node->connected = true;
    struct id live[WORK_MAX];
    for (size_t i = 0; i < node->work_count; i++)
        live[i] = node->work[i].run;
    struct host_hello hello = {.incarnation = {{node->incarnation, (uint8_t)host, 1}},
                               .slots = node->slots,
                               .runs = live,
                               .run_count = node->work_count};
    uint8_t key[SIGN_PK_LEN];
    key_of(host, key);
    struct effects effects = {0};
    run_table_up(table, &now, key, &hello, &effects);
    for (size_t i = 0; i < node->end_count; i++)
        post(&node->ends[i]);
    apply(&effects);
}

static void disconnect(int host)
{
    if (!nodes[host].connected) return;
    nodes[host].connected = false;
    nodes[host].mail_count = 0;
    uint8_t key[SIGN_PK_LEN];
    key_of(host, key);
    struct effects effects = {0};
    run_table_down(table, &now, key, &effects);
    apply(&effects);
}

static void kill_host(int host)
{
    disconnect(host);
    nodes[host].work_count = 0;
    nodes[host].incarnation++;
}

/* The log is read whole: every committed point of the host's repository, then the end of the log. */
static void read_log(int host)
{
    if (!nodes[host].connected) return;
    uint8_t key[SIGN_PK_LEN];
    key_of(host, key);
    for (size_t i = 0; i < truth_count; i++)
        if (truths[i].committed && truths[i].kept.kind == RUN_BACKUP &&
            host_of(truths[i].kept.target.host) == host)
            simulation_deliver(&(struct mail){.kind = MAIL_POINT, .host = host, .run = truths[i].kept.id});
    struct id repository = {{(uint8_t)(host + 1)}};
    struct effects effects = {0};
    run_table_log_read(table, &now, key, &repository, &effects);
    apply(&effects);
}

static void restart_director(void)
{
    struct run_settings settings = {.lease_ms = lease_ms,
                                    .seed = {(uint8_t)chance(256), (uint8_t)chance(256)}};
    run_table_free(table);
    table = run_table_new(&settings);
    for (size_t i = 0; i < truth_count; i++)
        if (!run_state_final(truths[i].kept.state)) run_table_load(table, &now, &truths[i].kept);
    for (int host = 0; host < HOSTS; host++) {
        nodes[host].connected = false;
        nodes[host].mail_count = 0;
    }
}

static void start_run(void)
{
    if (truth_count == RUNS_MAX) return;
    uint32_t job = chance(JOBS);
    int source = (int)(job % HOSTS), target = (int)((job / 2 + 1) % HOSTS);
    struct run_plan plan = {.kind = job % 3 == 2 ? RUN_RECOVERY : RUN_BACKUP,
                            .subject = SEALIFT__STATEMENT_TYPE__STATEMENT_JOB,
                            .subject_id = {{(uint8_t)(job + 1)}},
                            .subject_version = 1,
                            .repository = {{(uint8_t)(target + 1)}},
                            .source_name = "source",
                            .target_name = "target"};
    le32_put(plan.id.bytes, (uint32_t)truth_count);
    plan.id.bytes[8] = 1;
    key_of(source, plan.source);
    key_of(target, plan.target);
    truths[truth_count++] = (struct truth){.kept = {.id = plan.id}};
    struct effects effects = {0};
    struct err err;
    bool started = run_table_start(table, &now, &plan, &effects, &err);
    if (!started) cr_assert_eq(err.code, ERR_BUSY);
    apply(&effects);
    if (!started) truth_count--;
}

static void stop_run(void)
{
    size_t count = run_table_count(table);
    if (count == 0) return;
    struct id run = run_table_at(table, chance((uint32_t)count))->id;
    struct effects effects = {0};
    struct err err;
    if (!run_table_stop(table, &now, &run, &effects, &err)) cr_assert_eq(err.code, ERR_NOT_FOUND);
    apply(&effects);
}

/* ---- the transporters' own lives */

static void commit(int host, struct work *work)
{
    struct id run = work->run;
    uint32_t attempt = work->attempt;
    struct work *other = work;
    if (work->side == SIDE(SOURCE)) {
        other = work_of(&nodes[work->partner], &run);
        if (!other || other->attempt != attempt || other->side != SIDE(TARGET)) {
            end_work(host, work, ERR_UNREACHABLE);
            return;
        }
        truth_of(&run)->committed = true;
        end_work(work->partner, other, 0);
        if (chance(8) == 0) return; /* the receipt takes its time */
        work = work_of(&nodes[host], &run);
    } else {
        truth_of(&run)->committed = true;
    }
    if (work) end_work(host, work, 0);
}

static void work_on(int host)
{
    struct node *node = &nodes[host];
    if (node->work_count == 0) return;
    struct work *work = &node->work[chance((uint32_t)node->work_count)];
    if (work->side == SIDE(TARGET)) {
        struct mail mail = mail_of(work, host, chance(2) ? MAIL_READY : MAIL_PROGRESS);
        mail.state = STATE(RUNNING);
        post(&mail);
        if (chance(40) == 0) end_work(host, work, ERR_NO_SPACE);
        return;
    }
    struct mail mail = mail_of(work, host, MAIL_PROGRESS);
    mail.state = work->committing ? STATE(COMMITTING) : STATE(RUNNING);
    post(&mail);
    if (chance(40) == 0)
        end_work(host, work, ERR_DAMAGED);
    else if (work->committing)
        commit(host, work);
    else if (chance(4) == 0)
        work->committing = true;
}

/* ---- a simulation */

static void pass_time(uint64_t span_ms)
{
    now.mono_ms += span_ms;
    now.wall_ns += span_ms * 1000000;
    struct effects effects = {0};
    run_table_tick(table, &now, &effects);
    apply(&effects);
}

void simulation_step(void)
{
    int host = (int)chance(HOSTS);
    uint32_t what = chance(1000);
    if (what < 300)
        work_on(host);
    else if (what < 700)
        receive(host);
    else if (what < 780)
        start_run();
    else if (what < 790)
        stop_run();
    else if (what < 890)
        pass_time(chance(100) == 0 ? lease_ms : 1000);
    else if (what < 910)
        disconnect(host);
    else if (what < 970)
        connect(host);
    else if (what < 975)
        kill_host(host);
    else if (what < 980)
        restart_director();
    else if (what < 985)
        read_log(host);
    else if (history_count > 0) /* late and twice */
        simulation_deliver(&history[chance((uint32_t)(history_count < HISTORY ? history_count : HISTORY))]);
    check_table();
}

/* Everything is mended, and nobody starts anything any more. */
void simulation_heal(void)
{
    for (int round = 0; round < 400; round++) {
        for (int host = 0; host < HOSTS; host++) {
            connect(host);
            while (nodes[host].mail_count > 0)
                receive(host);
            for (int i = 0; i < 8; i++)
                work_on(host);
            if (round % 50 == 0) read_log(host);
        }
        if (round % 20 == 0)
            for (int host = 0; host < HOSTS; host++)
                disconnect(host);
        pass_time(1000);
    }
}

void simulation_begin(uint64_t seed)
{
    chance_state = seed;
    memset(nodes, 0, sizeof(nodes));
    truth_count = history_count = 0;
    now = (struct moment){.mono_ms = 1000, .wall_ns = 1700000000000000000};
    struct run_settings settings = {.lease_ms = lease_ms, .seed = {1}};
    table = run_table_new(&settings);
    for (int host = 0; host < HOSTS; host++)
        nodes[host].slots = (uint32_t)(1 + host);
}
