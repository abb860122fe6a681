#include "director/cli/client.h"

#include "common/base/alloc.h"
#include "common/base/backoff.h"
#include "common/base/clock.h"
#include "common/net/net_monitor.h"
#include "common/net/net_poll.h"
#include "director/cli/interrupt.h"

#include <string.h>

enum {
    QUEUE_MAX = 256, /* events that wait while a request is answered */
    PAUSE_FIRST_MS = 250,
    PAUSE_MAX_MS = 4000,
    /* Answers of up to 1 MiB wait here while stdout is slow. What does not fit waits at the director and the
     * transporter, and when the queue stays full for 20 s, the connection is taken for dead. */
    RECV_QUEUE = 128,
};

struct queued {
    struct client_message message;
    struct queued *next;
};

struct client {
    struct director_address director;
    char endpoint[SITE_LINE_MAX];
    unsigned limit_ms;
    struct net_context *context;
    struct net_key *key;
    struct net_socket *socket; /* NULL during a pause after a failed handshake */
    struct net_monitor *monitor;
    uint64_t dial_at_ms; /* when the pause is over */
    struct backoff backoff;

    bool up;
    uint64_t connections; /* how many there were so far */
    uint64_t told;        /* the one that client_wait told of; the first goes without saying */
    bool told_up;
    bool handshake_failed;
    uint64_t serial;
    struct queued *first, **last;
    size_t queued;
};

void client_message_deinit(struct client_message *message)
{
    head_free(message->head);
    message->head = NULL;
    buf_deinit(&message->payload);
}

static void message_move(struct client_message *from, struct client_message *to)
{
    *to = *from;
    *from = (struct client_message){0};
}

/* --- the connection --- */

static void hang_up(struct client *client)
{
    net_monitor_free(client->monitor);
    net_socket_free(client->socket);
    client->monitor = NULL;
    client->socket = NULL;
    client->up = false;
}

static bool dial(struct client *client, struct err *err)
{
    struct net_options options = net_options_of(NET_CLIENT);
    options.key = client->key;
    options.server_key = client->director.curve_pk;
    options.max_payload = PAYLOAD_MAX;
    options.recv_queue = RECV_QUEUE;
    options.linger_ms = 0; /* every request waits for its answer */
    options.reconnect_ms = 100;
    options.reconnect_max_ms = 2000;
    struct net_endpoint endpoint = {.side = NET_CONNECT, .address = client->endpoint};
    return net_socket_new(client->context, &options, &client->socket, err) &&
           net_monitor_new(client->socket, &client->monitor, err) &&
           net_socket_attach(client->socket, &endpoint, err);
}

bool client_new(const struct director_address *director, const struct secret *transport, unsigned limit_ms,
                struct client **out, struct err *err)
{
    AUTO(client) struct client *client = xcalloc(1, sizeof(*client));
    client->director = *director;
    director_address_endpoint(director, client->endpoint);
    client->limit_ms = limit_ms;
    client->backoff = (struct backoff){.first_ms = PAUSE_FIRST_MS, .most_ms = PAUSE_MAX_MS};
    client->told_up = true;
    client->last = &client->first;
    if (!net_context_new(1, &client->context, err) ||
        !net_key_from_secret(transport->data, &client->key, err) || !dial(client, err))
        return false;
    *out = client;
    client = NULL;
    return true;
}

void client_limit(struct client *client, unsigned limit_ms)
{
    client->limit_ms = limit_ms;
}

void client_free(struct client *client)
{
    if (!client) return;
    hang_up(client);
    while (client->first) {
        struct queued *queued = client->first;
        client->first = queued->next;
        client_message_deinit(&queued->message);
        free(queued);
    }
    net_key_free(client->key);
    net_context_free(client->context);
    free(client);
}

static bool handshake_failed(struct client *client, const struct net_monitor_event *event, struct err *err)
{
    if (event->cause == NET_CAUSE_AUTH)
        return err_set(err, ERR_POLICY, "the director at %s refuses this key: it knows no such operator",
                       client->endpoint);
    client->handshake_failed = true;
    hang_up(client);
    client->dial_at_ms = clock_steady_ms() + backoff_pause(&client->backoff);
    return true;
}

/* What the monitor has to tell. */
static bool take_events(struct client *client, struct err *err)
{
    struct net_monitor_event event;
    while (client->monitor && net_monitor_take(client->monitor, &event))
        switch (event.kind) {
        case NET_UP:
            client->up = true;
            if (client->connections++ == 0) client->told = 1;
            client->handshake_failed = false;
            backoff_reset(&client->backoff);
            break;
        case NET_DOWN:
            client->up = false;
            break;
        case NET_FAILED:
            if (!handshake_failed(client, &event, err)) return false;
            break;
        case NET_RETRIED:
            break;
        }
    return true;
}

/* --- receiving --- */

