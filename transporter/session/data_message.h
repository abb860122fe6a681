/* One message of a data connection: its decoded head and its payload, which is never copied. */
#ifndef SEALIFT_SESSION_DATA_MESSAGE_H
#define SEALIFT_SESSION_DATA_MESSAGE_H

#include "common/net/net_message.h"
#include "common/wire/head.h"

/* {0} is empty. */
struct data_message {
    Sealift__Head *head;
    struct net_message net;
    uint64_t connection; /* of which connection of the conversation, counted from 1 */
};

void data_message_deinit(struct data_message *message);
DEFINE_AUTO_IN_PLACE(data_message, struct data_message, data_message_deinit)
/* `to`, which must be empty, takes what `from` holds. */
void data_message_move(struct data_message *from, struct data_message *to);

/* Takes a received message and decodes its head; on failure `net` is as it was. */
bool data_message_decode(enum channel channel, struct net_message *net, struct data_message *out,
                         struct err *err) MUST_CHECK;
struct span data_message_payload(const struct data_message *message);

/* Encodes a head; the payload is copied. `out` must be empty. */
void data_message_make(Sealift__Head *head, struct span payload, struct net_message *out);
/* A Fail with what a peer may know of the error. */
void data_message_make_fail(const struct err *why, struct net_message *out);
/* What a peer's Fail says, as our error: "the other side: …". */
void data_message_failure(const struct data_message *message, struct err *out);

#endif
