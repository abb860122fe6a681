/* CURVE transport keys (X25519, https://rfc.zeromq.org/spec/26/). A transport key says who is at
 * the other end of a connection, and is used for nothing else: libzmq keeps copies of the secret
 * in ordinary memory for as long as a socket lives, so it must never protect stored data. */
#ifndef SEALIFT_NET_KEY_H
#define SEALIFT_NET_KEY_H

#include "common/base/auto.h"
#include "common/base/bytes.h"
#include "common/base/err.h"
#include "common/base/secret.h"

#define NET_KEY_LEN 32

/* A key pair. Our copy of the secret half is in guarded memory. Immutable: any thread. */
struct net_key;

bool net_key_make(struct net_key **out, struct err *err) MUST_CHECK;
/* The pair of a stored secret. */
bool net_key_from_secret(const uint8_t secret[static NET_KEY_LEN], struct net_key **out,
                         struct err *err) MUST_CHECK;
/* NULL is allowed. */
void net_key_free(struct net_key *key);
DEFINE_AUTO(net_key, struct net_key *, net_key_free)

/* NET_KEY_LEN bytes, borrowed from the pair. */
const uint8_t *net_key_public(const struct net_key *key);
/* Borrowed: to be sealed into the identity file, never to be shown. */
const struct secret *net_key_secret(const struct net_key *key);

#endif
