#include "transporter/session/listener_queue.h"

#include "common/base/alloc.h"

#include <stdlib.h>

struct queued {
    struct queued *next;
    struct data_message message;
};

void listener_queue_init(struct listener_queue *queue)
{
    *queue = (struct listener_queue){.end = &queue->first};
}

void listener_queue_push(struct listener_queue *queue, struct data_message *message)
{
    struct queued *item = xcalloc(1, sizeof(*item));
    queue->bytes += data_message_payload(message).len;
    data_message_move(message, &item->message);
    *queue->end = item;
    queue->end = &item->next;
    queue->count++;
}

bool listener_queue_pop(struct listener_queue *queue, struct data_message *out)
{
    struct queued *item = queue->first;
    if (!item) return false;
    queue->first = item->next;
    if (!queue->first) queue->end = &queue->first;
    queue->count--;
    queue->bytes -= data_message_payload(&item->message).len;
    data_message_move(&item->message, out);
    free(item);
    return true;
}

void listener_queue_clear(struct listener_queue *queue)
{
    struct data_message message = {0};
    while (listener_queue_pop(queue, &message))
        data_message_deinit(&message);
}

void listener_box_init(struct listener_box *box)
{
    *box = (struct listener_box){.end = &box->first};
}

void listener_box_push(struct listener_box *box, struct net_message *message)
{
    struct outgoing *item = xcalloc(1, sizeof(*item));
    net_message_move(message, &item->message);
    *box->end = item;
    box->end = &item->next;
    box->count++;
}

void listener_box_drop_first(struct listener_box *box)
{
    struct outgoing *item = box->first;
    box->first = item->next;
    if (!box->first) box->end = &box->first;
    box->count--;
    net_message_deinit(&item->message);
    free(item);
}

void listener_box_clear(struct listener_box *box)
{
    while (box->first)
        listener_box_drop_first(box);
}

void listener_box_move(struct listener_box *from, struct listener_box *to)
{
    listener_box_init(to);
    if (!from->first) return;
    *to = *from; /* `end` points into the last item */
    listener_box_init(from);
}
