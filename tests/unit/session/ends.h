/* Two ends of a data connection in one process, over real sockets: identities, a listener, a repository
 * at the listening end, and keys. */
#ifndef SEALIFT_TEST_SESSION_ENDS_H
#define SEALIFT_TEST_SESSION_ENDS_H

#include "relay.h"
#include "tests/unit/pipeline/keys.h"
#include "transporter/repository/repository.h"
#include "transporter/session/dialler.h"
#include "transporter/session/listener.h"
#include "transporter/session/serve_ingest.h"

#include <pthread.h>

struct ends {
    char dir[64];
    struct net_context *net;
    struct identity *source, *target;
    struct listener *listener;
    struct relay *relay;
    struct data_path path;               /* the source's */
    const struct data_path *target_path; /* NULL: the source comes to the data port */
    struct keys keys;                    /* the writer is the source, or the target where it seals */
    struct id run;
    uint8_t ticket[32];
    uint64_t lease_ms;
    enum repository_kind kind;
    struct repository *repository;

    /* the listening side's work, in a thread */
    struct listener_session *session;
    enum conversation_kind conversation;
    bool reseal;
    pthread_t thread;
    bool serving, served;
    struct err serve_err;
    unsigned committed;
    _Atomic uint64_t received;
};

struct ends *ends_new(enum repository_kind kind);
void ends_free(struct ends *ends);
DEFINE_AUTO(ends, struct ends *, ends_free)

/* A session of the run at the listener. */
void ends_admit(struct ends *ends, enum conversation_kind conversation);
/* Admits, and serves in a thread. reseal: this side seals. */
void ends_serve(struct ends *ends, enum conversation_kind conversation, bool reseal);
/* Waits for the end of it: what serve_ingest returned. */
bool ends_join(struct ends *ends);
/* The source's end, through the relay. `seal` is the conversation's. */
struct dialler_options ends_dialler(const struct ends *ends, enum conversation_kind conversation,
                                    const struct id *seal);
struct dialler *ends_dial(const struct ends *ends, enum conversation_kind conversation,
                          const struct id *seal);

unsigned ends_points(struct ends *ends);

#endif
