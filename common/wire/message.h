/* What every decoder of Protocol Buffers in common/wire does first: bounded memory, one accepted
 * encoding, known enumeration values, clean text. Private to common/wire. */
#ifndef SEALIFT_WIRE_MESSAGE_H
#define SEALIFT_WIRE_MESSAGE_H

#include "common/base/bytes.h"
#include "common/base/err.h"

#include <protobuf-c/protobuf-c.h>

/* Bytes that a message may take in memory: the allocator fails beyond. */
#define MESSAGE_MEMORY(input_len) (64u * 1024 + 4 * (input_len))

/* Decodes at most `limit` bytes. Accepted is only what message_encode would write: fields in order,
 * defaults left out, nothing unknown, so that equal messages have equal bytes. Strings are UTF-8
 * without control characters (line feed and tab are allowed), at most `text_limit` bytes each.
 * ERR_LIMIT, ERR_VERSION (unknown fields or enumeration values), ERR_DAMAGED. `what` names the
 * message in the error text. The result is released by message_free. */
ProtobufCMessage *message_decode(const ProtobufCMessageDescriptor *type, struct span bytes, size_t limit,
                                 size_t text_limit, const char *what, struct err *err) MUST_CHECK;
void message_free(void *message);

/* The version of a message whose field 1 it is, before anything else is read: another version may have fields
 * that message_decode refuses. 0: it does not begin with one below 128. */
uint8_t message_version(struct span bytes);

/* Appends the encoding. */
void message_encode(const void *message, struct buf *out);
/* The rules of message_decode for a message that was put together here. */
bool message_check(const void *message, size_t text_limit, const char *what, struct err *err) MUST_CHECK;

#endif
