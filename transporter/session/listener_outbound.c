#include "transporter/session/listener_outbound.h"

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "transporter/session/listener_inside.h"

#include <stdio.h>
#include <string.h>

enum { IDLE_MS = 1000 };

void outbound_add(struct listener_session *session, unsigned stripe)
{
    struct listener *listener = session->listener;
    struct outbound *outbound = xcalloc(1, sizeof(*outbound));
    outbound->session = session;
    outbound->backoff = (struct backoff){.first_ms = (uint64_t)listener->pace.reconnect_ms,
                                         .most_ms = (uint64_t)listener->pace.reconnect_max_ms};
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
    outbound->attached = outbound->up = outbound->gone = false;
    outbound->dial_at_ms = now_ms + backoff_pause(&outbound->backoff);
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
    if (outbound->gone) return 0;
    uint64_t patience_ms = data_path_patience_ms(outbound->session->options.path);
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

/* What ends before it stands is tried again by libzmq, at the pauses of the proxy's relay. After a breach of
 * the protocol, also on a connection that stood, libzmq never dials again: that is done here. */
void outbound_event(struct listener *listener, const struct net_monitor_event *event)
{
    struct outbound *outbound = find(listener, event->address);
    if (!outbound) return;
    uint64_t now_ms = clock_steady_ms();
    switch (event->kind) {
    case NET_UP:
        outbound->up = true;
        backoff_reset(&outbound->backoff);
        return;
    case NET_RETRIED: /* nobody has answered yet */
        note_trouble(listener, outbound, "no connection came up");
        return;
    case NET_FAILED:
        note_trouble(listener, outbound,
                     event->cause == NET_CAUSE_AUTH ? "a peer with another key was there"
                                                    : "the handshake failed");
        if (event->cause != NET_CAUSE_UNKNOWN) hang_up(listener, outbound, now_ms);
        return;
    case NET_DOWN:
        if (!outbound->up) return;
        note_trouble(listener, outbound, "the connection was lost");
        outbound->gone = true;
        return;
    }
}

void outbound_received(struct listener *listener)
{
    for (struct outbound *at = listener->outbounds; at; at = at->next)
        if (at->gone) hang_up(listener, at, clock_steady_ms());
}

void outbound_free_all(struct listener *listener)
{
    while (listener->outbounds) {
        struct outbound *outbound = listener->outbounds;
        listener->outbounds = outbound->next;
        free(outbound);
    }
}
