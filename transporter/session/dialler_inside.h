/* A dialler's state. Private to dialler*.c: dialler.c is what callers see, dialler_loop.c the thread. */
#ifndef SEALIFT_SESSION_DIALLER_INSIDE_H
#define SEALIFT_SESSION_DIALLER_INSIDE_H

#include "common/base/clock.h"
#include "common/net/net_key.h"
#include "common/net/net_wake.h"
#include "transporter/session/credit_pool.h"
#include "transporter/session/dialler.h"
#include "transporter/session/payload_spares.h"
#include "transporter/session/stripe_growth.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    DIALLER_BATCHES_MAX = 256,      /* unacknowledged at a time */
    DIALLER_CREDIT_MAX = 128 << 20, /* whatever the target offers */
    /* all that is used of it where the way is short. Few answers that wait to be opened stay in the
     * processor's cache, and lie in the same memory again and again */
    DIALLER_SHORT_BATCHES = 20 << 20,
    DIALLER_SHORT_ANSWERS = 3 << 20,
    /* ... and where it is long: this, and for each millisecond of a round trip 1
     * Gbit/s of it, and as much again three times while something that was lost is sent again and holds up
     * what came by other connections */
    DIALLER_LONG_BATCHES = 24 << 20,
    DIALLER_LONG_ANSWERS = 16 << 20,
    DIALLER_LONG_EACH_MS = 500000,
    DIALLER_SPARES = 4 << 20
};

enum parcel_kind { PARCEL_ENVELOPE, PARCEL_BATCH, PARCEL_REQUEST, PARCEL_ANSWER };

/* What is to be sent. It stays in the list until there is no need to send it again. */
struct parcel {
    struct parcel *next;
    enum parcel_kind kind;
    uint64_t number;               /* of a batch; serial of a request */
    Sealift__Head__KindCase asked; /* of a request */
    size_t bytes;
    size_t count; /* of an Ask */
    struct net_message message;
    struct data_message *answer; /* the caller's, who waits */
    bool answered;
};

struct want {
    struct want *next;
    struct data_message message;
};

struct dialler {
    struct dialler_options options;
    struct net_key *key;
    struct buf point_file;
    struct payload_spares *spares; /* of batches and answers */
    struct net_wake wake;
    pthread_t thread;
    bool running;

    pthread_mutex_t lock;
    pthread_cond_t changed; /* anything below */
    enum conversation_state state;
    uint64_t connection; /* counted from 1, at each Opened */
    bool opened_once;
    struct dialler_opened opened;
    /* of the other side that ends a connection; 0: it has not said how often it is heard */
    uint64_t silence_ms;
    uint64_t epoch; /* as the other side named the connection; 0: it takes no stripes */
    struct stripe_growth growth;
    uint64_t opening_ms;    /* when Open was sent */
    uint64_t asked_echo_ms; /* when; 0: none is waited for */
    uint64_t open_sent_us;
    uint64_t down_since_ms;
    char trouble[DATA_PATH_TROUBLE_MAX]; /* why the last try did not come up */
    bool trouble_asked;                  /* the address itself was asked for it */
    uint64_t asked_why_ms;               /* when; 0: not since it went down */
    bool answers;                        /* TCP reached it in the last try: there is nothing to ask */
    bool absent;                         /* so it was told */
    bool missed;                         /* its loss was told, and not yet that it is back */

    struct parcel *first, **end;
    struct parcel **unsent; /* the place of the first that was not sent on this connection */
    uint64_t serial;
    uint64_t highest_batch; /* handed in */
    uint64_t acknowledged;
    uint64_t batch_bytes; /* unacknowledged */
    size_t batch_count;
    uint64_t credit;   /* batches: in all. Recovery: what is left */
    uint64_t offered;  /* at first */
    uint64_t reserved; /* of the pool, as the way is long; 0: not yet */
    uint64_t withheld; /* of the offer: more than is needed, or than there is memory for */

    struct want *wants, **wants_end;
    size_t want_count;

    _Atomic bool failed;
    struct err failure; /* of the first */
    bool by_peer;       /* the failure is the peer's word */
    bool stop;
    struct net_message goodbye;
    bool has_goodbye;
    bool done_well; /* it is Done */
};

/* A question carries no sequence number: it is answered when it comes. */
static inline bool dialler_is_question(const struct parcel *parcel)
{
    return parcel->kind == PARCEL_REQUEST && parcel->asked == SEALIFT__HEAD__KIND_ASK;
}

/* Under the lock. */
void dialler_fail(struct dialler *dialler, const struct err *why);
/* How many bytes may be sent. */
static inline uint64_t dialler_credit(const struct dialler *dialler)
{
    return dialler->credit > dialler->withheld ? dialler->credit - dialler->withheld : 0;
}
/* Of a recovery: whether an answer of so many bytes may go. One that is larger than what is used of the
 * credit goes alone. */
static inline bool dialler_may_answer(const struct dialler *dialler, size_t len)
{
    return len <= dialler_credit(dialler) || (len <= dialler->credit && dialler->credit >= dialler->offered);
}
/* Takes the parcel at that place out of the list and frees it. */
void dialler_drop_parcel(struct dialler *dialler, struct parcel **place);

/* dialler_receive.c: a message of the peer, under the lock. */
void dialler_take_message(struct dialler *dialler, struct data_message *message);
/* The connection that carried the conversation has ended; under the lock. */
void dialler_down(struct dialler *dialler);
/* There is no connection: that is told, once, if there never was one for some seconds. */
void dialler_not_reached(struct dialler *dialler);
/* Keeps options.absence. */
enum presence { PEER_THERE, PEER_ABSENT };
void dialler_presence(struct dialler *dialler, enum presence presence);
/* dialler_loop.c */
void *dialler_main(void *arg); /* a struct dialler */

#endif
