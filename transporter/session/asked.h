/* Payloads of Ask and Want: count x { type (1), 32 bytes }; and plain lists of ids in Missing and FetchEnd
 * (docs/protocol.md, "Data conversations"). Pure. */
#ifndef SEALIFT_SESSION_ASKED_H
#define SEALIFT_SESSION_ASKED_H

#include "common/base/bytes.h"
#include "common/base/err.h"
#include "common/crypto/hash.h"

#define ASKED_MAX 4096
#define ASKED_LEN 33

/* Types beside those of frames: a recovery point, its id followed by zeros (copies only). */
#define ASKED_POINT 3

/* Answers in Have. */
enum asked_have {
    ASKED_LACKS = 0,
    ASKED_HAS = 1,
    ASKED_REMOVED = 2, /* a point that was removed there, and is not taken again */
};

void asked_encode(const enum frame_type *types, const struct hash *ids, size_t count, struct buf *out);
/* ERR_PROTOCOL unless there are exactly `count` items, at most ASKED_MAX, of types up to `type_max`.
 * `types` and `ids` are arrays of ASKED_MAX. */
bool asked_decode(struct span payload, uint32_t count, unsigned type_max, enum frame_type *types,
                  struct hash *ids, struct err *err) MUST_CHECK;
/* A list of ids, appended to `out`: at most ASKED_MAX, at least `least`. ERR_PROTOCOL. */
bool asked_ids_decode(struct span payload, size_t least, struct buf *out, struct err *err) MUST_CHECK;

#endif
