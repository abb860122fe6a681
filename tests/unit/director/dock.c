#include "dock.h"

#include "common/net/net_poll.h"
#include "common/wire/lent.h"
#include "common/wire/stored.h"

#include <criterion/criterion.h>
#include <string.h>
#include <time.h>

static long now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- the director */

void dock_init(struct dock *dock)
{
    struct err err;
    *dock = (struct dock){.lease_ms = 120000};
    signing_init(&dock->signing);
    dock->dir = scratch_make();
    cr_assert(net_key_make(&dock->key, &err), "%s", err.text);
    cr_assert(net_context_new(1, &dock->net, &err), "%s", err.text);
    memcpy(dock->signing.director_pk, net_key_public(dock->key), NET_KEY_LEN);
    claim_code_make(dock->code);
    AUTO(catalog) struct catalog *catalog = NULL;
    struct claim claim = {.code = claim_code_hash(dock->code)};
    cr_assert(catalog_create(dock->dir.path, &err) && catalog_open(dock->dir.path, &catalog, &err) &&
                  catalog_claim_put(catalog, &claim, &err),
              "%s", err.text);
}

void dock_deinit(struct dock *dock)
{
    dock_stop(dock);
    net_context_free(dock->net);
    net_key_free(dock->key);
    scratch_remove(&dock->dir);
    signing_deinit(&dock->signing);
    buf_deinit(&dock->chain);
}

static enum daemon_wish woken(void *arg)
{
    return DAEMON_STOP;
}

static void *run(void *arg)
{
    struct dock *dock = arg;
    dock->err.code = ERR_NONE;
    if (!director_run(dock->director, dock->stop.fd, woken, NULL, &dock->err)) return dock;
    return NULL;
}

void dock_start(struct dock *dock)
{
    struct err err;
    struct director_settings settings = {
        .state_dir = dock->dir.path, .bind = "127.0.0.1", .lease_ms = dock->lease_ms};
    cr_assert(net_wake_init(&dock->stop, &err), "%s", err.text);
    cr_assert(director_open(&settings, dock->key, &dock->director, &err), "%s", err.text);
    cr_assert_eq(pthread_create(&dock->thread, NULL, run, dock), 0);
    dock->running = true;
}

void dock_stop(struct dock *dock)
{
    void *failed = NULL;
    if (!dock->running) return;
    net_wake_signal(&dock->stop);
    cr_assert_eq(pthread_join(dock->thread, &failed), 0);
    dock->running = false;
    director_close(dock->director);
    dock->director = NULL;
    net_wake_deinit(&dock->stop);
    cr_assert_null(failed, "the director failed: %s", dock->err.text);
}

/* ---- callers */

void caller_dial_as(struct caller *caller, struct dock *dock, enum port port, const struct identity *identity)
{
    struct err err;
    *caller = (struct caller){.dock = dock, .port = port};
    cr_assert(net_key_from_secret(identity->transport->sk->data, &caller->key, &err), "%s", err.text);
    struct net_options options = net_options_of(NET_CLIENT);
    options.key = caller->key;
    options.server_key = net_key_public(dock->key);
    options.max_payload = 8 * 1024 * 1024;
    options.linger_ms = 0;
    options.reconnect_ms = 20;
    options.recv_queue = 4;
    cr_assert(net_socket_new(dock->net, &options, &caller->socket, &err), "%s", err.text);
    cr_assert(net_monitor_new(caller->socket, &caller->monitor, &err), "%s", err.text);
    struct net_endpoint endpoint = {.side = NET_CONNECT,
                                    .address = port == OPERATOR_PORT
                                                   ? director_operator_address(dock->director)
                                                   : director_control_address(dock->director)};
    cr_assert(net_socket_attach(caller->socket, &endpoint, &err), "%s", err.text);
}

void caller_dial(struct caller *caller, struct dock *dock, enum port port, enum signing_member member)
{
    caller_dial_as(caller, dock, port, dock->signing.member[member]);
    caller->member = member;
}

void caller_hang_up(struct caller *caller)
{
    net_monitor_free(caller->monitor);
    net_socket_free(caller->socket);
    net_key_free(caller->key);
    *caller = (struct caller){0};
}

void heard_deinit(struct heard *heard)
{
    head_free(heard->head);
    heard->head = NULL;
    buf_deinit(&heard->payload);
}

Sealift__Head caller_head(struct caller *caller, Sealift__Head__KindCase kind)
{
    Sealift__Head head = SEALIFT__HEAD__INIT;
    head.kind_case = kind;
    head.serial = ++caller->serial;
    return head;
}

void caller_send_raw(struct caller *caller, struct span header, struct span payload)
{
    struct err err;
    AUTO(net_message) struct net_message message = {0};
    cr_assert(net_message_make(&message, header, &err), "%s", err.text);
    net_message_copy_payload(&message, payload);
    cr_assert_eq(net_socket_send(caller->socket, NULL, &message, DOCK_DEADLINE_MS), NET_OK);
}

