/* The operator port: who speaks, and what he asks for. */
#include "director/loop/inside.h"

#include "common/base/alloc.h"
#include "common/base/log.h"

#include <string.h>

/* ---- connections */

struct operator_link *operator_link_at(struct director *director, uint32_t route)
{
    for (size_t i = 0; i < director->link_count; i++)
        if (director->links[i]->line.peer.route == route) return director->links[i];
    return NULL;
}

static void link_free(struct director *director, size_t index)
{
    struct operator_link *link = director->links[index];
    director->links[index] = director->links[--director->link_count];
    follow_forget(director, link->line.peer.route);
    probes_forget(director, link->line.peer.route);
    line_deinit(&link->line);
    free(link);
}

void operator_free(struct director *director)
{
    while (director->link_count > 0)
        link_free(director, director->link_count - 1);
    free(director->links);
}

void operator_reap(struct director *director)
{
    for (size_t i = director->link_count; i > 0; i--)
        if (director->links[i - 1]->line.lost) link_free(director, i - 1);
}

/* A connection that has been silent for longest makes room. */
static void forget_oldest(struct director *director)
{
    size_t oldest = 0;
    for (size_t i = 1; i < director->link_count; i++)
        if (director->links[i]->heard_ms < director->links[oldest]->heard_ms) oldest = i;
    net_socket_drop(director->operators, &director->links[oldest]->line.peer);
    link_free(director, oldest);
}

static struct operator_link *link_of(struct director *director, const struct net_peer *peer)
{
    struct operator_link *link = operator_link_at(director, peer->route);
    if (!link || memcmp(link->line.peer.key, peer->key, NET_KEY_LEN) != 0) {
        if (link) link->line.lost = true;
        operator_reap(director);
        if (director->link_count >= OPERATORS_MAX) forget_oldest(director);
        if (director->link_count == director->link_cap) {
            director->link_cap = director->link_cap ? director->link_cap * 2 : 8;
            director->links =
                xreallocarray(director->links, director->link_cap, sizeof(struct operator_link *));
        }
        link = xcalloc(1, sizeof(*link));
        line_init(&link->line, director->operators, peer);
        director->links[director->link_count++] = link;
    }
    link->heard_ms = director->now.mono_ms;
    return link;
}

const Sealift__Member *operator_behind(const struct director *director, const struct operator_link *link)
{
    const struct roster *roster = registry_roster(director->registry);
    const Sealift__Member *member = roster ? roster_by_curve(roster, link->line.peer.key) : NULL;
    return member ? roster_operator(roster, member->sign_pk.data) : NULL;
}

void operator_expel(struct director *director)
{
    for (size_t i = 0; i < director->link_count; i++) {
        struct operator_link *link = director->links[i];
        if (operator_behind(director, link)) continue;
        net_socket_drop(director->operators, &link->line.peer);
        link->line.lost = true;
    }
}

/* ---- answers */

void operator_done(struct operator_link *link, uint64_t serial, const struct id *run, uint64_t count,
                   struct span payload)
{
    Sealift__Done done = SEALIFT__DONE__INIT;
    if (run) done.run = lent_id(run);
    done.count = count;
    Sealift__Head head = head_of(SEALIFT__HEAD__KIND_DONE, serial);
    head.done = &done;
    line_send(&link->line, &head, payload);
}

void operator_fail(struct operator_link *link, uint64_t serial, const struct err *err)
{
    Sealift__Fail fail = SEALIFT__FAIL__INIT;
    fail.code = err->code;
    fail.text = lent_text(err->text);
    Sealift__Head head = head_of(SEALIFT__HEAD__KIND_FAIL, serial);
    head.fail = &fail;
    line_send(&link->line, &head, (struct span){0});
}

/* ---- runs */

