#include "tests/unit/cli/scripted_director.h"

#include "common/net/net_poll.h"
#include "common/net/net_socket.h"
#include "common/net/net_wake.h"
#include "common/net/net_zap.h"
#include "common/wire/stored.h"

#include <assert.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DOMAIN "operator"

/* In the thread nothing asserts through Criterion: it aborts. */
static void must(bool ok, const struct err *err)
{
    if (ok) return;
    (void)fprintf(stderr, "scripted director: %s\n", err->text);
    abort();
}

static void serve_one(struct script *script)
{
    struct net_peer peer;
    enum net_fault fault;
    AUTO(net_message) struct net_message message = {0};
    AUTO(head) Sealift__Head *head = NULL;
    struct err err = {0};
    if (net_socket_recv(script->socket, &peer, &message, &fault, 0) != NET_OK) return;
    struct span payload = net_message_payload(&message);
    must(head_decode(CHANNEL_OPERATOR_TO_DIRECTOR, net_message_header(&message), payload.len, &head, &err),
         &err);
    struct request request = {.script = script,
                              .head = head,
                              .payload = payload,
                              .number = atomic_fetch_add(&script->requests, 1) + 1,
                              .peer = &peer};
    script->answer(&request);
}

static void *serve(void *arg)
{
    struct script *script = arg;
    struct err err = {0};
    AUTO(net_context) struct net_context *context = NULL;
    AUTO(net_zap) struct net_zap *zap = NULL;
    AUTO(net_socket) struct net_socket *socket = NULL;
    must(net_context_new(1, &context, &err) && net_zap_start(context, &zap, &err), &err);
    net_zap_set_domain(zap, DOMAIN,
                       script->admission == SCRIPT_ADMIT ? NET_UNKNOWN_PENDING : NET_UNKNOWN_REFUSE);
    struct net_options options = net_options_of(NET_SERVER);
    options.key = script->key;
    options.zap = zap;
    options.domain = DOMAIN;
    options.max_payload = PAYLOAD_MAX;
    options.linger_ms = 0;
    must(net_socket_new(context, &options, &socket, &err), &err);
    char address[64];
    (void)snprintf(address, sizeof(address), "tcp://127.0.0.1:%u", script->address.port);
    must(net_socket_attach(socket, &(struct net_endpoint){.side = NET_BIND, .address = address}, &err), &err);
    script->address.port = (uint16_t)strtoul(strrchr(net_socket_bound(socket), ':') + 1, NULL, 10);
    script->socket = socket;
    atomic_store(&script->ready, true);
    struct net_poll_item items[2];
    do {
        serve_one(script);
        items[0] = net_poll_socket(socket, NET_READABLE);
        items[1] = net_poll_fd(script->wake, NET_READABLE);
        must(net_poll_wait(items, 2, -1, &err), &err);
    } while (!items[1].ready);
    return NULL;
}

void script_start(struct script *script, script_fn *answer, uint16_t port)
{
    struct err err = {0};
    struct net_wake wake;
    if (!script->key) cr_assert(net_key_make(&script->key, &err), "%s", err.text);
    memcpy(script->address.curve_pk, net_key_public(script->key), NET_KEY_LEN);
    (void)snprintf(script->address.host, sizeof(script->address.host), "127.0.0.1");
    script->address.port = port;
    script->answer = answer;
    cr_assert(net_wake_init(&wake, &err));
    script->wake = wake.fd;
    atomic_store(&script->ready, false);
    cr_assert_eq(pthread_create(&script->thread, NULL, serve, script), 0);
    while (!atomic_load(&script->ready))
        (void)sched_yield();
}

void script_stop(struct script *script)
{
    struct net_wake wake = {.fd = script->wake};
    net_wake_signal(&wake);
    (void)pthread_join(script->thread, NULL);
    net_wake_deinit(&wake);
}

void script_deinit(struct script *script)
{
    net_key_free(script->key);
}

/* --- answers --- */

static void reply(const struct request *request, struct span header, struct span payload)
{
    struct err err = {0};
    AUTO(net_message) struct net_message message = {0};
    must(net_message_make(&message, header, &err), &err);
    net_message_copy_payload(&message, payload);
    (void)!net_socket_send(request->script->socket, request->peer, &message, 1000);
}

static void reply_head(const struct request *request, Sealift__Head *head, struct span payload)
{
    AUTO(buf) struct buf header = {0};
    head->serial = request->head->serial;
    head_encode(head, &header);
    reply(request, buf_span(&header), payload);
}

void answer_done(const struct request *request, uint64_t count, struct span payload)
{
    Sealift__Done done = SEALIFT__DONE__INIT;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    done.count = count;
    head.kind_case = SEALIFT__HEAD__KIND_DONE;
    head.done = &done;
    reply_head(request, &head, payload);
}

void answer_begun(const struct request *request, const struct id *id)
{
    Sealift__Done done = SEALIFT__DONE__INIT;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    done.run = stored_bytes(span_of(id->bytes, ID_LEN));
    head.kind_case = SEALIFT__HEAD__KIND_DONE;
    head.done = &done;
    reply_head(request, &head, span_of(NULL, 0));
}

void answer_fail(const struct request *request, uint32_t code, const char *text)
{
    Sealift__Fail fail = SEALIFT__FAIL__INIT;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    fail.code = code;
    fail.text = (char *)(uintptr_t)text;
    head.kind_case = SEALIFT__HEAD__KIND_FAIL;
    head.fail = &fail;
    reply_head(request, &head, span_of(NULL, 0));
}

void answer_event(const struct request *request, Sealift__RunEvent *event, struct span payload)
{
    Sealift__Head head = SEALIFT__HEAD__INIT;
    head.kind_case = SEALIFT__HEAD__KIND_RUN_EVENT;
    head.run_event = event;
    reply_head(request, &head, payload);
}

void answer_raw(const struct request *request, struct span header)
{
    reply(request, header, span_of(NULL, 0));
}

void answer_drop(const struct request *request)
{
    net_socket_drop(request->script->socket, request->peer);
}