static bool decode(struct net_message *message, struct client_message *out, struct err *err)
{
    struct span payload = net_message_payload(message);
    if (!head_decode(CHANNEL_DIRECTOR_TO_OPERATOR, net_message_header(message), payload.len, &out->head, err))
        return err_wrap(err, "the director sent what this program does not take");
    buf_put_span(&out->payload, payload);
    return true;
}

/* *found: there was one. */
static bool receive(struct client *client, struct client_message *out, bool *found, struct err *err)
{
    *found = false;
    if (!client->socket) return true;
    AUTO(net_message) struct net_message message = {0};
    struct net_peer from;
    enum net_fault fault;
    switch (net_socket_recv(client->socket, &from, &message, &fault, 0)) {
    case NET_OK:
        *found = decode(&message, out, err);
        return *found;
    case NET_REFUSED:
        return err_set(err, ERR_PROTOCOL, "the director broke the protocol: %s", net_fault_text(fault));
    default:
        return true;
    }
}

static bool enqueue(struct client *client, struct client_message *message, struct err *err)
{
    if (client->queued >= QUEUE_MAX)
        return err_set(err, ERR_LIMIT, "the director sent more than %d events before an answer", QUEUE_MAX);
    struct queued *queued = xcalloc(1, sizeof(*queued));
    message_move(message, &queued->message);
    *client->last = queued;
    client->last = &queued->next;
    client->queued++;
    return true;
}

static bool dequeue(struct client *client, struct client_message *out)
{
    struct queued *queued = client->first;
    if (!queued) return false;
    client->first = queued->next;
    if (!client->first) client->last = &client->first;
    client->queued--;
    message_move(&queued->message, out);
    free(queued);
    return true;
}

/* --- waiting --- */

static unsigned until(uint64_t deadline_ms, uint64_t now_ms)
{
    if (deadline_ms <= now_ms) return 0;
    return deadline_ms - now_ms > 60000 ? 60000 : (unsigned)(deadline_ms - now_ms);
}

/* Sleeps until something happens or the deadline is there. */
static bool sleep_until(struct client *client, uint64_t deadline_ms, unsigned wanted, struct err *err)
{
    struct net_poll_item items[3];
    size_t count = 0;
    uint64_t now_ms = clock_steady_ms();
    if (!client->socket && client->dial_at_ms <= now_ms && !dial(client, err)) return false;
    if (!client->socket && client->dial_at_ms < deadline_ms) deadline_ms = client->dial_at_ms;
    if (client->socket) {
        items[count++] = net_poll_socket(client->socket, wanted);
        items[count++] = net_poll_monitor(client->monitor);
    }
    if (interrupt_fd() >= 0) items[count++] = net_poll_fd(interrupt_fd(), NET_READABLE);
    return net_poll_wait(items, count, (int)until(deadline_ms, now_ms), err) && take_events(client, err);
}

static bool no_answer(const struct client *client, struct err *err)
{
    if (client->up)
        return err_set(err, ERR_UNREACHABLE,
                       "the director at %s is connected but gave no answer in %u s; see its log",
                       client->endpoint, client->limit_ms / 1000);
    if (client->handshake_failed)
        return err_set(
            err, ERR_UNREACHABLE,
            "the director at %s breaks the handshake off: is this its operator port, is the key in its "
            "address the one that 'sealift-director --init' printed, is this operator in the roster?",
            client->endpoint);
    return err_set(
        err, ERR_UNREACHABLE,
        "cannot reach the director at %s in %u s: is it running, are host and operator port right, does a "
        "firewall stand between?",
        client->endpoint, client->limit_ms / 1000);
}

/* --- requests --- */

enum err_code client_code(uint32_t code)
{
    static const enum err_code known[] = {
        ERR_USAGE,        ERR_FAILED,        ERR_NOT_FOUND, ERR_POLICY,   ERR_BUSY,      ERR_UNREACHABLE,
        ERR_CANCELLED,    ERR_NO_KEY,        ERR_WRONG_KEY, ERR_DAMAGED,  ERR_TRUNCATED, ERR_NOT_ENCRYPTED,
        ERR_SALT_MISSING, ERR_NOT_AUTHENTIC, ERR_SYSTEM,    ERR_NO_SPACE, ERR_EXISTS,    ERR_VERSION,
        ERR_PROTOCOL,     ERR_LIMIT,         ERR_CONFIG};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (code == (uint32_t)known[i]) return known[i];
    return ERR_FAILED;
}

/* *sent stays false while there is no connection, also one that the monitor did not tell of yet: the answer
 * has to come through the connection that is counted. */
static bool send_request(struct client *client, struct span head, struct span payload, bool *sent,
                         struct err *err)
{
    if (!client->socket || !client->up) return true;
    AUTO(net_message) struct net_message message = {0};
    if (!net_message_make(&message, head, err)) return false;
    net_message_copy_payload(&message, payload);
    enum net_status status = net_socket_send(client->socket, NULL, &message, 0);
    if (status == NET_TERMINATED) return err_set(err, ERR_CANCELLED, "the program is ending");
    *sent = status == NET_OK;
    return true;
}

