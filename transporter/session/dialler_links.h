/* The connections of one epoch of a dialler: that of its Open, and its stripes (docs/protocol.md, "Stripes").
 * Private to dialler*.c; the thread's alone. */
#ifndef SEALIFT_SESSION_DIALLER_LINKS_H
#define SEALIFT_SESSION_DIALLER_LINKS_H

#include "common/net/net_monitor.h"
#include "common/net/net_poll.h"
#include "common/net/net_socket.h"
#include "transporter/session/dialler_inside.h"

enum {
    /* messages of one connection in libzmq: what waits there could not go by another one */
    LINK_SEND_QUEUE = 2,
    LINK_HELD = LINK_SEND_QUEUE + 1, /* with the one that it is encrypting */
};

/* One socket, used for one connection only: what was meant for a lost connection can never reach the next one
 * before its Open. */
struct link {
    struct net_socket *socket; /* NULL: none */
    struct net_monitor *monitor;
    struct data_endpoint endpoint;
    bool up, lost;
    bool joined;  /* of those beyond the first: its Stripe was sent, it is one of the epoch */
    bool crowded; /* libzmq took no more */
    uint64_t made_ms;
    uint64_t taken;         /* messages that libzmq took */
    size_t held[LINK_HELD]; /* the payloads of the last ones, by number modulo as many */
};

struct links {
    struct link at[STRIPES_MAX]; /* [0]: that of the Open */
    unsigned count;              /* of places that were used */
    unsigned in_use;             /* of them may carry messages: the others are there for when they shall */
    unsigned turn;               /* who is offered the next message first */
    uint64_t sequence;           /* the last number that was given */
    uint64_t moved_messages;     /* that went on from libzmq, about ... */
    uint64_t moved;              /* ... and the bytes of their payloads */
    unsigned told;               /* how many connections the other side knows of */
    uint64_t guarded_ms;         /* when it was last looked whether one sends without end */
};

void links_deinit(struct links *links);
DEFINE_AUTO_IN_PLACE(links, struct links, links_deinit)
/* Begins to dial the first one. `links` is zero. */
bool links_init(struct links *links, const struct dialler *dialler, struct err *err) MUST_CHECK;
/* Begins to dial as many more as it takes to be `count`; how many there are then. */
unsigned links_grow(struct links *links, const struct dialler *dialler, unsigned count);
/* Lets go of stripes that were lost before they joined, or have not come up for so long; false: there was
 * one. */
bool links_prune(struct links *links, uint64_t patience_ms);

/* Lets go of all stripes: the other side takes none. */
void links_drop_stripes(struct links *links);

/* Whether the epoch has ended: any of those that belong to it was lost. */
bool links_lost(const struct links *links);
/* A stripe was lost soon after it had been begun, and the first one was not: something on the way does not
 * take so many. */
bool links_too_many(const struct links *links, uint64_t now_ms);
/* The first one stands. */
bool links_up(const struct links *links);

/* Sends a message by whichever has room, under the next number if it is `numbered`; false: none has, and it
 * is tried again when one is writable. */
enum numbering { NUMBERED, NOT_NUMBERED };
bool links_send(struct links *links, const struct net_message *message, enum numbering numbering);
/* The same by the first one, waiting so long for room. */
bool links_send_last(struct links *links, const struct net_message *message, enum numbering numbering,
                     int timeout_ms);
void links_forget_crowds(struct links *links);

/* At most 2 * STRIPES_MAX items. */
size_t links_poll(const struct links *links, struct net_poll_item *items);

#endif
