#include "fake_director.h"

#include "common/base/alloc.h"
#include "tests/support/fast_folder.h"
#include "tests/support/remove_tree.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void *loop_main(void *arg)
{
    struct fake_director *director = arg;
    struct err err = {0};
    if (!control_run(director->control, &err)) (void)fprintf(stderr, "control loop: %s\n", err.text);
    return NULL;
}

static enum daemon_wish woken(void *arg)
{
    const struct fake_director *director = arg;
    uint64_t count;
    return read(director->stop_fd, &count, sizeof(count)) == (ssize_t)sizeof(count) ? DAEMON_STOP
                                                                                    : DAEMON_GO_ON;
}

static void listen_here(struct fake_director *director, struct err *err)
{
    cr_assert(net_context_new(1, &director->net, err), "%s", err->text);
    cr_assert(net_key_make(&director->key, err), "%s", err->text);
    cr_assert(net_zap_start(director->net, &director->zap, err), "%s", err->text);
    net_zap_set_domain(director->zap, "control", NET_UNKNOWN_PENDING);
    struct net_options options = net_options_of(NET_SERVER);
    options.key = director->key;
    options.zap = director->zap;
    options.domain = "control";
    options.max_payload = PAYLOAD_MAX;
    cr_assert(net_socket_new(director->net, &options, &director->socket, err), "%s", err->text);
    struct net_endpoint here = {.side = NET_BIND, .address = "tcp://127.0.0.1:0"};
    cr_assert(net_socket_attach(director->socket, &here, err), "%s", err->text);
}

static void start_host(struct fake_director *director, struct err *err)
{
    const struct identity *self = director->site.source;
    cr_assert(authority_open(director->state, &director->line, self, &director->authority, err), "%s",
              err->text);
    director->stores = stores_new(director->state, self, &director->policy);
    cr_assert(net_context_new(1, &director->host_net, err), "%s", err->text);
    struct listener_options listening = {
        .net = director->host_net, .self = self, .bind = "tcp://127.0.0.1:0"};
    cr_assert(listener_new(&listening, &director->listener, err), "%s", err->text);
    struct control_options options = {
        .environment = {.self = self,
                        .authority = director->authority,
                        .stores = director->stores,
                        .policy = &director->policy,
                        .net = director->host_net,
                        .listener = director->listener,
                        .state_dir = director->state,
                        .lease_ms = 20000},
        .director = {.address = net_socket_bound(director->socket)},
        .director_key = director->line.director.curve_pk,
        .slots = 2,
        .wake_fd = director->stop_fd,
        .woken = woken,
        .woken_arg = director,
    };
    cr_assert(control_new(&options, &director->control, err), "%s", err->text);
    cr_assert_eq(pthread_create(&director->thread, NULL, loop_main, director), 0);
}

void fake_director_start(struct fake_director *director)
{
    struct err err = {0};
    *director = (struct fake_director){.stop_fd = eventfd(0, EFD_CLOEXEC)};
    site_init(&director->site);
    (void)snprintf(director->state, sizeof(director->state), "%s/sealift-loop-XXXXXX", fast_folder());
    cr_assert_not_null(mkdtemp(director->state));
    listen_here(director, &err);
    director->line.site = director->site.id;
    memcpy(director->line.admin, director->site.admin->known.sign_pk, SIGN_PK_LEN);
    memcpy(director->line.director.curve_pk, net_key_public(director->key), 32);
    start_host(director, &err);

    AUTO(head) Sealift__Head *join = fake_director_expect(director, SEALIFT__HEAD__KIND_JOIN);
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Done done = SEALIFT__DONE__INIT;
    head.kind_case = SEALIFT__HEAD__KIND_DONE;
    head.done = &done;
    fake_director_send(director, &head, span_of(NULL, 0));
}

void fake_director_stop(struct fake_director *director)
{
    uint64_t one = 1;
    cr_assert_eq(write(director->stop_fd, &one, sizeof(one)), (ssize_t)sizeof(one));
    (void)pthread_join(director->thread, NULL);
    control_free(director->control);
    listener_free(director->listener);
    stores_free(director->stores);
    authority_close(director->authority);
    net_context_free(director->host_net);
    net_socket_free(director->socket);
    net_zap_stop(director->zap);
    net_key_free(director->key);
    net_context_free(director->net);
    (void)close(director->stop_fd);
    site_deinit(&director->site);
    cr_assert(remove_tree(director->state));
}

