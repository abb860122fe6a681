/* A TCP relay that tests put between two ends: it passes bytes on and cuts connections in their middle. */
#ifndef SEALIFT_TEST_SESSION_RELAY_H
#define SEALIFT_TEST_SESSION_RELAY_H

#include "common/base/auto.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct relay {
    int listener;
    _Atomic uint16_t target; /* port on loopback */
    char endpoint[64];
    pthread_t thread;
    int stop[2];
    _Atomic uint64_t cut_after; /* bytes in both directions of one connection; 0: never */
    _Atomic unsigned cuts_left; /* connections that are still to be cut */
    _Atomic uint64_t flip_after; /* of one connection the byte behind so many is changed; 0: none is */
    _Atomic unsigned flips_left; /* connections of which one still is */
    _Atomic unsigned accepted;
    _Atomic bool stay_down; /* refuse after the last cut */
    _Atomic bool refuse; /* cut whatever stands, take nothing new */
    _Atomic bool frozen; /* pass nothing on, close nothing */
};

/* `endpoint` is tcp://HOST:PORT of the listening end. */
struct relay *relay_new(const char *endpoint);
void relay_free(struct relay *relay);
DEFINE_AUTO(relay, struct relay *, relay_free)

#endif
