/* A director that says whatever a test wants, over a real socket, to a real control loop of the site's
 * source. */
#ifndef SEALIFT_TESTS_FAKE_DIRECTOR_H
#define SEALIFT_TESTS_FAKE_DIRECTOR_H

#include "common/net/net_poll.h"
#include "common/wire/head.h"
#include "tests/unit/wire/fixture.h"
#include "transporter/loop/control.h"
#include "transporter/session/listener.h"

#include <pthread.h>

struct fake_director {
    struct site site;
    struct site_line line;
    char state[64];
    struct net_context *net;
    struct net_key *key;
    struct net_zap *zap;
    struct net_socket *socket;
    struct net_peer peer; /* the transporter, once it has spoken */

    struct authority *authority;
    struct stores *stores;
    struct policy policy;
    struct listener *listener;
    struct net_context *host_net;
    struct control *control;
    int stop_fd;
    pthread_t thread;
};

/* The loop runs, has joined, and was told that it is pending. */
void fake_director_start(struct fake_director *director);
void fake_director_stop(struct fake_director *director);

void fake_director_send(struct fake_director *director, Sealift__Head *head, struct span payload);
/* A head as encoded, or not. */
void fake_director_send_bytes(struct fake_director *director, struct span head, struct span payload);
/* Says Welcome once more: NET_UNREACHABLE when the transporter has hung up. */
enum net_status fake_director_poke(struct fake_director *director);
/* What lies here is dropped unread. */
void fake_director_drop(struct fake_director *director);
/* How many messages of this kind lie here; they are dropped, with all others. */
unsigned fake_director_heard(struct fake_director *director, Sealift__Head__KindCase kind);
void fake_director_deliver(struct fake_director *director, struct span statement);
/* Reads until a message of this kind comes (others are dropped); free it. Fails the test after 10 s. */
Sealift__Head *fake_director_expect(struct fake_director *director, Sealift__Head__KindCase kind);
/* The same; how many of the other kind came before it is added to *before. */
Sealift__Head *fake_director_count(struct fake_director *director, Sealift__Head__KindCase kind,
                                   Sealift__Head__KindCase other, unsigned *before);

#endif
