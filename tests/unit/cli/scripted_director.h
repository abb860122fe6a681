/* A director's operator port for tests of the client: a thread that answers as it is told. */
#ifndef SEALIFT_TEST_SCRIPTED_DIRECTOR_H
#define SEALIFT_TEST_SCRIPTED_DIRECTOR_H

#include "common/net/net_key.h"
#include "common/wire/head.h"
#include "common/wire/site_line.h"

#include <pthread.h>
#include <stdatomic.h>

struct script;

/* What it is given for each request, and what it may do with it. */
struct request {
    struct script *script;
    const Sealift__Head *head;
    struct span payload;
    unsigned number; /* of the request, from 1, since the script began */
    void *peer;
};
typedef void script_fn(const struct request *request);

struct script {
    script_fn *answer;
    /* read by tests after script_stop, or atomically */
    _Atomic unsigned requests;
    struct net_key *key;
    struct director_address address; /* how to reach it */
    enum { SCRIPT_ADMIT, SCRIPT_REFUSE } admission;

    pthread_t thread;
    int wake;
    _Atomic bool ready;
    struct net_socket *socket;
};

/* Listens at a free port, or at `port` again. Everybody is admitted unless admission says no. */
void script_start(struct script *script, script_fn *answer, uint16_t port);
/* As a director that is killed: connections end. */
void script_stop(struct script *script);
void script_deinit(struct script *script);

/* --- for answers --- */

void answer_done(const struct request *request, uint64_t count, struct span payload);
/* Done that names a run, or what else was begun. */
void answer_begun(const struct request *request, const struct id *id);
void answer_fail(const struct request *request, uint32_t code, const char *text);
void answer_event(const struct request *request, Sealift__RunEvent *event, struct span payload);
/* header bytes as they are */
void answer_raw(const struct request *request, struct span header);
/* ends the connection that the request came through */
void answer_drop(const struct request *request);

#endif
