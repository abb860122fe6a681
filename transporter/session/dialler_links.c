#include "transporter/session/dialler_links.h"

#include <stdlib.h>

enum {
    SETTLED_MS = 30000, /* from its beginning on a stripe is as good as others */
    RECEIVE_QUEUE = 1024,
    LINGER_MS = 1000,
    INSIDE_MS = 20, /* from one try to the next within this host */
};

static void link_deinit(struct link *link)
{
    net_monitor_free(link->monitor);
    net_socket_free(link->socket);
    *link = (struct link){0};
}

static bool link_init(struct link *link, const struct dialler *dialler, unsigned stripe, struct err *err)
{
    struct net_options options = net_options_in(dialler->options.net, NET_CLIENT);
    options.key = dialler->key;
    options.server_key = dialler->options.peer_key;
    options.max_payload = PAYLOAD_MAX;
    options.send_queue = LINK_SEND_QUEUE;
    options.recv_queue = RECEIVE_QUEUE;
    options.linger_ms = LINGER_MS;
    data_path_endpoint(dialler->options.path, stripe, &link->endpoint);
    if (link->endpoint.inside) options.reconnect_ms = options.reconnect_max_ms = INSIDE_MS;
    link->made_ms = clock_steady_ms();
    return net_socket_new(dialler->options.net, &options, &link->socket, err) &&
           net_monitor_new(link->socket, &link->monitor, err) &&
           net_socket_attach(link->socket, &link->endpoint.net, err);
}

void links_deinit(struct links *links)
{
    for (unsigned i = 0; i < links->count; i++)
        link_deinit(&links->at[i]);
    links->count = 0;
}

bool links_init(struct links *links, const struct dialler *dialler, struct err *err)
{
    links->count = links->in_use = 1;
    return link_init(&links->at[0], dialler, 0, err);
}

unsigned links_grow(struct links *links, const struct dialler *dialler, unsigned count)
{
    struct err ignored = {0}; /* it goes on with those that there are */
    for (; links->count < count; links->count++) {
        struct link *link = &links->at[links->count];
        if (link_init(link, dialler, links->count, &ignored)) continue;
        link_deinit(link);
        break;
    }
    return links->count;
}

bool links_prune(struct links *links, uint64_t patience_ms)
{
    bool whole = true;
    uint64_t now_ms = clock_steady_ms();
    for (unsigned i = 1; i < links->count; i++) {
        struct link *link = &links->at[i];
        if (!link->socket || link->joined) continue;
        if (!link->lost && (link->up || now_ms < link->made_ms + patience_ms)) continue;
        link_deinit(link);
        whole = false;
    }
    return whole;
}

void links_drop_stripes(struct links *links)
{
    for (unsigned i = 1; i < links->count; i++)
        link_deinit(&links->at[i]);
    links->count = links->in_use = 1;
}

bool links_lost(const struct links *links)
{
    bool lost = links->at[0].lost;
    for (unsigned i = 1; i < links->count; i++)
        lost = lost || (links->at[i].joined && links->at[i].lost);
    return lost;
}

bool links_too_many(const struct links *links, uint64_t now_ms)
{
    bool young = false;
    for (unsigned i = 1; i < links->count; i++) {
        const struct link *link = &links->at[i];
        young = young || (link->joined && link->lost && now_ms < link->made_ms + SETTLED_MS);
    }
    return young && !links->at[0].lost;
}

bool links_up(const struct links *links)
{
    return links->at[0].up;
}

static bool send_by(struct link *link, const struct net_message *message)
{
    AUTO(net_message) struct net_message copy = {0};
    net_message_share(message, &copy);
    link->crowded = net_socket_send(link->socket, NULL, &copy, 0) != NET_OK;
    return !link->crowded;
}

/* What libzmq holds has not moved on: the message that it took so many before this one has. */
static void note_taken(struct links *links, struct link *link, size_t len)
{
    size_t *place = &link->held[link->taken % LINK_HELD];
    if (link->taken >= LINK_HELD) {
        links->moved += *place;
        links->moved_messages++;
    }
    *place = len;
    link->taken++;
}

static bool send_by_any(struct links *links, const struct net_message *message)
{
    const unsigned most = links->in_use < links->count ? links->in_use : links->count;
    for (unsigned i = 0; i < most; i++) {
        unsigned turn = (links->turn + i) % most;
        struct link *link = &links->at[turn];
        if (!(turn == 0 ? link->up : link->joined) || link->lost || link->crowded || !send_by(link, message))
            continue;
        links->turn = (turn + 1) % most;
        note_taken(links, link, net_message_payload(message).len);
        return true;
    }
    return false;
}

static void number(const struct links *links, const struct net_message *message, struct net_message *out)
{
    AUTO(buf) struct buf header = {0};
    struct err err;
    head_number(net_message_header(message), links->sequence + 1, &header);
    if (!net_message_share_under(message, buf_span(&header), out, &err)) abort(); /* our own bug */
}

bool links_send(struct links *links, const struct net_message *message, enum numbering numbering)
{
    if (numbering == NOT_NUMBERED) return send_by_any(links, message);
    AUTO(net_message) struct net_message numbered = {0};
    number(links, message, &numbered);
    if (!send_by_any(links, &numbered)) return false;
    links->sequence++;
    return true;
}

bool links_send_last(struct links *links, const struct net_message *message, enum numbering numbering,
                     int timeout_ms)
{
    AUTO(net_message) struct net_message last = {0};
    if (numbering == NUMBERED)
        number(links, message, &last);
    else
        net_message_share(message, &last);
    return net_socket_send(links->at[0].socket, NULL, &last, timeout_ms) == NET_OK;
}

void links_forget_crowds(struct links *links)
{
    for (unsigned i = 0; i < links->count; i++)
        links->at[i].crowded = false;
}

size_t links_poll(const struct links *links, struct net_poll_item *items)
{
    size_t count = 0;
    for (unsigned i = 0; i < links->count; i++) {
        const struct link *link = &links->at[i];
        if (!link->socket) continue;
        items[count++] = net_poll_socket(link->socket, NET_READABLE | (link->crowded ? NET_WRITABLE : 0u));
        items[count++] = net_poll_monitor(link->monitor);
    }
    return count;
}
