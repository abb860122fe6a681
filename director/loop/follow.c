/* Operators who follow runs. A change of state is told at once, progress about twice a second; with the end
 * come the warnings that are sealed to the operator who follows. */
#include "director/loop/inside.h"

#include "common/base/alloc.h"

#include <string.h>

enum { KEYS_BACK_MAX = 4 /* of one run for one operator: each side sends one at most */ };

/* ---- events */

static void send_event(struct operator_link *link, const struct run *run, uint32_t ended, struct span payload)
{
    struct run_view view;
    run_view_fill(run, &view);
    Sealift__RunEvent event = SEALIFT__RUN_EVENT__INIT;
    event.row = &view.row;
    event.ended = ended;
    Sealift__Head head = head_of(SEALIFT__HEAD__KIND_RUN_EVENT, 0);
    head.run_event = &event;
    line_send(&link->line, &head, payload);
}

/* The copies for one operator, out of what each side has sent. */
struct gathered {
    const uint8_t *recipient;
    Sealift__Warnings *sides[2];
    size_t side_count;
    Sealift__SealedCopy **copies;
    size_t count, cap;
    Sealift__SealedCopy *keys_back[KEYS_BACK_MAX];
    size_t key_count;
    const Sealift__Warnings *found; /* the side that has findings; a maintenance run has one side only */
};

static void gathered_deinit(struct gathered *gathered)
{
    for (size_t i = 0; i < gathered->side_count; i++)
        payload_warnings_free(gathered->sides[i]);
    free(gathered->copies);
}
DEFINE_AUTO_IN_PLACE(gathered, struct gathered, gathered_deinit)

static void gather_keys(struct gathered *gathered, const Sealift__Warnings *side)
{
    for (size_t i = 0; i < side->n_keys_back && gathered->key_count < KEYS_BACK_MAX; i++)
        if (memcmp(side->keys_back[i]->recipient.data, gathered->recipient, SIGN_PK_LEN) == 0)
            gathered->keys_back[gathered->key_count++] = side->keys_back[i];
}

static bool gather(void *arg, struct span bytes, struct err *err)
{
    struct gathered *gathered = arg;
    Sealift__Warnings *side = NULL;
    if (gathered->side_count == 2) return true;
    if (!payload_warnings_decode(bytes, &side, err)) return false;
    gathered->sides[gathered->side_count++] = side;
    if (side->check || side->n_findings > 0) gathered->found = side;
    gather_keys(gathered, side);
    for (size_t i = 0; i < side->n_copies; i++) {
        Sealift__SealedCopy *copy = side->copies[i];
        if (memcmp(copy->recipient.data, gathered->recipient, SIGN_PK_LEN) != 0) continue;
        if (gathered->count == gathered->cap) {
            gathered->cap = gathered->cap ? gathered->cap * 2 : 16;
            gathered->copies = xreallocarray(gathered->copies, gathered->cap, sizeof(Sealift__SealedCopy *));
        }
        gathered->copies[gathered->count++] = copy;
    }
    return true;
}

static void send_end(struct director *director, struct operator_link *link, const struct run *run)
{
    const Sealift__Member *member = operator_behind(director, link);
    if (!member) return;
    struct err err;
    AUTO(gathered) struct gathered gathered = {.recipient = member->sign_pk.data};
    AUTO(buf) struct buf payload = {0};
    Sealift__Warnings mine = SEALIFT__WARNINGS__INIT;
    if (catalog_warnings(director->catalog, &run->id, gather, &gathered, &err)) {
        mine.n_copies = gathered.count;
        mine.copies = gathered.copies;
        mine.n_keys_back = gathered.key_count;
        mine.keys_back = gathered.keys_back;
        if (gathered.found) {
            mine.n_findings = gathered.found->n_findings;
            mine.findings = gathered.found->findings;
            mine.check = gathered.found->check;
        }
    } else {
        say_once(director, "warnings_not_readable", &link->line.peer, err.text);
    }
    payload_warnings_encode(&mine, &payload);
    send_event(link, run, 1, buf_span(&payload));
}

/* ---- followers */

static bool over(const struct run *run)
{
    return !run_state_active(run->state);
}

static bool follows(const struct director *director, uint32_t route, const struct id *run)
{
    for (size_t i = 0; i < director->follower_count; i++)
        if (director->followers[i].route == route && id_eq(&director->followers[i].run, run)) return true;
    return false;
}

static void remove_at(struct director *director, size_t index)
{
    director->followers[index] = director->followers[--director->follower_count];
}

void follow_add(struct director *director, struct operator_link *link, const struct run *run)
{
    if (director->follower_count >= FOLLOWERS_MAX || follows(director, link->line.peer.route, &run->id)) {
        if (over(run))
            send_end(director, link, run);
        else
            send_event(link, run, 0, (struct span){0});
        return;
    }
    if (director->follower_count == director->follower_cap) {
        director->follower_cap = director->follower_cap ? director->follower_cap * 2 : 8;
        director->followers =
            xreallocarray(director->followers, director->follower_cap, sizeof(*director->followers));
    }
    director->followers[director->follower_count++] =
        (struct follower){.route = link->line.peer.route, .run = run->id};
    if (!over(run)) {
        send_event(link, run, 0, (struct span){0});
        return;
    }
    answers_hand_over(director, run);
    send_end(director, link, run);
    remove_at(director, director->follower_count - 1);
}

void follow_forget(struct director *director, uint32_t route)
{
    for (size_t i = director->follower_count; i > 0; i--)
        if (director->followers[i - 1].route == route) remove_at(director, i - 1);
}

void follow_moved(struct director *director, const struct run *run)
{
    if (over(run)) answers_ended(director, run);
    for (size_t i = director->follower_count; i > 0; i--) {
        struct follower *follower = &director->followers[i - 1];
        if (!id_eq(&follower->run, &run->id)) continue;
        struct operator_link *link = operator_link_at(director, follower->route);
        follower->due = false;
        if (link && over(run))
            send_end(director, link, run);
        else if (link)
            send_event(link, run, 0, (struct span){0});
        if (!link || over(run)) remove_at(director, i - 1);
    }
}

void follow_progress(struct director *director, const struct id *run)
{
    for (size_t i = 0; i < director->follower_count; i++)
        if (id_eq(&director->followers[i].run, run)) director->followers[i].due = true;
}

void follow_tick(struct director *director)
{
    if (director->now.mono_ms - director->last_event_ms < EVENT_PAUSE_MS) return;
    director->last_event_ms = director->now.mono_ms;
    for (size_t i = 0; i < director->follower_count; i++) {
        struct follower *follower = &director->followers[i];
        const struct run *run = run_table_find(director->runs, &follower->run);
        struct operator_link *link = operator_link_at(director, follower->route);
        if (!follower->due || !run || !link) continue;
        follower->due = false;
        /* one that does not read is not sent more of what it has not read */
        if (link->line.count == 0) send_event(link, run, 0, (struct span){0});
    }
}
