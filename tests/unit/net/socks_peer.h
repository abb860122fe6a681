/* The other end of a conversation byte by byte: it expects some, says some, and so on; then it closes. */
#ifndef SEALIFT_TEST_NET_SOCKS_PEER_H
#define SEALIFT_TEST_NET_SOCKS_PEER_H

#include <pthread.h>
#include <stddef.h>

struct socks_peer_step {
    const char *expected;
    size_t expected_len; /* 0: no more steps */
    const char *said;
    size_t said_len;
};

struct socks_peer {
    const struct socks_peer_step *steps;
    size_t count;
    int listener;
    char address[64];
    size_t wrong; /* steps at which something else came */
    pthread_t thread;
};

/* One call is taken. `steps` is borrowed. */
void socks_peer_start(struct socks_peer *peer, const struct socks_peer_step *steps, size_t count);
/* How many steps found other bytes than they expected. */
size_t socks_peer_join(struct socks_peer *peer);

/* A listener at a free port of the loopback. */
int socks_peer_listen(char address[64]);
/* A connection to tcp://127.0.0.1:PORT. */
int socks_peer_call(const char *address);

#endif
