/* Answers of browse orders on their way from the transporter that opens to the operator who asked. The
 * director cannot read them. The transporter hears Done when the operator's connection has taken one, and
 * has no more than a few under way: a slow reader slows the transporter, not the director. */
#include "director/loop/inside.h"

#include "common/base/alloc.h"

#include <string.h>

static void remove_at(struct director *director, size_t index)
{
    buf_deinit(&director->answers[index].sealed);
    memmove(&director->answers[index], &director->answers[index + 1],
            (director->answer_count - index - 1) * sizeof(*director->answers));
    director->answer_count--;
}

void answers_free(struct director *director)
{
    while (director->answer_count > 0)
        remove_at(director, director->answer_count - 1);
    free(director->answers);
}

static size_t waiting(const struct director *director, const struct id *run)
{
    size_t count = 0;
    for (size_t i = 0; i < director->answer_count; i++)
        if (id_eq(&director->answers[i].run, run)) count++;
    return count;
}

/* The operator whom the run's order names, if it is one that is answered. */
static bool answer_to(struct director *director, const struct run *run, uint8_t out[SIGN_PK_LEN])
{
    struct err err;
    AUTO(buf) struct buf bytes = {0};
    AUTO(statement) struct statement *order = NULL;
    if (!catalog_statement_get(director->catalog, run->subject, &run->subject_id, &bytes, &err) ||
        !statement_decode(buf_span(&bytes), &order, &err) || order->body.order->answer_to.len != SIGN_PK_LEN)
        return false;
    memcpy(out, order->body.order->answer_to.data, SIGN_PK_LEN);
    return true;
}

static void add(struct director *director, const struct host_link *host, const uint8_t operator[SIGN_PK_LEN],
                const Sealift__Head *head, const struct id *run, struct span sealed)
{
    if (director->answer_count == director->answer_cap) {
        director->answer_cap = director->answer_cap ? director->answer_cap * 2 : 8;
        director->answers =
            xreallocarray(director->answers, director->answer_cap, sizeof(*director->answers));
    }
    struct answer *answer = &director->answers[director->answer_count++];
    *answer = (struct answer){.run = *run,
                              .serial = head->serial,
                              .number = head->run_answer->number,
                              .last = head->run_answer->last,
                              .since_ms = director->now.mono_ms};
    memcpy(answer->host, host->sign_pk, SIGN_PK_LEN);
    memcpy(answer->operator, operator, SIGN_PK_LEN);
    buf_put_span(&answer->sealed, sealed);
}

void answers_take(struct director *director, struct host_link *host, const Sealift__Head *head,
                  struct span payload)
{
    struct id id;
    if (head->run_answer->run.len != ID_LEN) return;
    memcpy(id.bytes, head->run_answer->run.data, ID_LEN);
    uint8_t operator[SIGN_PK_LEN];
    const struct run *run = run_table_find(director->runs, &id);
    bool expected = run && run_state_active(run->state) &&
                    run->subject == SEALIFT__STATEMENT_TYPE__STATEMENT_ORDER &&
                    memcmp(run->target.host, host->sign_pk, SIGN_PK_LEN) == 0;
    if (!expected || head->run_answer->number == 0 || !answer_to(director, run, operator)) {
        say_once(director, "answer_refused", &host->line.peer, "nobody waits for an answer of this run");
        return;
    }
    if (waiting(director, &id) >= ANSWER_WINDOW) {
        say_once(director, "dropped", &host->line.peer, "more answers than may be under way");
        net_socket_drop(director->control, &host->line.peer);
        host->line.lost = true;
        return;
    }
    add(director, host, operator, head, &id, payload);
    (void)answers_pump(director);
}

/* ---- handing over */

static struct operator_link *taker(struct director *director, const struct answer *answer)
{
    for (size_t i = 0; i < director->follower_count; i++) {
        if (!id_eq(&director->followers[i].run, &answer->run)) continue;
        struct operator_link *link = operator_link_at(director, director->followers[i].route);
        const Sealift__Member *member = link && !link->line.lost ? operator_behind(director, link) : NULL;
        if (member && memcmp(member->sign_pk.data, answer->operator, SIGN_PK_LEN) == 0) return link;
    }
    return NULL;
}

