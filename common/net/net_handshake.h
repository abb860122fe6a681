/* Private to common/net: when a peer has said its part of a CURVE handshake (ZMTP 3.1, RFC 23 and 26), for
 * somebody who only passes the bytes on: a greeting of 64 bytes, then two commands, whichever end it is. */
#ifndef SEALIFT_NET_HANDSHAKE_H
#define SEALIFT_NET_HANDSHAKE_H

#include "common/base/bytes.h"

#include <stdbool.h>

struct net_handshake {
    unsigned greeting_left; /* bytes */
    unsigned commands_left;
    uint8_t head[9]; /* of the command at hand */
    unsigned head_len;
    uint64_t body_left;
};

void net_handshake_init(struct net_handshake *handshake);
/* The next bytes that the peer said; true once the last of the handshake was among them. Foreign bytes: what
 * is no handshake may end it early or never. */
bool net_handshake_read(struct net_handshake *handshake, struct span bytes);

#endif
