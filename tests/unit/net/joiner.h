/* A SOCKS5 proxy (RFC 1928) for tests: joins the first two callers, whatever the name they ask for,
 * or one caller and the port it asks for; can stop passing bytes on without closing anything. With
 * JOINER_MEETS it answers the first only when the second is there. */
#ifndef SEALIFT_TEST_NET_JOINER_H
#define SEALIFT_TEST_NET_JOINER_H

#include "common/base/auto.h"

#include <pthread.h>
#include <stdatomic.h>

enum joiner_mode { JOINER_FORWARDS, JOINER_JOINS, JOINER_MEETS };

struct joiner {
    enum joiner_mode mode;
    int listener;
    char proxy[64]; /* HOST:PORT */
    pthread_t thread;
    const char *login; /* "\1\2me\6secret": what it wants to hear by RFC 1929; NULL: nothing */
    atomic_bool frozen;
    atomic_uint callers; /* that have asked for a name */
    int stop[2];
    char asked_for[2][256]; /* the host name of each caller; read them after joiner_deinit */
};

void joiner_init(struct joiner *joiner, enum joiner_mode mode);
void joiner_init_with_login(struct joiner *joiner, enum joiner_mode mode, const char *login);
void joiner_deinit(struct joiner *joiner);
DEFINE_AUTO_IN_PLACE(joiner, struct joiner, joiner_deinit)

#endif
