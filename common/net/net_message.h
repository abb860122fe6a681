/* A message: header bytes and a raw payload, each a ZeroMQ frame of its own, so that a payload is
 * never copied on its way between a buffer of ours and libzmq.
 *
 * A `struct net_message` owns its two frames and lives in the caller's memory. {0} is an empty
 * message. It is moved by net_message_move, never by assignment. One thread at a time; a message
 * may be moved to another thread, and messages that share a payload may be in different ones. */
#ifndef SEALIFT_NET_MESSAGE_H
#define SEALIFT_NET_MESSAGE_H

#include "common/base/auto.h"
#include "common/base/bytes.h"
#include "common/base/err.h"

/* the longest header, in bytes */
#define NET_HEADER_MAX 4096

/* Room for a zmq_msg_t. */
struct net_frame {
    _Alignas(void *) unsigned char opaque[64];
};

struct net_message {
    bool live;
    struct net_frame header;
    struct net_frame payload;
};

/* Copies the header; the payload is empty. `out` must be empty. ERR_LIMIT above NET_HEADER_MAX. */
bool net_message_make(struct net_message *out, struct span header, struct err *err) MUST_CHECK;

/* Replaces the payload of a live message by a copy of `bytes`. */
void net_message_copy_payload(struct net_message *message, struct span bytes);
/* Replaces the payload of a live message by `data`, which it now owns. When the last message that
 * shares it is done with it, `release(data, context)` is called once: after a send on one of
 * libzmq's I/O threads, else on the thread that lets go of it. It must not block, and what it
 * touches must be safe between threads. */
void net_message_take_payload(struct net_message *message, void *data, size_t len,
                              void (*release)(void *data, void *context), void *context);

/* `out`, which must be empty, becomes a second message with the same header and payload. A payload
 * over 33 bytes is shared, not copied: kept until it is acknowledged, it costs nothing to send. */
void net_message_share(const struct net_message *message, struct net_message *out);
/* The same with another header. ERR_LIMIT above NET_HEADER_MAX. */
bool net_message_share_under(const struct net_message *message, struct span header, struct net_message *out,
                             struct err *err) MUST_CHECK;
/* `out` must be empty; `from` is empty afterwards. */
void net_message_move(struct net_message *from, struct net_message *out);

/* Borrowed until the message is moved, changed or released. */
struct span net_message_header(const struct net_message *message);
struct span net_message_payload(const struct net_message *message);

/* Leaves an empty message. */
void net_message_deinit(struct net_message *message);
DEFINE_AUTO_IN_PLACE(net_message, struct net_message, net_message_deinit)

#endif