void fake_director_send_bytes(struct fake_director *director, struct span head, struct span payload)
{
    struct err err = {0};
    AUTO(net_message) struct net_message message = {0};
    cr_assert(net_message_make(&message, head, &err), "%s", err.text);
    if (payload.len) net_message_copy_payload(&message, payload);
    cr_assert_eq(net_socket_send(director->socket, &director->peer, &message, 5000), NET_OK);
}

void fake_director_send(struct fake_director *director, Sealift__Head *head, struct span payload)
{
    AUTO(buf) struct buf bytes = {0};
    head_encode(head, &bytes);
    fake_director_send_bytes(director, buf_span(&bytes), payload);
}

enum net_status fake_director_poke(struct fake_director *director)
{
    struct err err = {0};
    AUTO(buf) struct buf bytes = {0};
    AUTO(net_message) struct net_message message = {0};
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Welcome welcome = SEALIFT__WELCOME__INIT;
    head.kind_case = SEALIFT__HEAD__KIND_WELCOME;
    head.welcome = &welcome;
    head_encode(&head, &bytes);
    cr_assert(net_message_make(&message, buf_span(&bytes), &err), "%s", err.text);
    return net_socket_send(director->socket, &director->peer, &message, 5000);
}

void fake_director_drop(struct fake_director *director)
{
    enum net_status status = NET_OK;
    while (status == NET_OK) {
        AUTO(net_message) struct net_message message = {0};
        struct net_peer from;
        enum net_fault fault;
        status = net_socket_recv(director->socket, &from, &message, &fault, 0);
    }
}

unsigned fake_director_heard(struct fake_director *director, Sealift__Head__KindCase kind)
{
    unsigned count = 0;
    for (;;) {
        AUTO(net_message) struct net_message message = {0};
        AUTO(head) Sealift__Head *head = NULL;
        struct net_peer from;
        enum net_fault fault;
        struct err err = {0};
        if (net_socket_recv(director->socket, &from, &message, &fault, 0) != NET_OK) return count;
        size_t payload = net_message_payload(&message).len;
        cr_assert(
            head_decode(CHANNEL_TRANSPORTER_TO_DIRECTOR, net_message_header(&message), payload, &head, &err),
            "%s", err.text);
        if (head->kind_case == kind) count++;
    }
}

void fake_director_deliver(struct fake_director *director, struct span statement)
{
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Deliver deliver = SEALIFT__DELIVER__INIT;
    head.kind_case = SEALIFT__HEAD__KIND_DELIVER;
    head.deliver = &deliver;
    fake_director_send(director, &head, statement);
}

Sealift__Head *fake_director_expect(struct fake_director *director, Sealift__Head__KindCase kind)
{
    unsigned before = 0;
    return fake_director_count(director, kind, SEALIFT__HEAD__KIND__NOT_SET, &before);
}

Sealift__Head *fake_director_count(struct fake_director *director, Sealift__Head__KindCase kind,
                                   Sealift__Head__KindCase other, unsigned *before)
{
    for (int tries = 0; tries < 100; tries++) {
        AUTO(net_message) struct net_message message = {0};
        AUTO(head) Sealift__Head *head = NULL;
        struct net_peer from;
        enum net_fault fault;
        struct err err = {0};
        enum net_status status = net_socket_recv(director->socket, &from, &message, &fault, 10000);
        cr_assert_eq(status, NET_OK, "no '%s' came", head_name(kind));
        director->peer = from;
        size_t payload = net_message_payload(&message).len;
        cr_assert(
            head_decode(CHANNEL_TRANSPORTER_TO_DIRECTOR, net_message_header(&message), payload, &head, &err),
            "%s", err.text);
        *before += head->kind_case == other;
        if (head->kind_case != kind) continue;
        Sealift__Head *out = head;
        head = NULL;
        return out;
    }
    cr_assert_fail("no '%s' came", head_name(kind));
    return NULL;
}
