/* Messages to the director from any thread: encoded here, sent by the control loop. Bounded: progress
 * that finds the box full is dropped (the next one says more). What else finds so much in it that nobody can
 * be reading is dropped, too, and the box is overfull from then on: the connection is to be given up. */
#ifndef SEALIFT_TLOOP_OUTBOX_H
#define SEALIFT_TLOOP_OUTBOX_H

#include "common/net/net_wake.h"
#include "common/wire/head.h"

#define OUTBOX_MOST_BYTES (32 << 20)

struct outbox;
struct outbox_item {
    struct buf head;
    struct buf payload;
    bool counts; /* towards what may wait */
    struct outbox_item *next;
};

/* `wake` is signalled for each message; it must outlive the box. */
struct outbox *outbox_new(const struct net_wake *wake);
void outbox_free(struct outbox *outbox);
DEFINE_AUTO(outbox, struct outbox *, outbox_free)

/* OUTBOX_FIRST: before all that wait, as the message that a conversation begins with must be. OUTBOX_WHOLE:
 * part of something that goes as a whole, however long it is; the caller sees to it that it is there once. */
enum outbox_need { OUTBOX_KEEP, OUTBOX_FIRST, OUTBOX_DROP_WHEN_FULL, OUTBOX_WHOLE };
/* Copies. Any thread. */
void outbox_put(struct outbox *outbox, Sealift__Head *head, struct span payload, enum outbox_need need);
/* What waits, OUTBOX_WHOLE apart. Any thread. */
size_t outbox_bytes(struct outbox *outbox);
/* Something that should have been kept was dropped since the box was last cleared. */
bool outbox_is_overfull(struct outbox *outbox);
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
