/* The dialling side of a data connection (docs/protocol.md, "Data conversations"): one thread owns the
 * socket. It dials again whenever the connection is lost, opens it anew with the same ticket, and sends
 * again what was not acknowledged or answered: callers notice a lost connection only by the time it takes.
 * ZeroMQ loses what is in flight when a connection ends, so nothing is taken for done that the other side
 * has not confirmed. A side that is gone for longer than the lease ends it all: ERR_UNREACHABLE.
 *
 * Functions may be called from any thread unless said. They fail with the error that ended the
 * conversation: of the peer's Fail, of its breach of the protocol, of dialler_cancel. */
#ifndef SEALIFT_SESSION_DIALLER_H
#define SEALIFT_SESSION_DIALLER_H

#include "common/crypto/hash.h"
#include "common/crypto/identity.h"
#include "common/net/net_context.h"
#include "transporter/session/absence.h"
#include "transporter/session/bandwidth.h"
#include "transporter/session/conversation.h"
#include "transporter/session/data_message.h"
#include "transporter/session/data_path.h"

#include <stdatomic.h>

#define DIALLER_TICKET_LEN 32
#define DIALLER_WANTS_MAX 16 /* questions of a recovery that may wait */

struct dialler;

/* Of backups, when the target is asked: whether the repository has points of the job. */
enum job_question { JOB_NOT_ASKED, JOB_HAS_POINTS };

struct dialler_options {
    struct net_context *net;
    const struct identity *self;  /* borrowed until dialler_new returns */
    uint8_t peer_key[32];         /* the other side's CURVE key, from the roster */
    const struct data_path *path; /* to the other side; must stay */
    enum conversation_kind conversation;
    struct id run;
    uint32_t attempt;
    uint8_t ticket[DIALLER_TICKET_LEN];
    struct id seal;         /* names the conversation: the source's seal where the source seals */
    struct span point_file; /* recovery */
    enum job_question question;
    uint64_t lease_ms;
    unsigned stripes;                  /* connections to begin with; 0: one, and more where the way is long */
    struct bandwidth_share *bandwidth; /* what is sent waits for it; NULL: it does not */
    struct credit_pool *credits;     /* what it needs on a long way is taken from; NULL: without. Must stay */
    _Atomic uint64_t *waiting_bytes; /* of batches that are not acknowledged, kept up to date; may be NULL */
    struct absence *absence;         /* kept up to date; may be NULL */
};

/* Begins to dial. */
bool dialler_new(const struct dialler_options *options, struct dialler **out, struct err *err) MUST_CHECK;
/* Says good-bye: with an error Fail, else Done. Then the connection is closed. */
void dialler_free(struct dialler *dialler, const struct err *why);
/* Without a word: another conversation of the same attempt follows. */
void dialler_leave(struct dialler *dialler);

/* What the target said when it first answered. */
struct dialler_opened {
    struct id repository;
    uint64_t head_number;
    struct hash head_hash;
    uint64_t rtt_us;    /* from its Open to this answer */
    uint64_t job_point; /* JOB_HAS_POINTS: the number of one; 0: there is none, or the target cannot tell */
};
/* Waits for the first answer. */
bool dialler_await(struct dialler *dialler, struct dialler_opened *out, struct err *err) MUST_CHECK;
/* Ends waiting calls with this error, and later ones; the first error stands. */
void dialler_cancel(struct dialler *dialler, const struct err *why);
/* Becomes true when the conversation has failed, by whichever side: for who waits for something else. */
const _Atomic bool *dialler_failed(const struct dialler *dialler);
/* Why it has; else *err stays. */
void dialler_failure(struct dialler *dialler, struct err *err);

/* --- backup and copy --- */

/* Before the first batch. The bytes are copied, and sent again on each connection. */
bool dialler_envelope(struct dialler *dialler, struct span envelope, struct err *err) MUST_CHECK;
/* Takes the bytes and keeps them until they are acknowledged; blocks while the credit is used up. In the
 * order of the numbers, from 1. */
bool dialler_batch(struct dialler *dialler, uint64_t number, struct buf *batch, struct err *err) MUST_CHECK;
/* Sends Ask or Commit, behind all batches so far, and waits for the answer to it; `answer` must be empty. */
bool dialler_request(struct dialler *dialler, Sealift__Head *head, struct span payload,
                     struct data_message *answer, struct err *err) MUST_CHECK;

/* --- recovery --- */

/* The next Want, or Done when the target has all. One thread. */
bool dialler_receive(struct dialler *dialler, struct data_message *out, struct err *err) MUST_CHECK;
/* Sends Frames or FetchEnd in answer to a Want of this connection; takes the payload; blocks while the
 * credit is used up. *stale: the connection is another by now, the answer is worth nothing, and the Want
 * will come again. */
bool dialler_answer(struct dialler *dialler, uint64_t connection, Sealift__Head *head, struct buf *payload,
                    bool *stale, struct err *err) MUST_CHECK;

#endif
