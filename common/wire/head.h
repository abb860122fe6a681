/* Messages between programs (proto/message.proto): a Head of at most 4 KiB and a raw payload. This is
 * the edge: whoever holds a decoded Head may rely on every length, enum and limit in it. */
#ifndef SEALIFT_WIRE_HEAD_H
#define SEALIFT_WIRE_HEAD_H

#include "common/base/bytes.h"
#include "common/base/err.h"

#include "proto/message.pb-c.h"

#define PROTOCOL_VERSION 1
#define HEAD_MAX 4096u
#define PAYLOAD_MAX (9u * 1024 * 1024)

/* PointNews.removed: a point is no longer there; a sweep has taken what was removed before. 0: it is there.
 */
enum { NEWS_REMOVED = 1, NEWS_SWEPT = 2 };

/* Where a message travels; each kind is legal on one channel in one direction. */
enum channel {
    CHANNEL_OPERATOR_TO_DIRECTOR,
    CHANNEL_DIRECTOR_TO_OPERATOR,
    CHANNEL_TRANSPORTER_TO_DIRECTOR,
    CHANNEL_DIRECTOR_TO_TRANSPORTER,
    CHANNEL_DIALLER_TO_LISTENER, /* data port */
    CHANNEL_LISTENER_TO_DIALLER,
};

/* Decodes and validates: protocol version (ERR_VERSION names both), a known kind that is legal on this
 * channel, field lengths, payload length of the kind (ERR_PROTOCOL, ERR_LIMIT). Unknown fields are
 * refused. Free with head_free. */
bool head_decode(enum channel channel, struct span head, size_t payload_len, Sealift__Head **out,
                 struct err *err) MUST_CHECK;
void head_free(Sealift__Head *head);
DEFINE_AUTO(head, Sealift__Head *, head_free)

/* Sets protocol = PROTOCOL_VERSION and appends the encoded head. The same limits are asserted: a head
 * that is too long is our own bug. */
void head_encode(Sealift__Head *head, struct buf *out);
/* Appends what head_encode has made, without a sequence number, with this one, which is not 0: a message that
 * is sent again on another connection is encoded once. */
void head_number(struct span head, uint64_t sequence, struct buf *out);

/* How a reason begins that was the peer's, in errors and in the text of a RunEnd: the peer's own report of
 * the same run says more, and names whose it is. */
#define HEAD_BY_PEER "the other side: "

const char *head_name(Sealift__Head__KindCase kind);
size_t head_payload_limit(Sealift__Head__KindCase kind);

/* Blobs, StatusAnswer, RunListAnswer, PointListAnswer, Warnings, UnlockReport, LinkListAnswer, LinkTestAnswer
 * and Witness in payloads: decode with the same care, at most PAYLOAD_MAX. */
/* `type **out` cannot stand in parentheses. NOLINTBEGIN(bugprone-macro-parentheses) */
#define HEAD_PAYLOAD(name, type)                                                                             \
    bool payload_##name##_decode(struct span bytes, type **out, struct err *err) MUST_CHECK;                 \
    void payload_##name##_encode(const type *value, struct buf *out);                                        \
    void payload_##name##_free(type *value);                                                                 \
    DEFINE_AUTO(payload_##name, type *, payload_##name##_free)
/* NOLINTEND(bugprone-macro-parentheses) */

HEAD_PAYLOAD(blobs, Sealift__Blobs)
HEAD_PAYLOAD(status, Sealift__StatusAnswer)
HEAD_PAYLOAD(run_list, Sealift__RunListAnswer)
HEAD_PAYLOAD(point_list, Sealift__PointListAnswer)
HEAD_PAYLOAD(warnings, Sealift__Warnings)
HEAD_PAYLOAD(unlock, Sealift__UnlockReport)
HEAD_PAYLOAD(link_list, Sealift__LinkListAnswer)
HEAD_PAYLOAD(link_test, Sealift__LinkTestAnswer)
HEAD_PAYLOAD(witness, Sealift__Witness)

#endif
