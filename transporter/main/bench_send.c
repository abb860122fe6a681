#include "transporter/main/bench_send.h"

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/crypto/frame.h"
#include "common/net/net_socket.h"

#include <pthread.h>
#include <string.h>

#define DOMAIN "bench"

enum { QUEUE = 64, SILENCE_MS = 10000 };

/* What the sender is given; it fills in `err` if it fails. */
struct sender {
    struct net_context *context;
    const struct net_key *own_key;
    const uint8_t *server_key;
    const char *address;
    const struct span *payloads;
    size_t count;
    uint64_t length_ms;
    struct err err;
};

/* --- the sending thread --- */

static bool send_one(struct net_socket *socket, struct net_message *message, struct err *err)
{
    if (net_socket_send(socket, NULL, message, SILENCE_MS) == NET_OK) return true;
    return err_set(err, ERR_UNREACHABLE, "the sending side cannot send");
}

static bool send_header(struct net_socket *socket, const char *word, struct err *err)
{
    AUTO(net_message) struct net_message message = {0};
    return net_message_make(&message, span_str(word), err) && send_one(socket, &message, err);
}

static bool send_copies(struct net_socket *socket, const struct sender *sender, struct net_message *messages,
                        struct err *err)
{
    uint64_t end_ms = clock_steady_ms() + sender->length_ms;
    do {
        for (size_t i = 0; i < sender->count; i++) {
            AUTO(net_message) struct net_message copy = {0};
            net_message_share(&messages[i], &copy);
            if (!send_one(socket, &copy, err)) return false;
        }
    } while (clock_steady_ms() < end_ms);
    return true;
}

static bool send_all(struct net_socket *socket, const struct sender *sender, struct err *err)
{
    struct net_message *messages = xcalloc(sender->count, sizeof(*messages));
    size_t made = 0;
    bool done = true;
    for (; done && made < sender->count; made++) {
        done = net_message_make(&messages[made], span_str("data"), err);
        if (done) net_message_copy_payload(&messages[made], sender->payloads[made]);
    }
    done = done && send_header(socket, "begin", err) && send_copies(socket, sender, messages, err) &&
           send_header(socket, "end", err);
    for (size_t i = 0; i < made; i++)
        net_message_deinit(&messages[i]);
    free(messages);
    return done;
}

static bool connect_and_send(struct sender *sender, struct err *err)
{
    struct net_options options = net_options_of(NET_CLIENT);
    options.key = sender->own_key;
    options.server_key = sender->server_key;
    options.max_payload = FRAME_MAX_LEN;
    options.send_queue = QUEUE;
    options.linger_ms = SILENCE_MS;
    struct net_endpoint endpoint = {.side = NET_CONNECT, .address = sender->address};
    AUTO(net_socket) struct net_socket *socket = NULL;
    return net_socket_new(sender->context, &options, &socket, err) &&
           net_socket_attach(socket, &endpoint, err) && send_all(socket, sender, err);
}

static void *sender_main(void *arg)
{
    struct sender *sender = arg;
    struct err err;
    if (!connect_and_send(sender, &err)) sender->err = err;
    return NULL;
}

/* --- the receiving side --- */

static bool receive_all(struct net_socket *socket, uint64_t *bytes, uint64_t *took_ms, struct err *err)
{
    uint64_t began_ms = 0;
    *bytes = 0;
    for (;;) {
        AUTO(net_message) struct net_message message = {0};
        struct net_peer from;
        enum net_fault fault;
        if (net_socket_recv(socket, &from, &message, &fault, SILENCE_MS) != NET_OK)
            return err_set(err, ERR_UNREACHABLE, "nothing arrives over loopback");
        struct span header = net_message_header(&message);
        if (span_eq(header, span_str("begin"))) began_ms = clock_steady_ms();
        if (span_eq(header, span_str("end"))) break;
        *bytes += net_message_payload(&message).len;
    }
    *took_ms = clock_steady_ms() - began_ms;
    return true;
}

static bool receive_from(struct sender *sender, struct net_socket *socket, uint64_t *bytes, uint64_t *took_ms,
                         struct err *err)
{
    pthread_t thread;
    int failed = pthread_create(&thread, NULL, sender_main, sender);
    if (failed) return err_sys(err, failed, "cannot start a thread");
    bool done = receive_all(socket, bytes, took_ms, err);
    if (!done) net_context_shutdown(sender->context);
    (void)pthread_join(thread, NULL);
    if (sender->err.code == ERR_NONE) return done;
    *err = sender->err;
    return false;
}

bool bench_send(const struct span *payloads, size_t count, uint64_t length_ms, uint64_t *bytes,
                uint64_t *took_ms, struct err *err)
{
    AUTO(net_context) struct net_context *context = NULL;
    AUTO(net_zap) struct net_zap *zap = NULL;
    AUTO(net_key) struct net_key *server_key = NULL;
    AUTO(net_key) struct net_key *client_key = NULL;
    AUTO(net_socket) struct net_socket *socket = NULL;
    if (!net_context_new(2, &context, err) || !net_zap_start(context, &zap, err) ||
        !net_key_make(&server_key, err) || !net_key_make(&client_key, err))
        return false;
    net_zap_set_domain(zap, DOMAIN, NET_UNKNOWN_REFUSE);
    net_zap_allow(zap, DOMAIN, net_key_public(client_key));

    struct net_options options = net_options_of(NET_SERVER);
    options.key = server_key;
    options.zap = zap;
    options.domain = DOMAIN;
    options.max_payload = FRAME_MAX_LEN;
    options.recv_queue = QUEUE;
    struct net_endpoint endpoint = {.side = NET_BIND, .address = "tcp://127.0.0.1:0"};
    if (!net_socket_new(context, &options, &socket, err) || !net_socket_attach(socket, &endpoint, err))
        return false;
    struct sender sender = {.context = context,
                            .own_key = client_key,
                            .server_key = net_key_public(server_key),
                            .address = net_socket_bound(socket),
                            .payloads = payloads,
                            .count = count,
                            .length_ms = length_ms};
    return receive_from(&sender, socket, bytes, took_ms, err);
}