/* Once: a transporter counts them. */
static void tell_taken(struct director *director, struct answer *answer)
{
    struct host_link *host = hosts_find(director, answer->host);
    bool told = answer->told;
    answer->told = true;
    if (told || !host || host->stage != HOST_CONNECTED) return;
    Sealift__Done done = SEALIFT__DONE__INIT;
    done.run = lent_id(&answer->run);
    Sealift__Head head = head_of(SEALIFT__HEAD__KIND_DONE, answer->serial);
    head.done = &done;
    line_send(&host->line, &head, (struct span){0});
}

enum patience { AT_ONCE, QUEUED };

static bool hand_over(struct operator_link *link, const struct run *run, const struct answer *answer,
                      enum patience patience)
{
    struct run_view view;
    run_view_fill(run, &view);
    Sealift__RunEvent event = SEALIFT__RUN_EVENT__INIT;
    event.row = &view.row;
    event.number = answer->number;
    event.last = answer->last;
    Sealift__Head head = head_of(SEALIFT__HEAD__KIND_RUN_EVENT, 0);
    head.run_event = &event;
    if (patience == AT_ONCE) return line_try(&link->line, &head, buf_span(&answer->sealed)) == NET_OK;
    line_send(&link->line, &head, buf_span(&answer->sealed));
    return true;
}

static void stop_unheard(struct director *director, const struct id *run)
{
    struct err err;
    AUTO(effects) struct effects effects = {0};
    if (run_table_stop(director->runs, &director->now, run, &effects, &err)) (void)apply(director, &effects);
}

static bool find_run(struct director *director, const struct id *id, struct run *out)
{
    struct err err;
    const struct run *live = run_table_find(director->runs, id);
    if (!live) return catalog_run_get(director->catalog, id, out, &err);
    *out = *live;
    return true;
}

/* True if the answer is off the list. The run may be over: it ended before its operator followed it. */
static bool settle(struct director *director, size_t index)
{
    struct answer *answer = &director->answers[index];
    struct run run;
    if (!find_run(director, &answer->run, &run)) {
        remove_at(director, index);
        return true;
    }
    struct operator_link *link = run_state_active(run.state) ? taker(director, answer) : NULL;
    if (!link || !hand_over(link, &run, answer, AT_ONCE)) return false;
    tell_taken(director, answer);
    remove_at(director, index);
    return true;
}

/* Nobody took it in time: the run is stopped, or had ended and is given up. */
static void expire(struct director *director)
{
    for (size_t i = 0; i < director->answer_count; i++) {
        struct id id = director->answers[i].run;
        struct run run;
        if (director->now.mono_ms - director->answers[i].since_ms < director->settings.lease_ms) continue;
        if (find_run(director, &id, &run) && run_state_active(run.state))
            stop_unheard(director, &id);
        else
            remove_at(director, i);
        return;
    }
}

bool answers_pump(struct director *director)
{
    for (size_t i = 0; i < director->answer_count;) {
        /* in order: those behind one that waits, of the same run, wait too */
        bool blocked = false;
        for (size_t j = 0; j < i; j++)
            blocked = blocked || id_eq(&director->answers[j].run, &director->answers[i].run);
        if (blocked || !settle(director, i)) i++;
    }
    expire(director);
    return director->answer_count > 0;
}

void answers_hand_over(struct director *director, const struct run *run)
{
    for (size_t i = 0; i < director->answer_count;) {
        const struct answer *answer = &director->answers[i];
        struct operator_link *link = id_eq(&answer->run, &run->id) ? taker(director, answer) : NULL;
        if (!link) {
            i++;
            continue;
        }
        (void)hand_over(link, run, answer, QUEUED);
        remove_at(director, i);
    }
}

void answers_ended(struct director *director, const struct run *run)
{
    /* whatever becomes of them, they do not hold up the transporter's other runs */
    for (size_t i = 0; i < director->answer_count; i++)
        if (id_eq(&director->answers[i].run, &run->id)) tell_taken(director, &director->answers[i]);
    answers_hand_over(director, run);
    if (director->answer_count <= ANSWERS_KEPT) return;
    for (size_t i = director->answer_count; i > 0; i--)
        if (id_eq(&director->answers[i - 1].run, &run->id)) remove_at(director, i - 1);
}
