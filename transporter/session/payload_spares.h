/* Memory of payloads that were sent, for the next ones: what is sent at some hundred megabytes a second would
 * else be new memory, page by page. libzmq lets go of a payload when it likes and on a thread of its own, so
 * what is lent keeps the spares alive. Any thread. */
#ifndef SEALIFT_SESSION_PAYLOAD_SPARES_H
#define SEALIFT_SESSION_PAYLOAD_SPARES_H

#include "common/base/bytes.h"
#include "common/net/net_message.h"

struct payload_spares;

/* Keeps up to `limit` bytes that nobody uses. */
struct payload_spares *payload_spares_new(size_t limit);
/* What is still lent is freed when it comes back. */
void payload_spares_free(struct payload_spares *spares);
DEFINE_AUTO(payload_spares, struct payload_spares *, payload_spares_free)

/* The message's payload becomes what `payload` holds, which is left empty with a spare's memory, if there is
 * one; its own comes back when the last message that shares it is done with it. */
void payload_spares_lend(struct payload_spares *spares, struct buf *payload, struct net_message *message);

#endif
