/* The control port: who speaks, whether he may, and what he says. */
#include "director/loop/inside.h"

#include "common/base/log.h"

#include <string.h>

static struct id id_of(const ProtobufCBinaryData *bytes)
{
    struct id id = {{0}};
    if (bytes->len == ID_LEN) memcpy(id.bytes, bytes->data, ID_LEN);
    return id;
}

static void drop(struct director *director, const struct net_peer *peer, const char *reason)
{
    say_once(director, "dropped", peer, reason);
    struct host_link *host = hosts_of_peer(director, peer);
    net_socket_drop(director->control, peer);
    if (host) host->line.lost = true;
}

static void send_done(struct host_link *host, const Sealift__Head *request, const ProtobufCBinaryData *run)
{
    Sealift__Done done = SEALIFT__DONE__INIT;
    done.run = *run;
    Sealift__Head head = head_of(SEALIFT__HEAD__KIND_DONE, request->serial);
    head.done = &done;
    line_send(&host->line, &head, (struct span){0});
}

/* ---- runs */

static void on_ready(struct director *director, struct host_link *host, const Sealift__Head *head)
{
    const Sealift__RunReady *ready = head->run_ready;
    struct id run = id_of(&ready->run);
    if (strlen(ready->endpoint) > RUN_ENDPOINT_MAX) {
        drop(director, &host->line.peer, "the endpoint of a run is too long");
        return;
    }
    char endpoint[RUN_ENDPOINT_MAX + 1];
    way_endpoint(ready->endpoint, host->line.peer.address, endpoint, sizeof(endpoint));
    AUTO(effects) struct effects effects = {0};
    run_table_ready(director->runs, &director->now, host->sign_pk, &run, ready->attempt, endpoint, &effects);
    (void)apply(director, &effects);
}

static void on_progress(struct director *director, struct host_link *host, const Sealift__Head *head)
{
    if (head->run_progress->run.len != ID_LEN) return;
    AUTO(effects) struct effects effects = {0};
    run_table_progress(director->runs, &director->now, host->sign_pk, head->run_progress, &effects);
    (void)apply(director, &effects);
}

/* Warnings of a side that the run is waiting for; others are nobody's. */
static bool keep_warnings(struct director *director, struct host_link *host, const Sealift__RunEnd *end,
                          struct span payload, struct err *err)
{
    struct id id = id_of(&end->run);
    const struct run *known = run_table_find(director->runs, &id);
    if (!known || payload.len == 0 || known->attempt != end->attempt) return true;
    struct run copy = *known;
    if (!run_side_of(&copy, host->sign_pk, end->side)) return true;
    AUTO(payload_warnings) Sealift__Warnings *warnings = NULL;
    struct err bad;
    if (!payload_warnings_decode(payload, &warnings, &bad)) {
        say_once(director, "bad_warnings", &host->line.peer, bad.text);
        return true;
    }
    return catalog_warnings_put(director->catalog, &id, end->side, payload, err);
}

static void on_end(struct director *director, struct host_link *host, const Sealift__Head *head,
                   struct span payload)
{
    const Sealift__RunEnd *end = head->run_end;
    if (end->run.len != ID_LEN) return;
    struct err err;
    AUTO(effects) struct effects effects = {0};
    bool kept = catalog_begin(director->catalog, &err) && keep_warnings(director, host, end, payload, &err);
    if (kept) {
        run_table_end(director->runs, &director->now, host->sign_pk, end, &effects);
        kept = apply_keep(director, &effects, &err) && catalog_commit(director->catalog, &err);
    }
    if (!kept) {
        catalog_rollback(director->catalog);
        director_fail(director, &err);
        return;
    }
    apply_act(director, &effects);
    send_done(host, head, &end->run);
}

/* ---- the rest */

