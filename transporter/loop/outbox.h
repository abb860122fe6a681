/* Messages to the director from any thread: encoded here, sent by the control loop. Bounded: progress
 * that finds the box full is dropped (the next one says more); everything else is small in number. */
#ifndef SEALIFT_TLOOP_OUTBOX_H
#define SEALIFT_TLOOP_OUTBOX_H

#include "common/net/net_wake.h"
#include "common/wire/head.h"

struct outbox;
struct outbox_item {
    struct buf head;
    struct buf payload;
    struct outbox_item *next;
};

/* `wake` is signalled for each message; it must outlive the box. */
struct outbox *outbox_new(const struct net_wake *wake);
void outbox_free(struct outbox *outbox);
DEFINE_AUTO(outbox, struct outbox *, outbox_free)

/* OUTBOX_FIRST: before all that wait, as the message that a conversation begins with must be. */
enum outbox_need { OUTBOX_KEEP, OUTBOX_FIRST, OUTBOX_DROP_WHEN_FULL };
/* Copies. Any thread. */
void outbox_put(struct outbox *outbox, Sealift__Head *head, struct span payload, enum outbox_need need);
/* Wakes the loop without a message. Any thread. */
void outbox_wake(const struct outbox *outbox);
/* The next message, or NULL; the caller frees it. Control loop only. */
struct outbox_item *outbox_take(struct outbox *outbox);
/* Puts an untaken message back in front: it could not be sent now. */
void outbox_return(struct outbox *outbox, struct outbox_item *item);
/* Drops everything: what a lost connection makes pointless is said anew. */
void outbox_clear(struct outbox *outbox);
void outbox_item_free(struct outbox_item *item);

#endif