static bool take_id(const ProtobufCBinaryData *bytes, const char *what, struct id *out, struct err *err)
{
    if (bytes->len != ID_LEN) return err_set(err, ERR_USAGE, "a request without the id of a %s", what);
    memcpy(out->bytes, bytes->data, ID_LEN);
    return true;
}

static bool start_job(struct director *director, const Sealift__RunStart *start, struct id *run,
                      struct effects *effects, struct err *err)
{
    struct id job;
    struct run_plan plan;
    if (!take_id(&start->job, "job", &job, err) || !registry_plan_job(director->registry, &job, &plan, err))
        return false;
    plan.id = id_random();
    if (!run_table_start(director->runs, &director->now, &plan, effects, err)) return false;
    *run = plan.id;
    return true;
}

static bool start_maintenance(struct director *director, const Sealift__MaintenanceStart *start,
                              struct id *run, struct effects *effects, struct err *err)
{
    struct id repository;
    struct run_work work;
    struct run_plan plan;
    if (!take_id(&start->repository, "repository", &repository, err) ||
        !run_work_take(start->work, &work, err) ||
        !registry_plan_maintenance(director->registry, &repository, &work, &plan, err))
        return false;
    plan.id = id_random();
    if (!run_table_start(director->runs, &director->now, &plan, effects, err)) return false;
    *run = plan.id;
    return true;
}

/* The run as it is now, wherever it is kept. */
static bool find_run(struct director *director, const struct id *id, struct run *out, struct err *err)
{
    const struct run *live = run_table_find(director->runs, id);
    if (!live) return catalog_run_get(director->catalog, id, out, err);
    *out = *live;
    return true;
}

static void on_start(struct director *director, struct operator_link *link, const Sealift__Head *head)
{
    struct err err;
    struct id id;
    struct run run;
    AUTO(effects) struct effects effects = {0};
    bool started = head->kind_case == SEALIFT__HEAD__KIND_RUN_START
                       ? start_job(director, head->run_start, &id, &effects, &err)
                       : start_maintenance(director, head->maintenance_start, &id, &effects, &err);
    if (!started) {
        if (apply(director, &effects)) operator_fail(link, head->serial, &err);
        return;
    }
    if (!apply(director, &effects)) return;
    operator_done(link, head->serial, &id, 0, (struct span){0});
    if (find_run(director, &id, &run, &err)) follow_add(director, link, &run);
}

static void on_stop(struct director *director, struct operator_link *link, const Sealift__Head *head)
{
    struct err err;
    struct id id;
    AUTO(effects) struct effects effects = {0};
    if (take_id(&head->run_stop->run, "run", &id, &err) &&
        run_table_stop(director->runs, &director->now, &id, &effects, &err)) {
        if (apply(director, &effects)) operator_done(link, head->serial, &id, 0, (struct span){0});
    } else {
        operator_fail(link, head->serial, &err);
    }
}

static void on_follow(struct director *director, struct operator_link *link, const Sealift__Head *head)
{
    struct err err;
    struct id id;
    struct run run;
    if (!take_id(&head->run_follow->run, "run", &id, &err) || !find_run(director, &id, &run, &err)) {
        operator_fail(link, head->serial, &err);
        return;
    }
    operator_done(link, head->serial, &id, 0, (struct span){0});
    follow_add(director, link, &run);
}

/* ---- who may ask */

static void on_hello(struct director *director, struct operator_link *link, const Sealift__Head *head)
{
    operator_done(link, head->serial, NULL, roster_version(registry_roster(director->registry)),
                  (struct span){0});
}

/* What changes nothing. False: it is no such question. */
static bool answer_question(struct director *director, struct operator_link *link, const Sealift__Head *head)
{
    switch (head->kind_case) {
    case SEALIFT__HEAD__KIND_GET:
        list_get(director, link, head);
        return true;
    case SEALIFT__HEAD__KIND_PENDING_LIST:
        list_pending(director, link, head);
        return true;
    case SEALIFT__HEAD__KIND_LINK_LIST:
        links_list(director, link, head);
        return true;
    case SEALIFT__HEAD__KIND_STATUS_GET:
        list_status(director, link, head);
        return true;
    case SEALIFT__HEAD__KIND_RUN_LIST:
        list_runs(director, link, head);
        return true;
    case SEALIFT__HEAD__KIND_POINT_LIST:
        list_points(director, link, head);
        return true;
    default:
        return false;
    }
}

