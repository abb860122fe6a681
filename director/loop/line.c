#include "director/loop/line.h"

#include "common/base/alloc.h"

#include <stdlib.h>

void line_init(struct line *line, struct net_socket *socket, const struct net_peer *peer)
{
    *line = (struct line){.socket = socket, .peer = *peer};
}

static struct line_item *item_at(const struct line *line, size_t index)
{
    return &line->items[(line->first + index) % line->cap];
}

static void drop_all(struct line *line)
{
    for (size_t i = 0; i < line->count; i++)
        net_message_deinit(&item_at(line, i)->message);
    line->count = line->bytes = 0;
}

void line_deinit(struct line *line)
{
    drop_all(line);
    free(line->items);
    *line = (struct line){.lost = true};
}

static void lose(struct line *line)
{
    line->lost = true;
    drop_all(line);
}

static size_t weight(const struct line_item *item)
{
    if (item->kind != LINE_MESSAGE) return 0;
    return NET_HEADER_MAX + net_message_payload(&item->message).len;
}

static void grow(struct line *line)
{
    size_t cap = line->cap ? line->cap * 2 : 16;
    struct line_item *items = xreallocarray(NULL, cap, sizeof(*items));
    for (size_t i = 0; i < line->count; i++) {
        struct line_item *old = item_at(line, i);
        items[i] = *old;
        items[i].message = (struct net_message){0};
        if (old->message.live) net_message_move(&old->message, &items[i].message);
    }
    free(line->items);
    line->items = items;
    line->cap = cap;
    line->first = 0;
}

static struct line_item *append(struct line *line, enum line_kind kind)
{
    if (line->lost) return NULL;
    if (line->count >= LINE_ITEMS_MAX || line->bytes > LINE_BYTES_MAX) {
        net_socket_drop(line->socket, &line->peer);
        lose(line);
        return NULL;
    }
    if (line->count == line->cap) grow(line);
    struct line_item *item = item_at(line, line->count++);
    *item = (struct line_item){.kind = kind};
    return item;
}

void line_message(Sealift__Head *head, struct span payload, struct net_message *out)
{
    AUTO(buf) struct buf header = {0};
    head_encode(head, &header);
    struct err err;
    /* head_encode keeps to HEAD_MAX, which is NET_HEADER_MAX */
    if (!net_message_make(out, buf_span(&header), &err)) abort();
    net_message_copy_payload(out, payload);
}

void line_send(struct line *line, Sealift__Head *head, struct span payload)
{
    struct line_item *item = append(line, LINE_MESSAGE);
    if (!item) return;
    line_message(head, payload, &item->message);
    line->bytes += weight(item);
}

void line_send_roster(struct line *line, uint64_t version)
{
    struct line_item *item = append(line, LINE_ROSTER);
    if (item) item->version = version;
}

void line_send_statement(struct line *line, Sealift__StatementType type, const struct id *id)
{
    struct line_item *item = append(line, LINE_STATEMENT);
    if (!item) return;
    item->type = type;
    item->id = *id;
}

void line_send_unlock(struct line *line, const struct hash *hash)
{
    struct line_item *item = append(line, LINE_UNLOCK);
    if (item) item->hash = *hash;
}

/* ---- sending */

static enum net_status send_now(struct line *line, struct net_message *message)
{
    enum net_status status = net_socket_send(line->socket, &line->peer, message, 0);
    if (status == NET_UNREACHABLE || status == NET_TERMINATED) lose(line);
    return status;
}

enum net_status line_try(struct line *line, Sealift__Head *head, struct span payload)
{
    if (line->lost) return NET_UNREACHABLE;
    if (line->count > 0) return NET_AGAIN;
    AUTO(net_message) struct net_message message = {0};
    line_message(head, payload, &message);
    return send_now(line, &message);
}

static void pop(struct line *line)
{
    struct line_item *item = item_at(line, 0);
    net_message_deinit(&item->message);
    line->first = (line->first + 1) % line->cap;
    line->count--;
}

bool line_pump(struct line *line, line_fetch_fn *fetch, void *arg)
{
    while (!line->lost && line->count > 0) {
        struct line_item *item = item_at(line, 0);
        size_t size = weight(item);
        if (!item->message.live && !fetch(arg, item, &item->message)) {
            pop(line);
            continue;
        }
        enum net_status status = send_now(line, &item->message);
        if (status == NET_AGAIN) return true;
        if (status != NET_OK) return false;
        line->bytes -= size;
        pop(line);
    }
    return false;
}