/* Reads what is there. *answered: the answer to the request is among it. */
static bool take_answer(struct client *client, uint64_t serial, struct client_message *out, bool *answered,
                        struct err *err)
{
    for (;;) {
        AUTO(client_message) struct client_message message = {0};
        bool found = false;
        if (!receive(client, &message, &found, err)) return false;
        if (!found) return true;
        if (message.head->kind_case == SEALIFT__HEAD__KIND_RUN_EVENT) {
            if (!enqueue(client, &message, err)) return false;
            continue;
        }
        if (message.head->serial != serial) continue; /* late: of a request that was given up */
        *answered = true;
        if (message.head->kind_case == SEALIFT__HEAD__KIND_FAIL)
            return err_set(err, client_code(message.head->fail->code), "%s", message.head->fail->text);
        message_move(&message, out);
        return true;
    }
}

/* One request under way. */
struct attempt {
    struct span head, payload;
    uint64_t serial;
    enum client_repeat repeat;
    bool sent;
    uint64_t connection; /* on which it was sent */
};

/* A new connection since it was sent: the request, or its answer, is lost. */
static bool mind_the_gap(const struct client *client, struct attempt *attempt, struct err *err)
{
    if (!attempt->sent || attempt->connection == client->connections) return true;
    attempt->sent = false;
    if (attempt->repeat == CLIENT_REPEATABLE) return true;
    return err_set(err, ERR_UNREACHABLE,
                   "the connection to the director broke before its answer: whether it did "
                   "what was asked is not known");
}

static bool exchange(struct client *client, struct attempt *attempt, struct client_message *out,
                     struct err *err)
{
    uint64_t deadline_ms = clock_steady_ms() + client->limit_ms;
    for (bool answered = false; !answered;) {
        if (!attempt->sent) {
            if (!send_request(client, attempt->head, attempt->payload, &attempt->sent, err)) return false;
            attempt->connection = client->connections;
        }
        if (!take_answer(client, attempt->serial, out, &answered, err)) return false;
        if (answered) return true;
        if (interrupt_seen()) return err_set(err, ERR_CANCELLED, "interrupted");
        if (clock_steady_ms() >= deadline_ms) return no_answer(client, err);
        bool full = client->up && !attempt->sent;
        if (!sleep_until(client, deadline_ms, full ? NET_READABLE | NET_WRITABLE : NET_READABLE, err) ||
            !mind_the_gap(client, attempt, err))
            return false;
    }
    return true;
}

bool client_request(struct client *client, Sealift__Head *request, struct span payload,
                    enum client_repeat repeat, struct client_message *out, struct err *err)
{
    AUTO(buf) struct buf head = {0};
    request->serial = ++client->serial;
    head_encode(request, &head);
    struct attempt attempt = {
        .head = buf_span(&head), .payload = payload, .serial = request->serial, .repeat = repeat};
    if (!exchange(client, &attempt, out, err)) return false;
    if (out->head->kind_case == SEALIFT__HEAD__KIND_DONE) return true;
    enum err_code code = ERR_PROTOCOL;
    (void)err_set(err, code, "the director answered with '%s' instead of 'done'",
                  head_name(out->head->kind_case));
    client_message_deinit(out);
    return false;
}

/* --- events --- */

/* What there is to tell besides events. */
static enum client_news connection_news(struct client *client)
{
    if (interrupt_seen()) return CLIENT_INTERRUPTED;
    if (client->told != client->connections && client->connections) {
        client->told = client->connections;
        client->told_up = true;
        return CLIENT_CONNECTED;
    }
    if (client->told_up && !client->up) {
        client->told_up = false;
        return CLIENT_LOST;
    }
    return CLIENT_NOTHING;
}

static bool take_run_event(struct client *client, struct client_message *event, bool *found, struct err *err)
{
    *found = dequeue(client, event);
    while (!*found) {
        AUTO(client_message) struct client_message message = {0};
        bool any = false;
        if (!receive(client, &message, &any, err)) return false;
        if (!any) return true;
        if (message.head->kind_case != SEALIFT__HEAD__KIND_RUN_EVENT) continue;
        message_move(&message, event);
        *found = true;
    }
    return true;
}

bool client_wait(struct client *client, unsigned timeout_ms, enum client_news *news,
                 struct client_message *event, struct err *err)
{
    uint64_t deadline_ms = clock_steady_ms() + timeout_ms;
    for (;;) {
        bool found = false;
        if (!take_run_event(client, event, &found, err)) return false;
        *news = found ? CLIENT_EVENT : connection_news(client);
        if (*news != CLIENT_NOTHING || clock_steady_ms() >= deadline_ms) return true;
        if (!sleep_until(client, deadline_ms, NET_READABLE, err)) return false;
    }
}