static void dispatch(struct director *director, struct operator_link *link, const Sealift__Head *head,
                     struct span payload)
{
    switch (head->kind_case) {
    case SEALIFT__HEAD__KIND_CLAIM:
        put_claim(director, link, head, payload);
        break;
    case SEALIFT__HEAD__KIND_ADOPT:
        put_adopt(director, link, head, payload);
        break;
    case SEALIFT__HEAD__KIND_OPERATOR_HELLO:
        on_hello(director, link, head);
        break;
    case SEALIFT__HEAD__KIND_PUT:
        put_statement(director, link, head, payload);
        break;
    case SEALIFT__HEAD__KIND_PUT_UNLOCK:
        put_unlock(director, link, head, payload);
        break;
    case SEALIFT__HEAD__KIND_RUN_START:
    case SEALIFT__HEAD__KIND_MAINTENANCE_START:
        on_start(director, link, head);
        break;
    case SEALIFT__HEAD__KIND_RUN_STOP:
        on_stop(director, link, head);
        break;
    case SEALIFT__HEAD__KIND_RUN_FOLLOW:
        on_follow(director, link, head);
        break;
    case SEALIFT__HEAD__KIND_LINK_PUT:
        links_put(director, link, head);
        break;
    case SEALIFT__HEAD__KIND_LINK_TEST:
        probes_start(director, link, head);
        break;
    case SEALIFT__HEAD__KIND_CONFIG_EXPORT:
        bundles_export(director, link, head);
        break;
    case SEALIFT__HEAD__KIND_CONFIG_READ:
        bundles_read(director, link, head);
        break;
    case SEALIFT__HEAD__KIND_CONFIG_LOCK:
        bundles_lock(director, link, head);
        break;
    case SEALIFT__HEAD__KIND_CONFIG_PROCEED:
        reconcile_proceed(director, link, head);
        break;
    default:
        if (answer_question(director, link, head)) return;
        /* a Fail, which answers nothing */
        say_once(director, "dropped", &link->line.peer, "a message that an operator does not send");
        net_socket_drop(director->operators, &link->line.peer);
        link->line.lost = true;
    }
}

static void drop(struct director *director, const struct net_peer *peer, const char *reason)
{
    say_once(director, "dropped", peer, reason);
    net_socket_drop(director->operators, peer);
    struct operator_link *link = operator_link_at(director, peer->route);
    if (link) link->line.lost = true;
}

static void take(struct director *director, const struct net_peer *peer, const Sealift__Head *head,
                 struct span payload)
{
    struct operator_link *link = link_of(director, peer);
    bool claims =
        head->kind_case == SEALIFT__HEAD__KIND_CLAIM || head->kind_case == SEALIFT__HEAD__KIND_ADOPT;
    bool claimed = registry_roster(director->registry) != NULL;
    if (claimed && !operator_behind(director, link)) {
        drop(director, peer, "the key belongs to no operator of the roster");
    } else if (!claimed && !claims) {
        struct err err;
        (void)err_set(&err, ERR_POLICY,
                      "this director has no site yet: claim it first (sealift operator init)");
        operator_fail(link, head->serial, &err);
    } else {
        dispatch(director, link, head, payload);
        if (director->failed) operator_fail(link, head->serial, &director->failure);
    }
}

void operator_receive(struct director *director)
{
    const struct port port = {
        .socket = director->operators, .channel = CHANNEL_OPERATOR_TO_DIRECTOR, .take = take, .drop = drop};
    port_receive(director, &port);
}