void caller_send(struct caller *caller, Sealift__Head *head, struct span payload)
{
    AUTO(buf) struct buf header = {0};
    head_encode(head, &header);
    caller_send_raw(caller, buf_span(&header), payload);
}

static bool hear(struct caller *caller, struct heard *out, long deadline)
{
    struct net_peer from;
    enum net_fault fault;
    AUTO(net_message) struct net_message message = {0};
    long left = deadline - now_ms();
    if (left < 0) left = 0;
    enum net_status status = net_socket_recv(caller->socket, &from, &message, &fault, (int)left);
    if (status == NET_AGAIN) return false;
    cr_assert_eq(status, NET_OK);
    struct err err;
    struct span payload = net_message_payload(&message);
    enum channel channel =
        caller->port == OPERATOR_PORT ? CHANNEL_DIRECTOR_TO_OPERATOR : CHANNEL_DIRECTOR_TO_TRANSPORTER;
    heard_deinit(out);
    cr_assert(head_decode(channel, net_message_header(&message), payload.len, &out->head, &err), "%s",
              err.text);
    buf_put_span(&out->payload, payload);
    return true;
}

void caller_expect(struct caller *caller, Sealift__Head__KindCase kind, struct heard *out)
{
    long deadline = now_ms() + DOCK_DEADLINE_MS;
    do {
        cr_assert(hear(caller, out, deadline), "waited for '%s' in vain", head_name(kind));
    } while (out->head->kind_case == SEALIFT__HEAD__KIND_WELCOME && kind != SEALIFT__HEAD__KIND_WELCOME);
    const char *text = out->head->kind_case == SEALIFT__HEAD__KIND_FAIL ? out->head->fail->text : "";
    cr_assert_eq(out->head->kind_case, kind, "'%s' instead of '%s': %s", head_name(out->head->kind_case),
                 head_name(kind), text);
}

void caller_await(struct caller *caller, Sealift__Head__KindCase kind, struct heard *out)
{
    long deadline = now_ms() + DOCK_DEADLINE_MS;
    do {
        cr_assert(hear(caller, out, deadline), "waited for '%s' in vain", head_name(kind));
    } while (out->head->kind_case != kind);
}

void caller_expect_silence(struct caller *caller)
{
    AUTO(heard) struct heard heard = {0};
    if (caller->port == OPERATOR_PORT) {
        Sealift__OperatorHello hello = SEALIFT__OPERATOR_HELLO__INIT;
        Sealift__Head head = caller_head(caller, SEALIFT__HEAD__KIND_OPERATOR_HELLO);
        head.operator_hello = &hello;
        caller_send(caller, &head, (struct span){0});
        caller_expect(caller, SEALIFT__HEAD__KIND_DONE, &heard);
    } else {
        static const struct id nothing = {{0xaa}};
        Sealift__RunEnd end = SEALIFT__RUN_END__INIT;
        end.run = stored_bytes(span_of(nothing.bytes, ID_LEN));
        Sealift__Head head = caller_head(caller, SEALIFT__HEAD__KIND_RUN_END);
        head.run_end = &end;
        caller_send(caller, &head, (struct span){0});
        caller_expect(caller, SEALIFT__HEAD__KIND_DONE, &heard);
    }
    cr_assert_eq(heard.head->serial, caller->serial);
}

static void expect_event(struct caller *caller, unsigned kinds)
{
    struct err err;
    struct net_monitor_event event;
    long deadline = now_ms() + DOCK_DEADLINE_MS;
    for (long left = DOCK_DEADLINE_MS; left > 0; left = deadline - now_ms()) {
        struct net_poll_item item = net_poll_monitor(caller->monitor);
        cr_assert(net_poll_wait(&item, 1, (int)left, &err), "%s", err.text);
        while (net_monitor_take(caller->monitor, &event))
            if (kinds & 1u << event.kind) return;
    }
    cr_assert_fail("nothing happened to the connection");
}

void caller_expect_cut(struct caller *caller)
{
    expect_event(caller, 1u << NET_DOWN | 1u << NET_FAILED);
}

void caller_expect_up(struct caller *caller)
{
    expect_event(caller, 1u << NET_UP);
}

/* ---- operators */

void caller_ask(struct caller *caller, Sealift__Head *head, struct span payload, struct heard *out)
{
    caller_send(caller, head, payload);
    caller_expect(caller, SEALIFT__HEAD__KIND_DONE, out);
    cr_assert_eq(out->head->serial, head->serial);
}

void caller_ask_fail(struct caller *caller, Sealift__Head *head, struct span payload, enum err_code code,
                     const char *text)
{
    AUTO(heard) struct heard heard = {0};
    caller_send(caller, head, payload);
    caller_expect(caller, SEALIFT__HEAD__KIND_FAIL, &heard);
    cr_assert_eq(heard.head->serial, head->serial);
    cr_assert_eq(heard.head->fail->code, (uint32_t)code, "%u: %s", heard.head->fail->code,
                 heard.head->fail->text);
    if (text) cr_assert_str_eq(heard.head->fail->text, text);
}

