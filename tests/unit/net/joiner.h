/* A SOCKS5 proxy (RFC 1928) for tests: joins the first two callers, whatever the name they ask for,
 * or one caller and the port it asks for; can stop passing bytes on without closing anything. */
#ifndef SEALIFT_TEST_NET_JOINER_H
#define SEALIFT_TEST_NET_JOINER_H

#include "common/base/auto.h"

#include <pthread.h>
#include <stdatomic.h>

enum joiner_mode { JOINER_FORWARDS, JOINER_JOINS };

struct joiner {
    enum joiner_mode mode;
    int listener;
    char proxy[64]; /* HOST:PORT */
    pthread_t thread;
    atomic_bool frozen;
    int stop[2];
    char asked_for[2][256]; /* the host name of each caller; read them after joiner_deinit */
};

void joiner_init(struct joiner *joiner, enum joiner_mode mode);
void joiner_deinit(struct joiner *joiner);
DEFINE_AUTO_IN_PLACE(joiner, struct joiner, joiner_deinit)

#endif
