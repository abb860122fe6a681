/* Fields of generated messages, filled in with what somebody else owns: the generated types lack the const,
 * but encoding does not write. The message must not outlive what was lent. */
#ifndef SEALIFT_WIRE_LENT_H
#define SEALIFT_WIRE_LENT_H

#include "common/wire/stored.h"

static inline char *lent_text(const char *text)
{
    union {
        const char *from;
        char *to;
    } pointer = {.from = text};
    return pointer.to;
}

static inline ProtobufCBinaryData lent_bytes(const void *bytes, size_t len)
{
    return stored_bytes(span_of(bytes, len));
}

static inline ProtobufCBinaryData lent_id(const struct id *id)
{
    return lent_bytes(id->bytes, ID_LEN);
}

#endif
