/* Which message is legal when, on a data connection (docs/protocol.md, "Data conversations"): one table
 * of kind x state for each side. What no row allows ends the connection. Pure. */
#ifndef SEALIFT_SESSION_CONVERSATION_H
#define SEALIFT_SESSION_CONVERSATION_H

#include "common/base/err.h"
#include "common/wire/head.h"

enum conversation_kind {
    CONVERSATION_SEALED,   /* backup, sealed by the source: an envelope comes before the first batch */
    CONVERSATION_UNSEALED, /* backup of raw batches, or into a plaintext repository */
    CONVERSATION_COPY,
    CONVERSATION_RECOVERY,
    CONVERSATION_PROBE, /* of a way, with nothing behind it */
    CONVERSATION_KINDS
};

/* Of either side: what has been said so far. */
enum conversation_state {
    CONVERSATION_NEW,    /* nothing but Open (listener) or its answer (dialler) */
    CONVERSATION_READY,  /* opened; of CONVERSATION_SEALED: before the envelope */
    CONVERSATION_STREAM, /* data flows */
    CONVERSATION_DONE,
    CONVERSATION_ENDED, /* good-bye was said */
    CONVERSATION_STATES
};

/* The listening side receives: the state afterwards. ERR_PROTOCOL names the kind and the state. */
bool conversation_listener(enum conversation_kind conversation, enum conversation_state state,
                           Sealift__Head__KindCase kind, enum conversation_state *next,
                           struct err *err) MUST_CHECK;
/* The dialling side receives. */
bool conversation_dialler(enum conversation_kind conversation, enum conversation_state state,
                          Sealift__Head__KindCase kind, enum conversation_state *next,
                          struct err *err) MUST_CHECK;

/* Why runs end when their host does; it may be told to anybody. */
#define CONVERSATION_SHUT_DOWN "stopped by the shutdown of this transporter"
/* What a peer is told of a failure: never a path, a name or a content. Text of errors that usually hold none
 * passes where it has no path but the repository's; of others a sentence that goes with the code. */
const char *conversation_public_text(const struct err *err);
/* A code from a peer's Fail: what we do not know, and "no error", become ERR_FAILED. */
enum err_code conversation_fail_code(uint32_t code);

#endif
