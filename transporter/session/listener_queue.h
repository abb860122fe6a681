/* Messages that wait at the data port: those that have come, in the order of their coming, and those on their
 * way out to one connection. Not locked. */
#ifndef SEALIFT_SESSION_LISTENER_QUEUE_H
#define SEALIFT_SESSION_LISTENER_QUEUE_H

#include "transporter/session/data_message.h"

/* That have come: first in, first out. */
struct listener_queue {
    struct queued *first, **end;
    size_t count;
    uint64_t bytes; /* of payloads */
};

void listener_queue_init(struct listener_queue *queue);
/* Takes what the message holds. */
void listener_queue_push(struct listener_queue *queue, struct data_message *message);
/* false: there is none */
bool listener_queue_pop(struct listener_queue *queue, struct data_message *out);
void listener_queue_clear(struct listener_queue *queue);

/* On its way out. */
struct outgoing {
    struct outgoing *next;
    struct net_message message;
};

struct listener_box {
    struct outgoing *first, **end;
    size_t count;
};

void listener_box_init(struct listener_box *box);
void listener_box_push(struct listener_box *box, struct net_message *message);
void listener_box_drop_first(struct listener_box *box);
void listener_box_clear(struct listener_box *box);
/* `to` gets all, and needs not be initialised. */
void listener_box_move(struct listener_box *from, struct listener_box *to);

#endif
