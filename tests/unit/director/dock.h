/* A real director in a thread of its own, on loopback sockets and an empty state directory, and callers who
 * play operators and transporters. Every wait has a deadline and fails the test when it passes. */
#ifndef SEALIFT_TEST_DOCK_H
#define SEALIFT_TEST_DOCK_H

#include "common/net/net_monitor.h"
#include "common/net/net_socket.h"
#include "common/net/net_wake.h"
#include "common/wire/head.h"
#include "director/catalog/catalog.h"
#include "director/catalog/claim_code.h"
#include "director/loop/director.h"
#include "signing.h"
#include "tests/unit/base/scratch.h"

#include <pthread.h>

#define DOCK_DEADLINE_MS 10000

struct dock {
    struct signing signing;
    struct scratch dir;
    struct net_key *key;
    struct net_context *net; /* the callers' */
    char code[CLAIM_CODE_TEXT_LEN];
    uint64_t lease_ms;
    const char *reverse; /* what transporters say of their reverse port; NULL: they have none */
    struct director *director;
    struct net_wake stop;
    pthread_t thread;
    bool running;
    struct err err;
    struct buf chain; /* the newest roster */
};

/* State with a claim code, and no director yet. */
void dock_init(struct dock *dock);
void dock_deinit(struct dock *dock);
void dock_start(struct dock *dock);
/* As by a signal; whatever was sent and not received is lost. */
void dock_stop(struct dock *dock);

enum port { OPERATOR_PORT, CONTROL_PORT };

struct caller {
    struct dock *dock;
    enum port port;
    enum signing_member member;
    struct net_key *key;
    struct net_socket *socket;
    struct net_monitor *monitor;
    uint64_t serial;
};

void caller_dial(struct caller *caller, struct dock *dock, enum port port, enum signing_member member);
/* of any identity */
void caller_dial_as(struct caller *caller, struct dock *dock, enum port port,
                    const struct identity *identity);
void caller_hang_up(struct caller *caller);
DEFINE_AUTO_IN_PLACE(caller, struct caller, caller_hang_up)

/* What came in. */
struct heard {
    Sealift__Head *head;
    struct buf payload;
};
void heard_deinit(struct heard *heard);
DEFINE_AUTO_IN_PLACE(heard, struct heard, heard_deinit)

Sealift__Head caller_head(struct caller *caller, Sealift__Head__KindCase kind);
void caller_send(struct caller *caller, Sealift__Head *head, struct span payload);
void caller_send_raw(struct caller *caller, struct span header, struct span payload);
/* The next message, Welcomes apart, must be of this kind. */
void caller_expect(struct caller *caller, Sealift__Head__KindCase kind, struct heard *out);
/* Skips all others. */
void caller_await(struct caller *caller, Sealift__Head__KindCase kind, struct heard *out);
/* The director has nothing (more) to say: asked for something small, it answers only that. */
void caller_expect_silence(struct caller *caller);
/* The connection is cut or refused by the director. */
void caller_expect_cut(struct caller *caller);
/* It stands (again). */
void caller_expect_up(struct caller *caller);

/* ---- operators */
/* Sends and awaits Done. */
void caller_ask(struct caller *caller, Sealift__Head *head, struct span payload, struct heard *out);
/* Sends and awaits Fail. */
void caller_ask_fail(struct caller *caller, Sealift__Head *head, struct span payload, enum err_code code,
                     const char *text);
void caller_claim(struct caller *caller);
void caller_put(struct caller *caller, const struct buf *statement);
void caller_put_roster(struct caller *caller);

/* ---- transporters */
void caller_hello(struct caller *caller, uint8_t incarnation, uint64_t roster_version, const struct id *live);
/* Awaits an Assign and gives its run. */
struct id caller_assigned(struct caller *caller, uint32_t attempt, Sealift__RunSide side);
void caller_ready(struct caller *caller, const struct id *run, uint32_t attempt);
void caller_progress(struct caller *caller, const struct id *run, uint32_t attempt, Sealift__RunSide side,
                     Sealift__RunState state);
/* and awaits the director's Done */
void caller_end(struct caller *caller, const struct id *run, uint32_t attempt, Sealift__RunSide side,
                uint32_t code, const char *text, struct span warnings);

#endif
