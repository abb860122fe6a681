/* What a host says of keys, signed for one order and one place among its answers (docs/protocol.md): the box
 * that an answer travels in says for whom it is, and not by whom, and a director must neither make one up nor
 * leave one out. Any thread. */
#ifndef SEALIFT_WIRE_WITNESS_H
#define SEALIFT_WIRE_WITNESS_H

#include "common/crypto/hash.h"
#include "common/crypto/sign.h"
#include "common/wire/head.h"

struct witness_place {
    struct id order;
    uint64_t number; /* of the answer, from 1 */
    bool last;
};

/* Appended to `out`. */
void witness_sign(const struct sign_pair *host, const struct witness_place *place,
                  const Sealift__Witness *said, struct buf *out);
/* By this host, in this place: else ERR_NOT_AUTHENTIC. What it says is decoded as every payload is, and the
 * grants in it are still to be verified. ERR_LIMIT, ERR_DAMAGED, ERR_VERSION. Free with
 * payload_witness_free. */
bool witness_open(struct span bytes, const uint8_t host[static SIGN_PK_LEN],
                  const struct witness_place *place, Sealift__Witness **out, struct err *err) MUST_CHECK;

#endif