static void on_seen(struct director *director, struct host_link *host, const Sealift__Head *head)
{
    const Sealift__StatementSeen *seen = head->statement_seen;
    if (seen->code == 0 || seen->code == ERR_EXISTS) return;
    if (!log_gate_pass(&host->lines, "statement_refused", director->now.mono_ms)) return;
    struct id id = id_of(&seen->id);
    char text[ID_TEXT_LEN];
    log_event(LOG_WARN, "statement_refused", "transporter", host->name, "type",
              statement_type_name(seen->type), "id", id_text(&id, text), "reason", seen->text, NULL);
}

static void on_fail(struct director *director, struct host_link *host, const Sealift__Head *head)
{
    if (!log_gate_pass(&host->lines, "transporter_failed", director->now.mono_ms)) return;
    log_event(LOG_WARN, "transporter_failed", "transporter", host->name, "reason", head->fail->text, NULL);
}

static void dispatch(struct director *director, struct host_link *host, const Sealift__Head *head,
                     struct span payload)
{
    host->last_seen_ns = director->now.wall_ns;
    switch (head->kind_case) {
    case SEALIFT__HEAD__KIND_RUN_READY:
        on_ready(director, host, head);
        break;
    case SEALIFT__HEAD__KIND_RUN_PROGRESS:
        on_progress(director, host, head);
        break;
    case SEALIFT__HEAD__KIND_RUN_END:
        on_end(director, host, head, payload);
        break;
    case SEALIFT__HEAD__KIND_RUN_ANSWER:
        answers_take(director, host, head, payload);
        break;
    case SEALIFT__HEAD__KIND_POINT_NEWS:
        logs_point(director, host, head, payload);
        break;
    case SEALIFT__HEAD__KIND_REPOSITORY_STATE:
        logs_state(director, host, head);
        break;
    case SEALIFT__HEAD__KIND_STATEMENT_SEEN:
        on_seen(director, host, head);
        break;
    case SEALIFT__HEAD__KIND_GIVE_BACK:
        reconcile_take(director, host, head, payload);
        break;
    case SEALIFT__HEAD__KIND_PROBE_READY:
        probes_ready(director, host, head);
        break;
    case SEALIFT__HEAD__KIND_PROBE_END:
        probes_end(director, host, head);
        break;
    case SEALIFT__HEAD__KIND_FAIL:
        on_fail(director, host, head);
        break;
    default:
        drop(director, &host->line.peer, "a message that a transporter does not send");
    }
}

static const Sealift__Member *transporter_of(const struct director *director, const struct net_peer *peer)
{
    const struct roster *roster = registry_roster(director->registry);
    const Sealift__Member *member = roster ? roster_by_curve(roster, peer->key) : NULL;
    return member ? roster_transporter(roster, member->sign_pk.data) : NULL;
}

static void receive_member(struct director *director, const struct net_peer *peer,
                           const Sealift__Member *member, const Sealift__Head *head, struct span payload)
{
    struct host_link *host = hosts_of_peer(director, peer);
    if (head->kind_case == SEALIFT__HEAD__KIND_HELLO)
        hosts_hello(director, peer, member, head);
    else if (head->kind_case == SEALIFT__HEAD__KIND_JOIN)
        hosts_admitted(director, peer, member, head);
    else if (host && host->stage == HOST_CONNECTED)
        dispatch(director, host, head, payload);
    else
        drop(director, peer, "the conversation begins with 'hello'");
}

static void take(struct director *director, const struct net_peer *peer, const Sealift__Head *head,
                 struct span payload)
{
    const Sealift__Member *member = transporter_of(director, peer);
    if (member)
        receive_member(director, peer, member, head, payload);
    else if (head->kind_case == SEALIFT__HEAD__KIND_JOIN)
        hosts_join(director, peer, head, payload);
    else
        drop(director, peer, "an unknown key may only join");
}

void control_receive(struct director *director)
{
    const struct port port = {
        .socket = director->control, .channel = CHANNEL_TRANSPORTER_TO_DIRECTOR, .take = take, .drop = drop};
    port_receive(director, &port);
}