void caller_claim(struct caller *caller)
{
    struct dock *dock = caller->dock;
    AUTO(heard) struct heard heard = {0};
    buf_clear(&dock->chain);
    dock->signing.roster_version = 0;
    signing_roster(&dock->signing, ANNA, &dock->chain);
    Sealift__Claim claim = SEALIFT__CLAIM__INIT;
    claim.code = dock->code;
    Sealift__Head head = caller_head(caller, SEALIFT__HEAD__KIND_CLAIM);
    head.claim = &claim;
    caller_ask(caller, &head, buf_span(&dock->chain), &heard);
}

void caller_put(struct caller *caller, const struct buf *statement)
{
    AUTO(heard) struct heard heard = {0};
    Sealift__Put put = SEALIFT__PUT__INIT;
    Sealift__Head head = caller_head(caller, SEALIFT__HEAD__KIND_PUT);
    head.put = &put;
    caller_ask(caller, &head, buf_span(statement), &heard);
}

void caller_put_roster(struct caller *caller)
{
    struct dock *dock = caller->dock;
    buf_clear(&dock->chain);
    signing_roster(&dock->signing, ANNA, &dock->chain);
    caller_put(caller, &dock->chain);
}

/* ---- transporters */

void caller_hello(struct caller *caller, uint8_t incarnation, uint64_t roster_version, const struct id *live)
{
    struct id process = {{incarnation, (uint8_t)caller->member}};
    ProtobufCBinaryData runs[1];
    Sealift__Hello hello = SEALIFT__HELLO__INIT;
    hello.version = lent_text("9.9");
    hello.roster_version = roster_version;
    hello.incarnation = lent_id(&process);
    hello.slots = 2;
    hello.reverse_endpoint = lent_text(caller->dock->reverse ? caller->dock->reverse : "");
    if (live) {
        runs[0] = lent_id(live);
        hello.runs = runs;
        hello.n_runs = 1;
    }
    Sealift__Head head = caller_head(caller, SEALIFT__HEAD__KIND_HELLO);
    head.hello = &hello;
    caller_send(caller, &head, (struct span){0});
    AUTO(heard) struct heard heard = {0};
    caller_expect(caller, SEALIFT__HEAD__KIND_WELCOME, &heard);
}

struct id caller_assigned(struct caller *caller, uint32_t attempt, Sealift__RunSide side)
{
    AUTO(heard) struct heard heard = {0};
    caller_await(caller, SEALIFT__HEAD__KIND_ASSIGN, &heard);
    cr_assert_eq(heard.head->assign->attempt, attempt);
    cr_assert_eq(heard.head->assign->side, side);
    return stored_id(&heard.head->assign->run);
}

void caller_ready(struct caller *caller, const struct id *run, uint32_t attempt)
{
    Sealift__RunReady ready = SEALIFT__RUN_READY__INIT;
    ready.run = lent_id(run);
    ready.attempt = attempt;
    ready.endpoint = lent_text("tcp://nas:9448");
    Sealift__Head head = caller_head(caller, SEALIFT__HEAD__KIND_RUN_READY);
    head.run_ready = &ready;
    caller_send(caller, &head, (struct span){0});
}

void caller_progress(struct caller *caller, const struct id *run, uint32_t attempt, Sealift__RunSide side,
                     Sealift__RunState state)
{
    Sealift__Counters counters = SEALIFT__COUNTERS__INIT;
    counters.files = 7;
    Sealift__RunProgress progress = SEALIFT__RUN_PROGRESS__INIT;
    progress.run = lent_id(run);
    progress.attempt = attempt;
    progress.side = side;
    progress.state = state;
    progress.counters = &counters;
    Sealift__Head head = caller_head(caller, SEALIFT__HEAD__KIND_RUN_PROGRESS);
    head.run_progress = &progress;
    caller_send(caller, &head, (struct span){0});
}

void caller_end(struct caller *caller, const struct id *run, uint32_t attempt, Sealift__RunSide side,
                uint32_t code, const char *text, struct span warnings)
{
    Sealift__RunEnd end = SEALIFT__RUN_END__INIT;
    end.run = lent_id(run);
    end.attempt = attempt;
    end.side = side;
    end.code = code;
    end.text = lent_text(text);
    Sealift__Head head = caller_head(caller, SEALIFT__HEAD__KIND_RUN_END);
    head.run_end = &end;
    caller_send(caller, &head, warnings);
    AUTO(heard) struct heard heard = {0};
    caller_await(caller, SEALIFT__HEAD__KIND_DONE, &heard);
    cr_assert_eq(heard.head->serial, head.serial);
}
