#include "transporter/session/listener_outbound.h"

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "transporter/session/listener_inside.h"

#include <stdio.h>
#include <string.h>

enum {
    PAUSE_MS = 100, /* before a dial, doubling ... */
    PAUSE_MOST_MS = 2000,
    IDLE_MS = 1000,
};

void outbound_add(struct listener_session *session, unsigned stripe)
{
    struct listener *listener = session->listener;
    struct outbound *outbound = xcalloc(1, sizeof(*outbound));
    outbound->session = session;
    outbound->pause_ms = PAUSE_MS;
    data_path_endpoint(session->options.path, stripe, &outbound->endpoint);
    outbound->next = listener->outbounds;
    listener->outbounds = outbound;
}

void outbound_leave(const struct listener_session *session)
{
    for (struct outbound *at = session->listener->outbounds; at; at = at->next) {
        if (at->session != session) continue;
        at->session = NULL;
        at->since_ms = clock_steady_ms();
    }
}

/* Why the last dial did not come up, as far as anything is known. */
static void note_trouble(struct listener *listener, struct outbound *outbound, const char *text)
{
    struct err err;
    struct listener_session *session = outbound->session;
    if (!session) return;
    bool told =
        outbound->attached && net_socket_proxy_failure(listener->socket, outbound->endpoint.address, &err);
    data_path_trouble(session->options.path, told ? err.text : text, session->trouble);
}

static void hang_up(struct listener *listener, struct outbound *outbound, uint64_t now_ms)
{
    struct err err;
    if (outbound->attached) (void)!net_socket_detach(listener->socket, outbound->endpoint.address, &err);
    outbound->attached = outbound->up = false;
    outbound->dial_at_ms = now_ms + data_path_jitter(outbound->pause_ms);
    outbound->pause_ms *= 2;
    if (outbound->pause_ms > PAUSE_MOST_MS) outbound->pause_ms = PAUSE_MOST_MS;
}

static void dial(struct listener *listener, struct outbound *outbound, uint64_t now_ms)
{
    struct err err;
    outbound->since_ms = now_ms;
    outbound->attached = net_socket_attach(listener->socket, &outbound->endpoint.net, &err);
    if (outbound->attached) return;
    note_trouble(listener, outbound, err.text);
    hang_up(listener, outbound, now_ms);
}

/* How long until there is something to do about this one. */
static uint64_t serve(struct listener *listener, struct outbound *outbound, uint64_t now_ms)
{
    uint64_t patience_ms = (uint64_t)data_path_patience_ms(outbound->session->options.path);
    if (outbound->attached && !outbound->up && now_ms >= outbound->since_ms + patience_ms) {
        note_trouble(listener, outbound, "no connection came up");
        hang_up(listener, outbound, now_ms);
    }
    if (!outbound->attached && now_ms >= outbound->dial_at_ms) dial(listener, outbound, now_ms);
    return outbound->attached ? IDLE_MS : outbound->dial_at_ms - now_ms;
}

uint64_t outbound_serve(struct listener *listener, uint64_t now_ms)
{
    uint64_t wait = IDLE_MS;
    for (struct outbound **at = &listener->outbounds; *at;) {
        struct outbound *outbound = *at;
        if (!outbound->session && now_ms >= outbound->since_ms + LISTENER_LAST_WORDS_MS) {
            hang_up(listener, outbound, now_ms);
            *at = outbound->next;
            free(outbound);
            continue;
        }
        uint64_t left = outbound->session ? serve(listener, outbound, now_ms)
                                          : outbound->since_ms + LISTENER_LAST_WORDS_MS - now_ms;
        if (left < wait) wait = left;
        at = &outbound->next;
    }
    return wait;
}

static struct outbound *find(struct listener *listener, const char *address)
{
    struct outbound *at = listener->outbounds;
    while (at && !(at->attached && strcmp(at->endpoint.address, address) == 0))
        at = at->next;
    return at;
}

/* libzmq would dial again by itself after some of what may happen, and never again after the rest: it is
 * always done here. */
void outbound_event(struct listener *listener, const struct net_monitor_event *event)
{
    struct outbound *outbound = find(listener, event->address);
    if (!outbound) return;
    uint64_t now_ms = clock_steady_ms();
    switch (event->kind) {
    case NET_UP:
        outbound->up = true;
        outbound->pause_ms = PAUSE_MS;
        return;
    case NET_RETRIED: /* nobody has answered yet */
        note_trouble(listener, outbound, "no connection came up");
        return;
    case NET_FAILED:
        note_trouble(listener, outbound,
                     event->cause == NET_CAUSE_AUTH ? "a peer with another key was there"
                                                    : "the handshake failed");
        hang_up(listener, outbound, now_ms);
        return;
    case NET_DOWN:
        note_trouble(listener, outbound, outbound->up ? "the connection was lost" : "no connection came up");
        hang_up(listener, outbound, now_ms);
        return;
    }
}

void outbound_free_all(struct listener *listener)
{
    while (listener->outbounds) {
        struct outbound *outbound = listener->outbounds;
        listener->outbounds = outbound->next;
        free(outbound);
    }
}
