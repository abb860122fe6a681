/* How many of its connections a session uses (docs/protocol.md, "Stripes"): more than one only on a long way,
 * while they are what holds it up, and while more of them bring more. Pure: the time is an argument.
 *
 * Windows of one or two round trips are looked at, in which the sockets took no more for most of the time.
 * The first connection, once it has much under way, is joined by as many as the way may need; it and they
 * then find their speed. When that no longer rises, twice as many are tried, and left again if they bring no
 * more. A trial holds everything up for some round trips, while the new ones find their speed: one that could
 * bring less than half as much again is made late. Of each at least STRIPE_GROWTH_FLIGHT bytes must be under
 * way: a thin link is full with less, and more connections would only share it. What is short, as a LAN is,
 * stays with one and is not measured further. */
#ifndef SEALIFT_SESSION_STRIPE_GROWTH_H
#define SEALIFT_SESSION_STRIPE_GROWTH_H

#include <stdbool.h>
#include <stdint.h>

enum {
    STRIPES_MAX = 8,                  /* connections of a run, numbered from 0 */
    STRIPE_GROWTH_LONG_MS = 5,        /* a round trip from which on a way is long */
    STRIPE_GROWTH_ECHOES = 2,         /* measured, before it counts as long */
    STRIPE_GROWTH_FLIGHT = 256 << 10, /* bytes of one connection, before others are tried */
    /* the first one, with so much, is joined at once by as many as the way may need: one for each span of its
       round trip, which is what a window of 2 MiB takes at 1 Gbit/s. Less is enough where TCP tells of it */
    STRIPE_GROWTH_FAT = 512 << 10,
    STRIPE_GROWTH_ARRIVED = 256 << 10,
    STRIPE_GROWTH_ARRIVED_EACH_MS = 1250, /* and 10 Mbit/s: each is given messages of half a mebibyte */
    STRIPE_GROWTH_SPAN_MS = 18,
    STRIPE_GROWTH_WINDOW_TRIPS = 2, /* of one connection alone: 1 */
    STRIPE_GROWTH_WINDOW_LEAST_MS = 50,
    STRIPE_GROWTH_LATE_TRIPS = 600, /* from the first message of an epoch to a trial of a few more */
    STRIPE_GROWTH_MESSAGES = 2,     /* in a window at least: it is longer where one takes long */
};

struct stripe_growth {
    unsigned count; /* connections in use */
    unsigned most;  /* that may be; a loss lowers it */
    unsigned echoes;
    uint64_t trip_ms;  /* the least that was measured */
    uint64_t epoch_ms; /* when it began to send */
    uint64_t began_ms;
    uint64_t messages, messages_before;
    uint64_t sent, sent_before;            /* in this epoch; until this window */
    uint64_t crowded_ms, crowded_since_ms; /* in all, of this window; 0: they take more */
    uint64_t acked, acked_at_ms;           /* of the first connection, and when it was told */
    uint64_t arrived;                      /* of it in the last round trip that was looked at */
    uint64_t rate;                         /* bytes a second, of the last window */
    uint64_t best;                         /* ... of any before the number was raised for a trial ... */
    unsigned count_before;                 /* ... from this; 0: it was not, or is judged */
    bool settled;                          /* more bring no more */
};

void stripe_growth_init(struct stripe_growth *growth, unsigned most);
/* A new epoch: one connection, nothing sent yet. What is known of the way stays. */
void stripe_growth_begin(struct stripe_growth *growth, uint64_t now_ms);
void stripe_growth_echo(struct stripe_growth *growth, uint64_t trip_ms);
/* The same by TCP itself, which waits for no process: it counts as often as it takes. */
void stripe_growth_measured(struct stripe_growth *growth, uint64_t trip_ms);
/* Measured often enough, and long. */
bool stripe_growth_is_long(const struct stripe_growth *growth);
/* Whether another echo is worth its message. */
bool stripe_growth_wants_echo(const struct stripe_growth *growth);
/* How many connections to have at hand. */
unsigned stripe_growth_opens(const struct stripe_growth *growth);
/* How many messages and bytes of them have gone out in this epoch. */
void stripe_growth_sent(struct stripe_growth *growth, uint64_t messages, uint64_t bytes);
/* Of the first connection, by TCP's word; once a round trip is enough. */
void stripe_growth_acked(struct stripe_growth *growth, uint64_t acked, uint64_t now_ms);
enum stripe_room { STRIPE_ROOM, STRIPE_NO_ROOM };
/* Whether the connections take more; said as often as it may have changed. */
void stripe_growth_room(struct stripe_growth *growth, enum stripe_room room, uint64_t now_ms);
/* How many connections there should be in use: more than now at the end of a window that calls for it. The
 * caller says by stripe_growth_grown what came of it. */
unsigned stripe_growth_look(struct stripe_growth *growth, uint64_t now_ms);
/* In how many milliseconds the next look is worth it; 0: when the next message has gone out; UINT64_MAX:
 * there is no need. */
uint64_t stripe_growth_left(const struct stripe_growth *growth, uint64_t now_ms);
void stripe_growth_grown(struct stripe_growth *growth, unsigned count);
/* One of `opened` was lost, or did not come up: no more than half as many from now on. */
void stripe_growth_lost(struct stripe_growth *growth, unsigned opened);

#endif
